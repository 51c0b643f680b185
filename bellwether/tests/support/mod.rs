//! The real binary on free ports and in a temporary directory, and ways to ask it things.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

pub mod peers;
pub mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_bellwether");

/// Long enough for a busy machine; every wait ends as soon as its condition holds.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Distinct ports that were free a moment ago and that no other test of this process was given.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    std::array::from_fn(|_| {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            if GIVEN.lock().unwrap().insert(port) {
                return port;
            }
        }
    })
}

/// Polls until `condition` gives a value.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A started program whose output is collected; it is killed when dropped.
pub struct Program {
    child: Child,
    output: Arc<Mutex<String>>,
    collectors: Vec<JoinHandle<()>>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let collectors = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&output)),
            collect(child.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        Self {
            child,
            output,
            collectors,
        }
    }

    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a text in the output; fails when the program ends before.
    pub fn wait_output(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.output().contains(text) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "ended with {status} before printing {text:?}:\n{}",
                    self.output()
                );
            }
            assert!(
                Instant::now() < deadline,
                "{text:?} was not printed:\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it printed last may still be on its way.
                for collector in self.collectors.drain(..) {
                    collector.join().unwrap();
                }
                return status;
            }
            assert!(Instant::now() < deadline, "did not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn kill(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}

/// One plane's ports.
#[derive(Clone, Copy, Debug)]
pub struct PlanePorts {
    pub api: u16,
    pub payments: u16,
    pub otlp_grpc: u16,
    pub otlp_http: u16,
    pub exporter: u16,
    pub telemetry: u16,
    pub health: u16,
}

impl PlanePorts {
    pub fn free() -> Self {
        let [
            api,
            payments,
            otlp_grpc,
            otlp_http,
            exporter,
            telemetry,
            health,
        ] = free_ports();
        Self {
            api,
            payments,
            otlp_grpc,
            otlp_http,
            exporter,
            telemetry,
            health,
        }
    }

    pub fn yaml(&self) -> String {
        let Self {
            api,
            payments,
            otlp_grpc,
            otlp_http,
            exporter,
            telemetry,
            health,
        } = self;
        format!(
            "{{ api: {api}, payments: {payments}, otlp_grpc: {otlp_grpc}, otlp_http: {otlp_http}, exporter: {exporter}, telemetry: {telemetry}, health: {health} }}"
        )
    }
}

/// A stack file on free ports, and the running stack.
pub struct TestStack {
    pub dir: tempfile::TempDir,
    pub server: u16,
    pub dashboard: u16,
    pub orders: u16,
    pub planes: Vec<(&'static str, PlanePorts)>,
    pub rate: f64,
    /// Text of a prometheus.yml of the user's own.
    pub server_config: Option<String>,
    /// Further keys of the server, each with a comma in front.
    pub server_keys: String,
}

impl TestStack {
    pub fn new(names: &[&'static str]) -> Self {
        let [server, dashboard, orders] = free_ports();
        Self {
            dir: tempfile::tempdir().unwrap(),
            server,
            dashboard,
            orders,
            planes: names.iter().map(|n| (*n, PlanePorts::free())).collect(),
            rate: 10.0,
            server_config: None,
            server_keys: String::new(),
        }
    }

    pub fn yaml(&self) -> String {
        let config = self
            .server_config
            .as_ref()
            .map_or_else(String::new, |text| {
                let file = self.dir.path().join("prometheus.yml");
                std::fs::write(&file, text).unwrap();
                format!(", config: {:?}", file.display().to_string())
            });
        let mut text = format!(
            "scrape_interval: 1s\nexport_interval: 1s\nserver: {{ port: {}{config}{} }}\ndashboard: {{ port: {} }}\norders: {{ port: {} }}\nplanes:\n",
            self.server, self.server_keys, self.dashboard, self.orders
        );
        for (name, ports) in &self.planes {
            text.push_str(&format!(
                "  - name: {name}\n    environment: {name}\n    ports: {}\n    traffic: {{ rate: {}, mix: shop }}\n",
                ports.yaml(),
                self.rate
            ));
        }
        text
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self) -> Command {
        let file = self.dir.path().join("bellwether.yml");
        std::fs::write(&file, self.yaml()).unwrap();
        let mut command = Command::new(BINARY);
        command
            .arg("up")
            .arg("--stack")
            .arg(file)
            .arg("--data-dir")
            .arg(self.data_dir());
        command
    }

    /// Starts the stack and waits until it says that data can be queried.
    pub fn start(&self) -> Program {
        let mut program = Program::start(&mut self.command());
        program.wait_output("first data queryable");
        program
    }

    pub fn api(&self) -> Api {
        Api::new(self.server)
    }
}

/// A series of a query's result: labels and value as the API writes it.
pub type Row = (BTreeMap<String, String>, String);

/// A Prometheus HTTP API.
#[derive(Clone)]
pub struct Api {
    pub base: String,
    pub http: reqwest::blocking::Client,
}

impl Api {
    pub fn new(port: u16) -> Self {
        install_tls();
        let http = reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self {
            base: format!("http://127.0.0.1:{port}"),
            http,
        }
    }

    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.http.get(format!("{}{path}", self.base)).send().ok()?;
        Some((response.status().as_u16(), response.text().ok()?))
    }

    pub fn get_json(&self, path: &str) -> serde_json::Value {
        let (_, body) = self.get(path).unwrap();
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    /// An instant query; empty when the server does not answer.
    pub fn query(&self, expr: &str) -> Vec<Row> {
        let response = self
            .http
            .post(format!("{}/api/v1/query", self.base))
            .form(&[("query", expr)])
            .send();
        let Ok(body) = response.and_then(reqwest::blocking::Response::text) else {
            return Vec::new();
        };
        let value: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        rows(&value)
    }

    pub fn wait_value(&self, expr: &str, accept: impl Fn(f64) -> bool) -> f64 {
        wait_for(expr, || {
            self.query(expr)
                .first()?
                .1
                .parse()
                .ok()
                .filter(|v| accept(*v))
        })
    }
}

fn rows(value: &serde_json::Value) -> Vec<Row> {
    let result = value["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    result
        .iter()
        .filter_map(|r| {
            let labels = r["metric"]
                .as_object()?
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap_or("").to_owned()))
                .collect();
            Some((labels, r["value"][1].as_str()?.to_owned()))
        })
        .collect()
}

/// Clients of the test process need a provider as well.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether something listens on a local port.
pub fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The shared folder's conformance data, where there is one.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
