//! A running server, a plain HTTP client, and remote write requests by hand.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_server::{ConfigSource, Listen, Phase, Server, ServerError, ServerSettings};
use tokio_util::sync::CancellationToken;

/// An answer, read whole.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// All values of a header, joined; the name in small letters.
    pub fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|l| l.split_once(':'));
        let values = lines.filter(|(n, _)| *n == name).map(|(_, v)| v.trim());
        values.collect::<Vec<_>>().join(", ")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// One request on its own connection.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // In one piece: a server that answers without the body shall not close before it has come.
    let mut whole = head.into_bytes();
    whole.extend_from_slice(body);
    stream.write_all(&whole).unwrap();
    let mut raw = Vec::new();
    match stream.read_to_end(&mut raw) {
        Ok(_) => {}
        // A body that nobody read ends the connection like this, after the answer.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset && !raw.is_empty() => {}
        Err(error) => panic!("{method} {path}: {error}"),
    }
    // No answer at all, as when Prometheus' handler panics, has status 0.
    let Some(at) = raw.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Answer::default();
    };
    let head = String::from_utf8_lossy(&raw[..at]).to_lowercase();
    let mut body = raw[at + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = dechunk(&body);
    }
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let at = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 4 + size..];
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, "GET", path, &[], Vec::new()).await
}

pub async fn send(
    address: SocketAddr,
    method: &'static str,
    path: &str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
) -> Answer {
    let (path, headers) = (path.to_owned(), headers.to_vec());
    tokio::task::spawn_blocking(move || request(address, method, &path, &headers, &body))
        .await
        .unwrap()
}

pub const WRITE_HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];

/// Labels and samples of one series.
pub struct Written<'a> {
    pub labels: &'a [(&'a str, &'a str)],
    pub samples: Vec<(i64, f64)>,
}

/// A snappy compressed `prometheus.WriteRequest`.
pub fn write_request(series: &[Written<'_>]) -> Vec<u8> {
    let mut request = Vec::new();
    for one in series {
        let mut message = label_fields(one.labels);
        for (t, v) in &one.samples {
            let mut sample = vec![0x09];
            sample.extend_from_slice(&v.to_le_bytes());
            sample.push(0x10);
            varint(&mut sample, t.cast_unsigned());
            field(&mut message, 2, &sample);
        }
        field(&mut request, 1, &message);
    }
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

/// One series with an exemplar at each sample's time.
pub fn write_with_exemplars(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    let mut message = label_fields(labels);
    for (t, v) in samples {
        let mut sample = vec![0x09];
        sample.extend_from_slice(&v.to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, t.cast_unsigned());
        field(&mut message, 2, &sample);
        let mut exemplar = label_fields(&[("trace_id", &format!("t{t}"))]);
        exemplar.push(0x11);
        exemplar.extend_from_slice(&v.to_le_bytes());
        exemplar.push(0x18);
        varint(&mut exemplar, t.cast_unsigned());
        field(&mut message, 3, &exemplar);
    }
    let mut request = Vec::new();
    field(&mut request, 1, &message);
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

/// One series of native histograms: schema 1, a zero bucket, two positive buckets and a negative one that grow with
/// the index of the sample.
pub fn write_histograms(labels: &[(&str, &str)], times: &[i64]) -> Vec<u8> {
    let mut message = label_fields(labels);
    for (i, t) in times.iter().enumerate() {
        let n = i as u64 + 1;
        let mut h = Vec::new();
        let double = |h: &mut Vec<u8>, number: u8, v: f64| {
            h.push(number << 3 | 1);
            h.extend_from_slice(&v.to_le_bytes());
        };
        let integer = |h: &mut Vec<u8>, number: u8, v: u64| {
            h.push(number << 3);
            varint(h, v);
        };
        integer(&mut h, 1, 7 * n);
        double(&mut h, 3, 12.5 * n as f64);
        // Signed numbers are zig-zag coded: 2 is schema 1.
        integer(&mut h, 4, 2);
        double(&mut h, 5, 0.001);
        integer(&mut h, 6, n);
        field(&mut h, 8, &[0x08, 0x00, 0x10, 0x01]);
        field(&mut h, 9, &packed(&[2 * n]));
        field(&mut h, 11, &[0x08, 0x02, 0x10, 0x02]);
        // 3n and, as a difference, -n: 2n in the second bucket.
        field(&mut h, 12, &packed(&[2 * 3 * n, 2 * n - 1]));
        integer(&mut h, 15, t.cast_unsigned());
        field(&mut message, 4, &h);
    }
    let mut request = Vec::new();
    field(&mut request, 1, &message);
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

fn packed(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for v in values {
        varint(&mut out, *v);
    }
    out
}

pub fn label_fields(labels: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut out, 1, &label);
    }
    out
}

pub fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A server in this process.
pub struct Running {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), ServerError>>,
}

/// Starts a server on a free port and waits until it is ready.
pub async fn start(
    config: ConfigSource,
    data: &Path,
    change: impl FnOnce(&mut ServerSettings),
) -> Running {
    let mut settings = ServerSettings::embedded(
        config,
        data.to_owned(),
        Listen::Address("127.0.0.1:0".to_owned()),
    );
    settings.web.enable_remote_write_receiver = true;
    settings.web.enable_lifecycle = true;
    settings.web.enable_admin_api = true;
    change(&mut settings);
    let server = Server::bind(settings).await.unwrap();
    let address = server.addresses()[0];
    let mut phase = server.phase();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.run(shutdown.clone()));
    tokio::time::timeout(
        Duration::from_secs(30),
        phase.wait_for(|p| *p == Phase::Ready),
    )
    .await
    .unwrap()
    .unwrap();
    Running {
        address,
        shutdown,
        task,
    }
}

