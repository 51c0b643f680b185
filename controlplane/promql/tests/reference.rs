//! Compares results, to the last digit, with a real Prometheus 3.5 that has the same data.
//!
//! Samples are written as OpenMetrics text, made a block by `promtool`, and loaded into our storage from the same
//! text. Expressions whose meaning changed after 3.5 are left out.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bellwether_model::storage::Appendable;
use bellwether_model::{Labels, float};
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{
    Engine, EngineOptions, ParseOptions, Point, QueryError, QueryOptions, QueryResult, Value,
};
use serde_json::Value as Json;

/// Seconds since the epoch of the first sample.
const START: i64 = 1_700_000_000;

fn program(name: &str) -> Option<PathBuf> {
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
        eprintln!("SKIPPED: {name} is neither in BELLWETHER_REFERENCE_BIN nor in PATH");
    }
    found
}

/// A running server, ended with the test.
struct Server {
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
    fn start(program: &Path, data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = data.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=promql-experimental-functions,promql-duration-expr")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server
            .get("/-/ready")
            .is_none_or(|(status, _)| status != 200)
        {
            assert!(Instant::now() < deadline, "prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    fn query(&self, path: &str, parameters: &[(&str, String)]) -> Json {
        let mut url = format!("/api/v1/{path}?");
        for (name, value) in parameters {
            let _ = write!(url, "{name}=");
            for b in value.bytes() {
                let _ = write!(url, "%{b:02X}");
            }
            url.push('&');
        }
        let (_, body) = self.get(&url).unwrap();
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"))
    }
}

/// A small generator, so that the data is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

type Data = BTreeMap<String, Vec<(i64, f64)>>;

/// Counters with resets, gauges, gaps, odd values, classic histograms: irregular times around 15 s.
fn data() -> Data {
    let mut random = Random(11);
    let mut all = Data::new();
    let times = |random: &mut Random, gaps: bool| -> Vec<i64> {
        (0..480)
            .filter(|i| !gaps || !(100..140).contains(i))
            .map(|i| (START + i * 15) * 1000 + (random.next() % 900) as i64)
            .collect()
    };
    for job in ["api", "db"] {
        for instance in ["a", "b", "c"] {
            let mut total = (random.next() % 50) as f64;
            let counter = times(&mut random, instance == "b")
                .into_iter()
                .map(|t| {
                    total = if random.next().is_multiple_of(97) {
                        0.0
                    } else {
                        total + (random.next() % 13) as f64 / 4.0
                    };
                    (t, total)
                })
                .collect();
            all.insert(
                format!("requests_total{{instance=\"{instance}\",job=\"{job}\"}}"),
                counter,
            );
            let gauge = times(&mut random, instance == "c")
                .into_iter()
                .map(|t| match random.next() % 60 {
                    0 if job == "db" => (t, f64::NAN),
                    1 if job == "db" => (t, f64::INFINITY),
                    n => (t, (n as f64 - 30.0) * 0.1),
                })
                .collect();
            all.insert(
                format!(
                    "temperature{{instance=\"{instance}\",job=\"{job}\",zone=\"z{}\"}}",
                    random.next() % 2
                ),
                gauge,
            );
        }
        let mut counts = [0.0; 6];
        let bounds = ["0.1", "0.5", "1.0", "2.5", "10.0", "+Inf"];
        for t in times(&mut random, false) {
            for _ in 0..random.next() % 5 {
                let bucket = (random.next() % 6) as usize;
                for count in &mut counts[bucket..] {
                    *count += 1.0;
                }
            }
            for (bound, count) in bounds.iter().zip(counts) {
                all.entry(format!(
                    "latency_seconds_bucket{{job=\"{job}\",le=\"{bound}\"}}"
                ))
                .or_default()
                .push((t, count));
            }
        }
    }
    all
}

fn open_metrics(data: &Data) -> String {
    // Families of unknown type, so that names stay as they are.
    let mut out = String::new();
    for (series, samples) in data {
        for (t, v) in samples {
            let _ = writeln!(
                out,
                "{series} {} {}.{:03}",
                float::plain(*v),
                t / 1000,
                t % 1000
            );
        }
    }
    out + "# EOF\n"
}

fn our_storage(data: &Data) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for (series, samples) in data {
        let (name, rest) = series.split_once('{').unwrap();
        let mut pairs = vec![("__name__", name)];
        for pair in rest.trim_end_matches('}').split(',') {
            let (n, v) = pair.split_once('=').unwrap();
            pairs.push((n, v.trim_matches('"')));
        }
        let mut appender = storage.appender();
        let reference = appender.series(&Labels::from_pairs(pairs)).unwrap();
        for (t, v) in samples {
            appender.append(reference, *t, *v).unwrap();
        }
        appender.commit().unwrap();
    }
    storage
}

/// A result in one form: labels to the texts of times and values; order only where it counts.
fn ours(result: &QueryResult) -> (String, Vec<String>) {
    let value = |v: f64| float::json(v);
    match &result.value {
        Value::Scalar { v, .. } => ("scalar".to_owned(), vec![value(*v)]),
        Value::String { s, .. } => ("string".to_owned(), vec![s.clone()]),
        Value::Vector(samples) => {
            let line = |point: &Point| match point {
                Point::Float(v) => value(*v),
                Point::Histogram(h) => h.to_string(),
            };
            let lines = samples
                .iter()
                .map(|s| format!("{} {}", s.labels, line(&s.point)));
            ("vector".to_owned(), lines.collect())
        }
        Value::Matrix(series) => {
            let lines = series.iter().map(|s| {
                let points: Vec<String> = s
                    .floats
                    .iter()
                    .map(|(t, v)| format!("{t}={}", value(v)))
                    .collect();
                format!("{} {}", s.labels, points.join(" "))
            });
            ("matrix".to_owned(), lines.collect())
        }
    }
}

fn theirs(data: &Json) -> (String, Vec<String>) {
    let kind = data["resultType"].as_str().unwrap().to_owned();
    let result = &data["result"];
    if kind == "scalar" || kind == "string" {
        return (kind, vec![result[1].as_str().unwrap().to_owned()]);
    }
    let lines = result.as_array().unwrap().iter().map(|series| {
        let labels: Vec<(String, String)> = series["metric"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect();
        let labels = Labels::from_pairs(labels);
        if kind == "vector" {
            return format!("{labels} {}", series["value"][1].as_str().unwrap());
        }
        let points: Vec<String> = series["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| {
                let t = (p[0].as_f64().unwrap() * 1000.0).round() as i64;
                format!("{t}={}", p[1].as_str().unwrap())
            })
            .collect();
        format!("{labels} {}", points.join(" "))
    });
    let lines = lines.collect();
    (kind, lines)
}

fn notes(json: &Json, key: &str) -> Vec<String> {
    let mut all: Vec<String> = json[key]
        .as_array()
        .map(|l| l.iter().map(|v| v.as_str().unwrap().to_owned()).collect())
        .unwrap_or_default();
    all.sort();
    all
}

/// Prometheus has the results of functions of instant vectors in the order of a hash map: the last digit of a sum over
/// them differs from run to run.
fn order_varies(expr: &str) -> bool {
    expr.contains("(abs(")
}

/// The same labels and times, and values that agree but for the last digits.
fn nearly_equal(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split(' '), b.split(' '));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if x == y => continue,
            (Some(x), Some(y)) => (x, y),
            _ => return false,
        };
        let (time, x) = x.rsplit_once('=').unwrap_or(("", x));
        let (their_time, y) = y.rsplit_once('=').unwrap_or(("", y));
        let (Ok(x), Ok(y)) = (x.parse::<f64>(), y.parse::<f64>()) else {
            return false;
        };
        if time != their_time || (x - y).abs() > 1e-14 * x.abs() {
            return false;
        }
    }
}

