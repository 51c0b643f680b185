//! A running Prometheus.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// The path of a reference program; says so when there is none.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let found = folders
        .into_iter()
        .map(|f| f.join(name))
        .find(|p| p.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("BELLWETHER_REQUIRE_PEERS").is_none(),
            "{name} is neither in BELLWETHER_REFERENCE_BIN nor in PATH"
        );
        eprintln!("SKIPPED: {name} is neither in BELLWETHER_REFERENCE_BIN nor in PATH");
    }
    found
}

/// Ended with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A server with those features on top of those that all have.
    pub(crate) fn start(program: &Path, data: &Path, features: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let config = data.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg("--web.enable-remote-write-receiver")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--enable-feature=native-histograms,promql-experimental-functions,promql-duration-expr{features}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server
            .send("GET", "/-/ready", "", b"")
            .is_none_or(|(status, _)| status != 200)
        {
            assert!(Instant::now() < deadline, "prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    pub(crate) fn write(&self, body: &[u8]) {
        let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";
        let (status, text) = self.send("POST", "/api/v1/write", headers, body).unwrap();
        assert_eq!(status, 204, "{text}");
    }

    pub(crate) fn query(&self, path: &str, parameters: &[(&str, String)]) -> Json {
        let mut form = String::new();
        for (name, value) in parameters {
            form.push_str(name);
            form.push('=');
            for b in value.bytes() {
                form.push_str(&format!("%{b:02X}"));
            }
            form.push('&');
        }
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let path = format!("/api/v1/{path}");
        let (_, body) = self.send("POST", &path, headers, form.as_bytes()).unwrap();
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"))
    }
}
