//! Servers with a web configuration file: TLS, clients' certificates, users, headers, and changes while they run.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use bellwether_http::{Client, HttpClientConfig};
use bellwether_net::web::{Gate, validate};
use bellwether_net::{ServeOptions, bind, serve};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::BodyExt;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self { params, key }
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, dir: &Path, name: &str, sans: &[SanType]) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans.to_vec();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let cert = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn write(&self, dir: &Path, name: &str) {
        let cert = self.params.self_signed(&self.key).unwrap();
        std::fs::write(dir.join(name), cert.pem()).unwrap();
    }
}

fn host(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A directory with an authority `ca.pem` and a server's certificate.
struct Site {
    dir: TempDir,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
        };
        site.authority.write(site.dir.path(), "ca.pem");
        site.issue("server", &[host("localhost")]);
        site
    }

    fn issue(&self, name: &str, sans: &[SanType]) {
        self.authority.issue(self.dir.path(), name, sans);
    }

    fn configure(&self, yaml: &str) {
        std::fs::write(self.dir.path().join("web.yml"), yaml).unwrap();
    }

    async fn serve(&self, yaml: &str) -> Running {
        self.configure(yaml);
        let gate = Gate::open(&self.dir.path().join("web.yml")).unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap(), "test", "test")
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(|| async { "page" }));
        let options = ServeOptions {
            web: Some(gate),
            ..ServeOptions::default()
        };
        let task = tokio::spawn(serve(listener, app, options, CancellationToken::new()));
        Running {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn client(&self, yaml: &str) -> Client {
        let config: HttpClientConfig = bellwether_yaml::from_str("client", yaml).unwrap();
        Client::new(&config.resolve(self.dir.path()).unwrap(), "test").unwrap()
    }
}

struct Running {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Running {
    /// Status, headers, version and body, or the error's text.
    async fn ask(
        &self,
        client: &Client,
        scheme: &str,
    ) -> Result<(StatusCode, HeaderMap, Version, String), String> {
        let url = format!("{scheme}://localhost:{}/", self.address.port());
        let request = Request::get(url).body(Bytes::new()).unwrap();
        let answer = client.send(request).await.map_err(|e| e.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Ok((parts.status, parts.headers, parts.version, body))
    }

    async fn lets_in(&self, client: &Client) -> bool {
        self.ask(client, "https")
            .await
            .is_ok_and(|(status, ..)| status == StatusCode::OK)
    }
}

const TLS: &str = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
const TRUSTING: &str = "tls_config: {ca_file: ca.pem}";

/// A server's keys with further ones of TLS.
fn with_tls(more: &str) -> String {
    format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}\n")
}

#[tokio::test]
async fn tls_with_http2_and_a_certificate_that_changes() {
    let site = Site::new();
    let server = site.serve(TLS).await;
    let first = site.client(TRUSTING);
    let (status, _, version, body) = server.ask(&first, "https").await.unwrap();
    assert_eq!((status, version), (StatusCode::OK, Version::HTTP_2));
    assert_eq!(body, "page");
    // A new certificate for another name: new connections see it, the old one goes on.
    site.issue("server", &[host("elsewhere.example")]);
    assert!(server.lets_in(&first).await);
    let error = server.ask(&site.client(TRUSTING), "https").await;
    let error = error.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    site.issue("server", &[host("localhost")]);
    assert!(server.lets_in(&site.client(TRUSTING)).await);
}

#[tokio::test]
async fn http2_can_be_turned_off_and_versions_bounded() {
    let site = Site::new();
    let yaml = with_tls(
        "max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256]",
    );
    let server = site
        .serve(&format!("{yaml}http_server_config: {{http2: false}}"))
        .await;
    let (_, _, version, _) = server.ask(&site.client(TRUSTING), "https").await.unwrap();
    assert_eq!(version, Version::HTTP_11);
    let newer = site.client("tls_config: {ca_file: ca.pem, min_version: TLS13}");
    assert!(!server.lets_in(&newer).await);
}

#[tokio::test]
async fn a_client_that_forgets_the_s_is_told_so() {
    let site = Site::new();
    let server = site.serve(TLS).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 24];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.0 400 Bad Request");
}

#[tokio::test]
async fn each_policy_for_clients_certificates() {
    let site = Site::new();
    site.issue("member", &[host("member")]);
    Authority::new().issue(site.dir.path(), "stranger", &[host("stranger")]);
    let nobody = site.client(TRUSTING);
    let with = |name: &str| {
        site.client(&format!(
            "tls_config: {{ca_file: ca.pem, cert_file: {name}.pem, key_file: {name}.key}}"
        ))
    };
    let (member, stranger) = (with("member"), with("stranger"));
    for (policy, nobody_may, stranger_may) in [
        ("NoClientCert", true, true),
        ("RequestClientCert", true, true),
        ("RequireAnyClientCert", false, true),
        ("RequireClientCert", false, true),
        ("VerifyClientCertIfGiven", true, false),
        ("RequireAndVerifyClientCert", false, false),
    ] {
        let ca = match policy {
            "NoClientCert" => "",
            _ => ", client_ca_file: ca.pem",
        };
        let yaml = with_tls(&format!("client_auth_type: {policy}{ca}"));
        let server = site.serve(&yaml).await;
        let verdicts = [
            server.lets_in(&member).await,
            server.lets_in(&nobody).await,
            server.lets_in(&stranger).await,
        ];
        assert_eq!(verdicts, [true, nobody_may, stranger_may], "{policy}");
    }
}