impl Running {
    pub async fn stop(self) -> Result<(), ServerError> {
        self.shutdown.cancel();
        self.ended().await
    }

    /// Waits for an end that something else caused.
    pub async fn ended(self) -> Result<(), ServerError> {
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .unwrap()
            .unwrap()
    }
}

pub fn text(config: &str) -> ConfigSource {
    ConfigSource::Text {
        name: "test.yml".to_owned(),
        text: Arc::from(config),
        base_dir: PathBuf::from("."),
    }
}

/// Waits until `check` says yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A reference program by name: in `BELLWETHER_REFERENCE_BIN` or on the PATH.
pub fn reference(program: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ))
        .map(|dir| dir.join(program))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!(
            "SKIPPED: no {program}; set BELLWETHER_REFERENCE_BIN to the directory that holds it"
        );
    }
    found
}

/// A real Prometheus; it ends when this is dropped.
pub struct Reference {
    pub address: SocketAddr,
    child: Child,
    dir: tempfile::TempDir,
}

impl Reference {
    /// The directory that holds its configuration and, in `data`, its database.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends it without warning and returns what it leaves: the folder `data` in there is its database.
    pub fn kill(mut self) -> tempfile::TempDir {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the real Prometheus, empty, with everything on that the comparisons need. `None` when it is not there.
pub async fn start_reference(config: &str, flags: &[&str]) -> Option<Reference> {
    start_reference_in(tempfile::tempdir().unwrap(), config, flags).await
}

/// The same on the database in the folder `data` of a directory.
pub async fn start_reference_in(
    dir: tempfile::TempDir,
    config: &str,
    flags: &[&str],
) -> Option<Reference> {
    start_reference_at(dir, config, flags, "").await
}

/// The same behind a prefix of all paths, which the flags set.
pub async fn start_reference_at(
    dir: tempfile::TempDir,
    config: &str,
    flags: &[&str],
    prefix: &str,
) -> Option<Reference> {
    let program = reference("prometheus")?;
    std::fs::write(dir.path().join("p.yml"), config).unwrap();
    // The port is free at this moment; the program takes no listener from outside.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = Command::new(program)
        .arg(format!(
            "--config.file={}",
            dir.path().join("p.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reference = Reference {
        address,
        child,
        dir,
    };
    let ready_path = format!("{prefix}/-/ready");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ready =
            TcpStream::connect(address).is_ok() && get(address, &ready_path).await.status == 200;
        if ready {
            return Some(reference);
        }
        assert!(
            Instant::now() < deadline,
            "the reference server does not start"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Takes the members out of a syntax tree that 3.5 does not have.
pub fn without_newer_members(tree: &mut serde_json::Value) {
    use serde_json::Value;
    match tree {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(
                    name.as_str(),
                    "anchored"
                        | "smoothed"
                        | "fillValues"
                        | "rangeExpr"
                        | "offsetExpr"
                        | "stepExpr"
                )
            });
            members.values_mut().for_each(without_newer_members);
        }
        Value::Array(items) => items.iter_mut().for_each(without_newer_members),
        _ => {}
    }
}
