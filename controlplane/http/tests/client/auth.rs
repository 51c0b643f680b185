//! Credentials, headers and tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use support::{Answer, Seen, Server, body, client, client_in, error, text};

use crate::support;

#[tokio::test]
async fn each_kind_of_credentials_has_its_header() {
    let server = Server::plain("").await;
    let url = server.url("http", "/");
    for (yaml, want) in [
        ("{}", ""),
        (
            "basic_auth: {username: me, password: 1.10}",
            "Basic bWU6MS4xMA==",
        ),
        ("authorization: {credentials: abc}", "Bearer abc"),
        (
            "authorization: {type: Token, credentials: abc}",
            "Token abc",
        ),
        ("bearer_token: abc", "Bearer abc"),
    ] {
        body(&client(yaml), &url).await;
        let seen = server.last();
        assert_eq!(seen.header("authorization"), want, "{yaml}");
        assert!(seen.header("user-agent").starts_with("Bellwether/"));
    }
}

#[tokio::test]
async fn a_user_in_the_url_is_credentials() {
    let server = Server::plain("").await;
    let url = format!("http://me:p%40ss@{}/x", server.address);
    body(&client("bearer_token: abc"), &url).await;
    let seen = server.last();
    assert_eq!(seen.header("authorization"), "Basic bWU6cEBzcw==");
    assert_eq!(seen.header("host"), server.address.to_string());
    drop(server);
    let text = error(&client("{}"), &url).await;
    assert!(!text.contains("p%40ss"), "{text}");
}

#[tokio::test]
async fn files_are_read_at_each_request() {
    let server = Server::plain("").await;
    let url = server.url("http", "/");
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let client = client_in(
        dir.path(),
        "basic_auth: {username_file: user, password_file: password}\nhttp_headers: {X-Key: {files: [key], values: [fixed]}}",
    );
    write("user", "me\n");
    write("key", " k \n");
    let text = error(&client, &url).await;
    assert!(
        text.contains("unable to read basic auth password: unable to read file"),
        "{text}"
    );
    write("password", "one\n");
    body(&client, &url).await;
    assert_eq!(server.last().header("authorization"), "Basic bWU6b25l");
    let keys: Vec<_> = server
        .last()
        .headers
        .get_all("x-key")
        .iter()
        .cloned()
        .collect();
    assert_eq!(keys, ["fixed", "k"]);
    write("password", "two");
    body(&client, &url).await;
    assert_eq!(server.last().header("authorization"), "Basic bWU6dHdv");
}

#[tokio::test]
async fn headers_of_the_request_stay() {
    let server = Server::plain("").await;
    let request = Request::post(server.url("http", "/"))
        .header("authorization", "Custom x")
        .header("user-agent", "special")
        .body(Bytes::from("content"))
        .unwrap();
    let client = client("bearer_token: abc");
    // On another thread, as servers do it.
    let sent = tokio::spawn(async move { client.send(request).await });
    sent.await.unwrap().unwrap();
    let seen = server.last();
    assert_eq!(seen.header("authorization"), "Custom x");
    assert_eq!(seen.header("user-agent"), "special");
    assert_eq!(seen.body, "content");
}

/// A token server that counts; each token is good for `expires_in` seconds.
async fn token_server(
    expires_in: u32,
    takes: impl Fn(&Seen) -> bool + Send + Sync + 'static,
) -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&count);
    let server = Server::start(None, move |seen: &Seen| -> Answer {
        if !takes(seen) {
            return text(401, r#"{"error": "invalid_client"}"#);
        }
        let n = given.fetch_add(1, Ordering::SeqCst) + 1;
        let json = format!(
            r#"{{"access_token": "token{n}", "token_type": "bearer", "expires_in": {expires_in}}}"#
        );
        text(200, &json)
    })
    .await;
    (server, count)
}