#[tokio::test]
async fn clients_may_need_one_of_some_names() {
    let site = Site::new();
    let sans = [
        host("good.example"),
        SanType::Rfc822Name("me@example.com".try_into().unwrap()),
        SanType::IpAddress([192, 0, 2, 7].into()),
        SanType::URI("spiffe://example/x".try_into().unwrap()),
    ];
    site.issue("member", &sans);
    let member =
        site.client("tls_config: {ca_file: ca.pem, cert_file: member.pem, key_file: member.key}");
    for (allowed, may) in [
        ("good.example", true),
        ("me@example.com", true),
        ("192.0.2.7", true),
        ("spiffe://example/x", true),
        ("example", false),
    ] {
        let yaml = with_tls(&format!(
            "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: ['{allowed}']"
        ));
        let server = site.serve(&yaml).await;
        assert_eq!(server.lets_in(&member).await, may, "{allowed}");
    }
}

fn users(password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("basic_auth_users: {{me: '{hash}'}}\n")
}

#[tokio::test]
async fn users_and_headers_follow_the_file() {
    let site = Site::new();
    let headers = "http_server_config: {headers: {X-Frame-Options: deny}}\n";
    let server = site.serve(&format!("{}{headers}", users("one"))).await;
    let with = |password: &str| {
        site.client(&format!(
            "basic_auth: {{username: me, password: {password}}}"
        ))
    };
    let status = async |client: &Client| server.ask(client, "http").await.unwrap().0;
    let (refused, head, _, body) = server.ask(&site.client("{}"), "http").await.unwrap();
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert_eq!(head["www-authenticate"], "Basic");
    assert_eq!(head["x-frame-options"], "deny");
    assert_eq!(body, "Unauthorized\n");
    assert_eq!(status(&with("one")).await, StatusCode::OK);
    assert_eq!(status(&with("two")).await, StatusCode::UNAUTHORIZED);
    site.configure(&users("two"));
    assert_eq!(status(&with("one")).await, StatusCode::UNAUTHORIZED);
    let (good, head, ..) = server.ask(&with("two"), "http").await.unwrap();
    assert_eq!(good, StatusCode::OK);
    assert!(!head.contains_key("x-frame-options"));
    // A file that cannot be read lets nobody in.
    site.configure("basic_auth_users: [");
    let broken = status(&with("two")).await;
    assert_eq!(broken, StatusCode::INTERNAL_SERVER_ERROR);
    site.configure("{}");
    assert_eq!(status(&site.client("{}")).await, StatusCode::OK);
}

#[tokio::test]
async fn requests_may_be_limited() {
    let site = Site::new();
    let server = site.serve("rate_limit: {interval: 1h, burst: 2}").await;
    let client = site.client("{}");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server.ask(&client, "http").await.unwrap().0.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn what_is_refused_and_how() {
    let site = Site::new();
    site.issue("other", &[host("localhost")]);
    let path = site.dir.path().join("web.yml");
    for (yaml, want) in [
        (
            "tls_server_config: {key_file: server.key}",
            "missing one of cert or cert_file",
        ),
        (
            "tls_server_config: {cert_file: server.pem}",
            "missing one of key or key_file",
        ),
        (
            "tls_server_config: {cert_file: none.pem, key_file: server.key}",
            "none.pem: no such file or directory",
        ),
        (
            "tls_server_config: {cert_file: web.yml, key_file: server.key}",
            "failed to load X509KeyPair: tls: failed to find any PEM data in certificate input",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: other.key}",
            "failed to load X509KeyPair: tls: private key does not match public key",
        ),
        (
            &with_tls("client_ca_file: ca.pem"),
            "client CA's have been configured without a Client Auth Policy",
        ),
        (
            &with_tls("client_auth_type: Maybe"),
            "invalid ClientAuth: Maybe",
        ),
        (&with_tls("cipher_suites: [NONE]"), "unknown cipher: NONE"),
        (
            &with_tls("curve_preferences: [NONE]"),
            "unknown curve: NONE",
        ),
        (&with_tls("min_version: TLS2"), "unknown TLS version: TLS2"),
        (
            &with_tls("max_version: TLS11"),
            "no version of TLS from min_version to max_version is spoken here",
        ),
        (
            "http_server_config: {headers: {Server: x}}",
            "HTTP header \"Server\" can not be configured",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "invalid value for X-Frame-Options. Expected one of: [\"deny\" \"sameorigin\"], but got: \"allow\"",
        ),
        (
            "basic_auth_users: {me: secret}",
            "crypto/bcrypt: hashedSecret too short to be a bcrypted password",
        ),
        (
            "tls_server_config: {cert_fil: a}",
            "unknown key \"cert_fil\" in tls_server_config, did you mean \"cert_file\"?",
        ),
    ] {
        site.configure(yaml);
        let error = validate(&path).unwrap_err().to_string();
        assert!(error.contains(want), "{yaml}: {error}, wanted {want}");
    }
    site.configure("");
    validate(&path).unwrap();
}
