//! `bellwether tool check web-config`: promtool's output and exit codes on the same files.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use bellwether_net::ServeOptions;
use bellwether_net::web::Gate;
use rcgen::{CertificateParams, KeyPair};
use support::{BINARY, peers};

fn certificate(dir: &Path, name: &str) {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// Contents of files, and whether the text of the error is the same as well.
fn files() -> Vec<(String, bool)> {
    let tls =
        |more: &str| format!("tls_server_config: {{cert_file: a.pem, key_file: a.key{more}}}\n");
    let mut files = vec![
        (String::new(), true),
        (tls(""), true),
        (tls(", min_version: TLS12, max_version: TLS13, prefer_server_cipher_suites: false"), true),
        (tls(", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA], curve_preferences: [X25519, CurveP521]"), true),
        (tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: a.pem, client_allowed_sans: [x]"), true),
        (format!("basic_auth_users: {{me: {HASH}}}\n"), true),
        ("http_server_config: {http2: false, headers: {X-Frame-Options: deny, Content-Security-Policy: x}}\n".to_owned(), true),
        ("tls_server_config: {key_file: a.key}\n".to_owned(), true),
        ("tls_server_config: {cert_file: a.pem}\n".to_owned(), true),
        ("tls_server_config: {cert_file: none.pem, key_file: a.key}\n".to_owned(), true),
        ("tls_server_config: {cert_file: a.pem, key_file: none.key}\n".to_owned(), true),
        ("tls_server_config: {cert_file: a.pem, key_file: b.key}\n".to_owned(), true),
        ("tls_server_config: {cert_file: a.key, key_file: a.pem}\n".to_owned(), false),
        (tls(", client_ca_file: a.pem"), true),
        (tls(", client_ca_file: none.pem, client_auth_type: RequestClientCert"), true),
        (tls(", client_auth_type: Maybe"), true),
        ("http_server_config: {headers: {Server: x}}\n".to_owned(), true),
        ("http_server_config: {headers: {X-Content-Type-Options: x}}\n".to_owned(), true),
    ];
    let hashes = [
        "short",
        &"x".repeat(60),
        &format!("$3$10${}", "x".repeat(60)),
        &format!("$2y$99{}", "x".repeat(60)),
        &format!("$2y$ab{}", "x".repeat(60)),
    ]
    .map(str::to_owned);
    files.extend(hashes.map(|hash| (format!("basic_auth_users: {{me: '{hash}'}}\n"), true)));
    // The library's own texts differ; ours have line and column.
    let elsewhere = [
        "tls_server_config: [\n".to_owned(),
        "tls_server_confi: {}\n".to_owned(),
        "basic_auth_users: [a]\n".to_owned(),
        tls(", cipher_suites: [NONE]"),
        tls(", curve_preferences: [NONE]"),
        tls(", min_version: TLS2"),
    ];
    files.extend(elsewhere.map(|file| (file, false)));
    files
}

fn ours(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["tool", "check", "web-config"]).args(args);
    command.current_dir(dir).output().unwrap()
}

#[test]
fn verdicts_and_texts_are_promtools() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "a");
    certificate(dir.path(), "b");
    let files = files();
    let names: Vec<String> = (0..files.len()).map(|i| format!("{i}.yml")).collect();
    for (name, (content, _)) in names.iter().zip(&files) {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let theirs = |args: &[&str]| {
        let mut command = Command::new(&promtool);
        command.args(["check", "web-config"]).args(args);
        command.current_dir(dir.path()).output().unwrap()
    };
    for (name, (content, same_text)) in names.iter().zip(&files) {
        let (a, b) = (ours(&[name], dir.path()), theirs(&[name]));
        let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let (ours, theirs) = (text(&a), text(&b));
        assert_eq!(
            a.status.code(),
            b.status.code(),
            "{content}\n{ours}{theirs}"
        );
        let verdict = |text: &str| text.split(':').next().unwrap_or_default().trim().to_owned();
        assert_eq!(verdict(&ours), verdict(&theirs), "{content}");
        if *same_text {
            assert_eq!(ours, theirs, "{content}");
        }
        assert!(a.stdout.is_empty() && b.stdout.is_empty());
    }
    // Several at once: one bad one is enough.
    let both = ["1.yml", "7.yml"];
    let (a, b) = (ours(&both, dir.path()), theirs(&both));
    assert_eq!(a.status.code(), b.status.code());
    assert_eq!(a.stderr, b.stderr);
}

/// The authorities of the system are found as by other programs, and others where the user says so.
#[test]
fn servers_are_checked_against_the_systems_authorities() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "a");
    let web = dir.path().join("web.yml");
    std::fs::write(
        &web,
        "tls_server_config: {cert_file: a.pem, key_file: a.key}",
    )
    .unwrap();
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}"#;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = ServeOptions {
        web: Some(Gate::open(&web).unwrap()),
        ..ServeOptions::default()
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = bellwether_net::bind(address, "server", "test");
    let listener = runtime.block_on(listener).unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let app = axum::Router::new().fallback(move || async move { answer });
    runtime.spawn(bellwether_net::serve(
        listener,
        app,
        options,
        tokio_util::sync::CancellationToken::new(),
    ));
    let ask = |file: &str| {
        let mut command = Command::new(BINARY);
        command.args(["tool", "query", "instant", &url, "1"]);
        command.env("SSL_CERT_FILE", dir.path().join(file));
        command.output().unwrap()
    };
    let good = ask("a.pem");
    let error = String::from_utf8_lossy(&good.stderr).into_owned();
    assert!(good.status.success(), "{error}");
    certificate(dir.path(), "b");
    let stranger = ask("b.pem");
    let error = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(!stranger.status.success());
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(
        error.contains(&format!("Post \"{url}/api/v1/query\"")),
        "{error}"
    );
}
