//! The keys: what is taken, what is refused and in which words, and what is shown.

use std::path::Path;

use bellwether_http::HttpClientConfig;

fn read(yaml: &str) -> Result<HttpClientConfig, String> {
    let config: HttpClientConfig =
        bellwether_yaml::from_str("f.yml", yaml).map_err(|e| e.to_string())?;
    config
        .resolve(Path::new("/etc/bellwether"))
        .map_err(|e| e.to_string())?;
    Ok(config)
}

#[test]
fn what_is_refused_and_how() {
    for (yaml, want) in [
        (
            "bearer_token: a\nbearer_token_file: b",
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        (
            "bearer_token: a\nbasic_auth: {}",
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            "bearer_token: a\nauthorization: {}",
            "authorization is not compatible with bearer_token & bearer_token_file",
        ),
        (
            "basic_auth: {username: a, username_file: b}",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        (
            "basic_auth: {password: a, password_file: b}",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        ),
        (
            "authorization: {credentials: a, credentials_file: b}",
            "at most one of authorization credentials & credentials_file must be configured",
        ),
        (
            "authorization: {type: ' Basic '}",
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        ),
        (
            "authorization: {}\nbasic_auth: {}",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        (
            "oauth2: {client_id: a, token_url: b}\nbasic_auth: {}",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        (
            "oauth2: {token_url: b}",
            "oauth2 client_id must be configured",
        ),
        (
            "oauth2: {client_id: a}",
            "oauth2 token_url must be configured",
        ),
        (
            "oauth2: {client_id: a, token_url: b, client_secret: c, client_secret_file: d}",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials",
        ),
        (
            "oauth2: {client_id: a, token_url: b, grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', signature_algorithm: HS256}",
            "valid signature algorithms are RS256, RS384 and RS512",
        ),
        (
            "oauth2: {client_id: a, token_url: b, scope: [c]}",
            "unknown key \"scope\" in oauth2, did you mean \"scopes\"?",
        ),
        (
            "tls_config: {ca: a, ca_file: b}",
            "at most one of ca, ca_file & ca_ref must be configured",
        ),
        (
            "tls_config: {cert_file: a}",
            "exactly one of key or key_file must be configured when a client certificate is configured",
        ),
        (
            "tls_config: {key_file: a}",
            "exactly one of cert or cert_file must be configured when a client key is configured",
        ),
        (
            "tls_config: {min_version: TLS13, max_version: TLS12}",
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
        ),
        (
            "tls_config: {min_version: TLS9}",
            "unknown TLS version: TLS9",
        ),
        (
            "tls_config: {max_version: TLS11}",
            "TLS below 1.2 is not spoken here",
        ),
        (
            "proxy_connect_header: {a: [b]}",
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        ),
        (
            "proxy_from_environment: true\nproxy_url: 'http://a'",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        ),
        (
            "proxy_from_environment: true\nno_proxy: a",
            "if proxy_from_environment is configured, no_proxy must not be configured",
        ),
        (
            "no_proxy: a",
            "if no_proxy is configured, proxy_url must also be configured",
        ),
        ("proxy_url: 'ftp://a'", "unknown scheme \"ftp\" of a proxy"),
        (
            "http_headers: {authorization: {values: [a]}}",
            "setting header \"Authorization\" is not allowed",
        ),
        (
            "http_headers: {'a b': {values: [a]}}",
            "\"a b\" is not a valid header name",
        ),
        (
            "basic_auth: {username: b, username_ref: a}",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        (
            "tls_config: {ca_ref: a, ca: b}",
            "at most one of ca, ca_file & ca_ref must be configured",
        ),
        (
            "proxy_url: '127.0.0.1:3128'",
            "first path segment in URL cannot contain colon",
        ),
        (
            "tls_config: {insecure_skip_verfy: true}",
            "f.yml:1:14: tls_config.insecure_skip_verfy: unknown key \"insecure_skip_verfy\" in tls_config, did you mean \"insecure_skip_verify\"?",
        ),
        (
            "follow_redirect: true",
            "did you mean \"follow_redirects\"?",
        ),
    ] {
        let error = read(yaml).unwrap_err();
        assert!(error.contains(want), "{yaml}: {error}, wanted {want}");
    }
}

#[test]
fn what_prometheus_takes_and_no_request_can_be_made_with() {
    for yaml in [
        "proxy_url: 'ftp://a'",
        "http_headers: {'a b': {values: [c]}}",
        "tls_config: {min_version: TLS13, max_version: TLS12}",
        "tls_config: {max_version: TLS11}",
        "tls_config: {server_name: 'a b'}",
        "proxy_url: 'http://a'\nproxy_connect_header: {a: [\"b\\nc\"]}",
    ] {
        let config: HttpClientConfig = bellwether_yaml::from_str("f.yml", yaml).unwrap();
        assert_eq!(config.check(), Ok(()), "{yaml}");
        assert!(
            config.resolve(Path::new(".")).unwrap_err().is_late(),
            "{yaml}"
        );
    }
    let config = "oauth2: {client_id: a, token_url: b, client_secret_ref: c}";
    assert!(read(config).is_ok(), "a secret out of reach");
}

#[test]
fn secrets_are_neither_shown_nor_logged() {
    let yaml = "basic_auth: {username: u, password: hunter2}\n\
                proxy_url: 'http://me:hunter2@proxy:3128/'\n\
                proxy_connect_header: {X-Key: [hunter2]}\n\
                http_headers: {X-Key: {secrets: [hunter2], values: [shown]}}\n\
                tls_config: {cert_file: c, key: hunter2}\n";
    let config = read(yaml).unwrap();
    let shown = serde_json::to_string(&config).unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("http://me:xxxxx@proxy:3128/"), "{shown}");
    assert!(shown.contains("\"values\":[\"shown\"]"), "{shown}");
    assert!(shown.contains("\"password\":\"<secret>\""), "{shown}");
    let settings = config.resolve(Path::new(".")).unwrap();
    let logged = format!("{config:?} {settings:?}");
    assert!(!logged.contains("hunter2"), "{logged}");
}

#[test]
fn defaults_are_prometheus() {
    let config = read("{}").unwrap();
    assert_eq!(
        serde_json::to_string(&config).unwrap(),
        r#"{"follow_redirects":true,"enable_http2":true}"#
    );
    let empty = "basic_auth:\ntls_config:\nhttp_headers:\nproxy_connect_header:\noauth2:\n";
    assert_eq!(read(empty).unwrap(), config, "keys without values");
}
