//! The stack with its metrics server behind TLS and a password: every part of it finds its way.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::{Api, BINARY, Program, TestStack, free_ports, install_tls};

/// An authority, a certificate of the server's own, its users, and what clients need. Returns the authority.
fn write_files(dir: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    std::fs::write(dir.join("ca.pem"), &authority).unwrap();
    let issuer = Issuer::from_params(&params, &key);
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = own.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("server.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let hash = bcrypt::hash("pw", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{me: '{hash}'}}\n"
    );
    std::fs::write(dir.join("web.yml"), web).unwrap();
    // Names without a directory begin where the file lies.
    let client = "tls_config: {ca_file: ca.pem}\nbasic_auth: {username: me, password: pw}\n";
    std::fs::write(dir.join("client.yml"), client).unwrap();
    authority
}

/// The server's API over TLS.
fn server(stack: &TestStack, pem: &str) -> Api {
    install_tls();
    let authority = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let http = reqwest::blocking::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    Api {
        base: format!("https://127.0.0.1:{}", stack.server),
        http,
    }
}

#[test]
fn all_parts_reach_a_server_behind_tls_and_a_password() {
    let mut stack = TestStack::new(&["prod"]);
    let pem = write_files(stack.dir.path());
    stack.server_keys = ", web_config: web.yml, client_config: client.yml".to_owned();
    // Data is there once all targets are up, the server among them.
    let mut program = stack.start();
    let url = format!("https://127.0.0.1:{}", stack.server);
    assert!(program.output().contains(&url), "{}", program.output());
    assert!(!program.output().contains("not ready"));

    // Nobody comes in without the password, nor without TLS.
    let server = server(&stack, &pem);
    assert_eq!(server.get("/api/v1/query?query=up").unwrap().0, 401);
    let status = stack.api().get("/api/v1/query?query=up").map(|a| a.0);
    assert_ne!(status, Some(200));

    // The dashboard has it.
    let dashboard = Api::new(stack.dashboard);
    let rows = dashboard.query("up{job='prometheus'}");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1, "1");

    // So has one that is started alone, with the same file.
    let [port] = free_ports();
    let mut command = Command::new(BINARY);
    command
        .args(["dashboard", "--prometheus-url", &url])
        .arg(format!("--listen=127.0.0.1:{port}"))
        .arg("--http.config.file")
        .arg(stack.dir.path().join("client.yml"));
    let _alone = Program::start(&mut command);
    Api::new(port).wait_value("up{job='prometheus'}", |v| v == 1.0);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let generated = stack.data_dir().join("generated/prometheus.yml");
        let mode = std::fs::metadata(generated).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can read the password");
    }
    program.signal("TERM");
    assert!(program.wait_exit().success(), "{}", program.output());
}

#[test]
fn files_that_do_not_fit_stop_the_start() {
    let mut stack = TestStack::new(&["prod"]);
    write_files(stack.dir.path());
    std::fs::write(
        stack.dir.path().join("bad.yml"),
        "tls_config: {ca_fil: a}\n",
    )
    .unwrap();
    stack.server_keys = ", web_config: web.yml, client_config: bad.yml".to_owned();
    let output = stack.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("server.client_config") && said.contains("did you mean \"ca_file\"?"),
        "{said}"
    );
}
