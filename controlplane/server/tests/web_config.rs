//! `--web.config.file`: the server behind TLS and a password scrapes itself and the real Prometheus, which is behind
//! the same and scrapes it.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bellwether_http::{Client, HttpClientConfig};
use bellwether_server::{Listen, Server, ServerSettings};
use bytes::Bytes;
use http_body_util::BodyExt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;
use support::{eventually, reference, start, text};

/// A site's files: a certificate that vouches for itself, and the web configuration of both servers.
fn site(dir: &Path) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("server.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let hash = bcrypt::hash("pw", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{me: '{hash}'}}\n"
    );
    std::fs::write(dir.join("web.yml"), web).unwrap();
}

/// The keys of a client that may come in.
fn keys(dir: &Path) -> String {
    format!(
        "tls_config: {{ca_file: '{}'}}, basic_auth: {{username: me, password: pw}}",
        dir.join("server.pem").display()
    )
}

/// Scrapes both servers.
fn config(dir: &Path, ours: SocketAddr, theirs: SocketAddr) -> String {
    let keys = keys(dir);
    let job = |name: &str, address: SocketAddr| {
        format!(
            "- {{job_name: {name}, scheme: https, scrape_interval: 1s, static_configs: [{{targets: ['{address}']}}], {keys}}}\n"
        )
    };
    format!(
        "scrape_configs:\n{}{}",
        job("ours", ours),
        job("theirs", theirs)
    )
}

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many targets are up.
async fn up(client: &Client, address: SocketAddr) -> Option<String> {
    let url = format!("https://{address}/api/v1/query?query=sum(up)");
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    let answer = client.send(request).await.ok()?;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    let json: Value = serde_json::from_slice(&body).ok()?;
    let value = json["data"]["result"].get(0)?;
    value["value"][1].as_str().map(str::to_owned)
}

#[tokio::test]
async fn servers_behind_tls_and_passwords_scrape_each_other() {
    let Some(program) = reference("prometheus") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    site(dir.path());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = listener.local_addr().unwrap();
    // Free at this moment; the program takes no listener from outside.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = free.local_addr().unwrap();
    drop(free);
    let yaml = config(dir.path(), ours, theirs);
    std::fs::write(dir.path().join("p.yml"), &yaml).unwrap();
    let child = Command::new(program)
        .args(["--config.file=p.yml", "--storage.tsdb.path=theirs"])
        .args(["--web.config.file=web.yml"])
        .arg(format!("--web.listen-address={theirs}"))
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _child = Ending(child.unwrap());
    let running = start(text(&yaml), &dir.path().join("ours"), |settings| {
        settings.listen = vec![Listen::Bound(listener)];
        settings.web.config_file = Some(dir.path().join("web.yml"));
    })
    .await;
    let client_config = format!("{{{}}}", keys(dir.path()));
    let client: HttpClientConfig = bellwether_yaml::from_str("client", &client_config).unwrap();
    let client = Client::new(&client.resolve(dir.path()).unwrap(), "test").unwrap();
    for (who, address) in [("ours", ours), ("theirs", theirs)] {
        let all = async || up(&client, address).await.as_deref() == Some("2");
        eventually(&format!("both up at {who}"), all).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_bad_file_stops_the_start_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    std::fs::write(&path, "tls_server_config:\n  cert_fil: a\n").unwrap();
    let mut settings = ServerSettings::embedded(
        text(""),
        dir.path().join("data"),
        Listen::Address("127.0.0.1:0".to_owned()),
    );
    settings.web.config_file = Some(path.clone());
    let error = Server::bind(settings).await.map(drop).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("set by --web.config.file"), "{error}");
    assert!(
        error.contains("web.yml:2:3") && error.contains("did you mean \"cert_file\"?"),
        "{error}"
    );
}