fn oauth2(tokens: &Server, more: &str) -> String {
    format!(
        "oauth2: {{client_id: 'my id', token_url: '{}', {more}}}",
        tokens.url("http", "/token")
    )
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    let (tokens, count) = token_server(3600, |_| true).await;
    let server = Server::plain("").await;
    let yaml = oauth2(
        &tokens,
        "client_secret: s3cret, scopes: [a, b], endpoint_params: {audience: metrics}",
    );
    let client = client(&yaml);
    let url = server.url("http", "/");
    let both = [
        body(&client, &url),
        body(&client, &url),
        body(&client, &url),
    ];
    for one in both {
        one.await;
        assert_eq!(server.last().header("authorization"), "Bearer token1");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let asked = tokens.last();
    assert_eq!(
        asked.body,
        "audience=metrics&grant_type=client_credentials&scope=a+b"
    );
    // "my+id:s3cret": both are escaped before they are encoded.
    assert_eq!(asked.header("authorization"), "Basic bXkraWQ6czNjcmV0");
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_replaced() {
    let (tokens, count) = token_server(5, |_| true).await;
    let server = Server::plain("").await;
    let client = client(&oauth2(&tokens, "client_secret: s"));
    body(&client, &server.url("http", "/")).await;
    body(&client, &server.url("http", "/")).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(server.last().header("authorization"), "Bearer token2");
}

#[tokio::test]
async fn servers_that_want_the_secret_in_the_body_get_it_there() {
    let (tokens, _) = token_server(5, |seen| seen.body.contains("client_secret=s")).await;
    let server = Server::plain("").await;
    let client = client(&oauth2(&tokens, "client_secret: s"));
    body(&client, &server.url("http", "/")).await;
    assert_eq!(tokens.seen().len(), 2, "once with each style");
    body(&client, &server.url("http", "/")).await;
    assert_eq!(tokens.seen().len(), 3, "the style is remembered");
    assert!(tokens.last().header("authorization").is_empty());
}

#[tokio::test]
async fn a_new_secret_brings_a_new_token() {
    let (tokens, count) = token_server(3600, |_| true).await;
    let server = Server::plain("").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "one").unwrap();
    let client = client_in(dir.path(), &oauth2(&tokens, "client_secret_file: secret"));
    let url = server.url("http", "/");
    body(&client, &url).await;
    std::fs::write(&file, "two").unwrap();
    body(&client, &url).await;
    body(&client, &url).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refusal_of_the_token_server_is_the_error() {
    let (tokens, _) = token_server(3600, |_| false).await;
    let server = Server::plain("").await;
    let url = server.url("http", "/");
    let text = error(&client(&oauth2(&tokens, "client_secret: s")), &url).await;
    assert_eq!(text, format!("Get \"{url}\": oauth2: \"invalid_client\""));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_assertion_is_signed_with_the_clients_key() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (tokens, _) = token_server(3600, |_| true).await;
    let server = Server::plain("").await;
    let key = include_str!("rsa_key.pem");
    let more = format!(
        "grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_certificate_key: {key:?}, client_certificate_key_id: k1, signature_algorithm: RS384, claims: {{team: sre}}"
    );
    body(&client(&oauth2(&tokens, &more)), &server.url("http", "/")).await;
    let form: std::collections::HashMap<_, _> =
        url::form_urlencoded::parse(tokens.last().body.as_bytes())
            .into_owned()
            .collect();
    let parts: Vec<&str> = form["assertion"].split('.').collect();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&decode(parts[0])).unwrap();
    assert_eq!(header["alg"], "RS384");
    assert_eq!(header["kid"], "k1");
    let claims: serde_json::Value = serde_json::from_slice(&decode(parts[1])).unwrap();
    assert_eq!(claims["iss"], "my id");
    assert_eq!(claims["team"], "sre");
    assert_eq!(claims["aud"], tokens.url("http", "/token"));
    let lives = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lives, 600);
    let private = ring::signature::RsaKeyPair::from_pkcs8(&pem_body(key)).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(
        &ring::signature::RSA_PKCS1_2048_8192_SHA384,
        private.public().as_ref(),
    );
    let signed = format!("{}.{}", parts[0], parts[1]);
    public.verify(signed.as_bytes(), &decode(parts[2])).unwrap();
}

fn pem_body(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let lines = pem.lines().filter(|line| !line.starts_with("---"));
    base64::engine::general_purpose::STANDARD
        .decode(lines.collect::<String>())
        .unwrap()
}