/// What differs between our result and theirs.
fn difference(expr: &str, our: Result<QueryResult, QueryError>, their: &Json) -> Option<String> {
    let our = match our {
        Ok(result) => result,
        Err(e) => {
            let text = their["error"].as_str().unwrap_or("no error");
            let same = text == e.to_string() || text.ends_with(&format!(": {e}"));
            return (!same).then(|| format!("ours: error {e}\ntheirs: {text}"));
        }
    };
    if let Some(error) = their["error"].as_str() {
        return Some(format!("ours: {:?}\ntheirs: error {error}", our.value));
    }
    let (mut a, mut b) = (ours(&our), theirs(&their["data"]));
    if !expr.starts_with("sort") && !expr.starts_with("topk") && !expr.starts_with("bottomk") {
        a.1.sort();
        b.1.sort();
    }
    let (mut warnings, mut infos) = our.annotations.render(expr, 10);
    warnings.sort();
    infos.sort();
    let annotations = (notes(their, "warnings"), notes(their, "infos"));
    if (warnings.clone(), infos.clone()) != annotations {
        return Some(format!(
            "our annotations: {warnings:?} {infos:?}\ntheirs: {annotations:?}"
        ));
    }
    if a.0 != b.0 || a.1.len() != b.1.len() {
        return Some(format!("ours: {a:?}\ntheirs: {b:?}"));
    }
    let at =
        a.1.iter()
            .zip(&b.1)
            .find(|(x, y)| x != y && !(order_varies(expr) && nearly_equal(x, y)))?;
    Some(format!("ours:   {}\ntheirs: {}", at.0, at.1))
}

/// One expression per line; `#` begins a comment.
const EXPRESSIONS: &str = include_str!("reference/expressions.txt");

#[test]
fn agrees_with_prometheus() {
    let (Some(prometheus), Some(promtool)) = (program("prometheus"), program("promtool")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    let text = folder.path().join("data.om");
    std::fs::write(&text, open_metrics(&data)).unwrap();
    let blocks = folder.path().join("data");
    let made = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&text)
        .arg(&blocks)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let server = Server::start(&prometheus, &blocks);
    let storage = our_storage(&data);
    let engine = Engine::new(EngineOptions {
        parse: ParseOptions {
            experimental_functions: true,
            ..ParseOptions::default()
        },
        ..EngineOptions::default()
    });
    let mut wrong = Vec::new();
    let mut count = 0;
    for expr in EXPRESSIONS.lines().map(str::trim) {
        if expr.is_empty() || expr.starts_with('#') {
            continue;
        }
        let at = START + 3605;
        let their = server.query(
            "query",
            &[("query", expr.to_owned()), ("time", at.to_string())],
        );
        let our = engine.instant(&storage, expr, at * 1000, &QueryOptions::default());
        count += 1;
        wrong.extend(difference(expr, our, &their).map(|d| format!("instant {expr}\n{d}")));
        if expr.starts_with("sort") {
            // Since 3.12 a range query warns.
            continue;
        }
        let (start, end, step) = (START + 300, START + 7300, 137);
        let their = server.query(
            "query_range",
            &[
                ("query", expr.to_owned()),
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("step", step.to_string()),
            ],
        );
        let our = engine.range(
            &storage,
            expr,
            start * 1000,
            end * 1000,
            step * 1000,
            &QueryOptions::default(),
        );
        count += 1;
        wrong.extend(difference(expr, our, &their).map(|d| format!("range {expr}\n{d}")));
    }
    eprintln!("{count} evaluations compared, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
