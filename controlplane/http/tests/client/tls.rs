//! Certificates: whose are taken, which are shown, and what happens when they change.

use http::Version;
use support::{
    Authority, Server, body, client, client_in, error, self_signed, server_tls, text, yaml_text,
};

use crate::support;

async fn secure(pem: &support::Pem) -> Server {
    Server::start(Some(server_tls(pem, None)), |_| text(200, "secret page")).await
}

fn ca(authority: &Authority) -> String {
    format!("tls_config: {{ca: {}}}", yaml_text(&authority.cert))
}

#[tokio::test]
async fn a_server_of_the_configured_authority_is_taken() {
    let authority = Authority::new();
    let server = secure(&authority.issue(&["localhost", "127.0.0.1"])).await;
    let good = client(&ca(&authority));
    assert_eq!(body(&good, &server.url("https", "/")).await, "secret page");
    let by_address = format!("https://{}/", server.address);
    assert_eq!(body(&good, &by_address).await, "secret page");
}

#[tokio::test]
async fn other_servers_are_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = secure(&authority.issue(&["localhost"])).await;
    let url = server.url("https", "/");
    let text = error(&client(&ca(&other)), &url).await;
    assert!(text.starts_with(&format!("Get \"{url}\": ")), "{text}");
    assert!(text.contains("UnknownIssuer"), "{text}");
    let by_address = format!("https://{}/", server.address);
    let text = error(&client(&ca(&authority)), &by_address).await;
    assert!(text.contains("not valid for name"), "{text}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_name_may_be_given_and_checks_may_be_skipped() {
    let authority = Authority::new();
    let server = secure(&authority.issue(&["metrics.example"])).await;
    let url = server.url("https", "/");
    assert!(error(&client(&ca(&authority)), &url).await.contains("name"));
    let named = format!(
        "tls_config: {{ca: {}, server_name: metrics.example}}",
        yaml_text(&authority.cert)
    );
    assert_eq!(body(&client(&named), &url).await, "secret page");
    let careless = client("tls_config: {insecure_skip_verify: true}");
    assert_eq!(body(&careless, &url).await, "secret page");
}

/// A certificate without extensions, of version 1, as `openssl x509 -req` makes it.
#[tokio::test]
async fn skipping_checks_is_good_for_old_certificates_too() {
    let pem = support::Pem {
        cert: include_str!("v1.pem").to_owned(),
        key: include_str!("v1.key").to_owned(),
    };
    let server = secure(&pem).await;
    let careless = client("tls_config: {insecure_skip_verify: true}");
    let url = server.url("https", "/");
    assert_eq!(body(&careless, &url).await, "secret page");
    let tls12 = client("tls_config: {insecure_skip_verify: true, max_version: TLS12}");
    assert_eq!(body(&tls12, &url).await, "secret page");
}

/// What `openssl req -x509` makes and many sites use.
#[tokio::test]
async fn a_self_signed_certificate_is_its_own_authority() {
    let pem = self_signed(&["localhost"]);
    let server = secure(&pem).await;
    let config = format!("tls_config: {{ca: {}}}", yaml_text(&pem.cert));
    let url = server.url("https", "/");
    assert_eq!(body(&client(&config), &url).await, "secret page");
    // The name still counts, and so does being the very certificate.
    let by_address = format!("https://{}/", server.address);
    error(&client(&config), &by_address).await;
    let other = self_signed(&["localhost"]);
    let config = format!("tls_config: {{ca: {}}}", yaml_text(&other.cert));
    error(&client(&config), &url).await;
}

#[tokio::test]
async fn versions_are_bounded() {
    let authority = Authority::new();
    let mut tls = server_tls(&authority.issue(&["localhost"]), None);
    tls.alpn_protocols.clear();
    let server = Server::start(Some(tls), |_| text(200, "")).await;
    let url = server.url("https", "/");
    for version in ["TLS12", "TLS13"] {
        let config = format!(
            "tls_config: {{ca: {}, min_version: {version}, max_version: {version}}}",
            yaml_text(&authority.cert)
        );
        body(&client(&config), &url).await;
    }
}

#[tokio::test]
async fn http2_is_spoken_unless_forbidden() {
    let authority = Authority::new();
    let server = secure(&authority.issue(&["localhost"])).await;
    let url = server.url("https", "/");
    body(&client(&ca(&authority)), &url).await;
    assert_eq!(server.last().version, Version::HTTP_2);
    let old = format!("{}\nenable_http2: false", ca(&authority));
    body(&client(&old), &url).await;
    assert_eq!(server.last().version, Version::HTTP_11);
}

#[tokio::test]
async fn clients_show_their_certificate() {
    let authority = Authority::new();
    let tls = server_tls(&authority.issue(&["localhost"]), Some(&authority.cert));
    let server = Server::start(Some(tls), |_| text(200, "for members")).await;
    let url = server.url("https", "/");
    error(&client(&ca(&authority)), &url).await;
    let own = authority.issue(&["client"]);
    let config = format!(
        "tls_config: {{ca: {}, cert: {}, key: {}}}",
        yaml_text(&authority.cert),
        yaml_text(&own.cert),
        yaml_text(&own.key)
    );
    assert_eq!(body(&client(&config), &url).await, "for members");
}

/// Certificates are exchanged while the client runs: first it has nothing, then the wrong one, then the right one.
#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let authority = Authority::new();
    let tls = server_tls(&authority.issue(&["localhost"]), Some(&authority.cert));
    let server = Server::start(Some(tls), |_| text(200, "for members")).await;
    let url = server.url("https", "/");
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let client = client_in(
        dir.path(),
        "tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}",
    );
    let text = error(&client, &url).await;
    assert!(
        text.contains("unable to read CA cert") && text.contains("ca.pem"),
        "{text}"
    );
    write("ca.pem", &authority.cert);
    let stranger = Authority::new().issue(&["client"]);
    write("cert.pem", &stranger.cert);
    write("key.pem", &stranger.key);
    error(&client, &url).await;
    let own = authority.issue(&["client"]);
    write("cert.pem", &own.cert);
    let text = error(&client, &url).await;
    assert!(
        text.contains("unable to use specified client cert"),
        "{text}"
    );
    write("key.pem", &own.key);
    assert_eq!(body(&client, &url).await, "for members");
    // The connection that is open does not outlive the trust in its server.
    write("ca.pem", &Authority::new().cert);
    error(&client, &url).await;
}

#[tokio::test]
async fn bad_certificates_in_the_configuration_are_found_at_once() {
    let config: bellwether_http::HttpClientConfig =
        bellwether_yaml::from_str("t", "tls_config: {ca: nonsense}").unwrap();
    let settings = config.resolve(std::path::Path::new(".")).unwrap();
    let error = bellwether_http::Client::new(&settings, "test").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unable to use specified CA cert inline: no certificate in PEM format in it"
    );
}
