//! The reference server on our directory, and we on the directory after it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bellwether_model::storage::Appendable as _;
use bellwether_model::{Histogram, Labels, Span};
use bellwether_tsdb::Db;
use common::{Dump, Value, dump, open};

const MINUTE: i64 = 60_000;
const T0: i64 = 1_700_006_400_000;

fn fill(db: &Db, minutes: std::ops::Range<i64>) {
    for m in minutes {
        let t = T0 + m * MINUTE;
        let mut app = db.appender();
        for i in 0..30 {
            let l = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string()), ("a.b", "ü")]);
            let s = app.series(&l).unwrap();
            app.append(s, t + i, (m * 7 + i) as f64 / 3.0).unwrap();
        }
        let l = Labels::from_pairs([("__name__", "h")]);
        let s = app.series(&l).unwrap();
        let n = m as u64;
        let h = Histogram {
            schema: 1,
            zero_threshold: 0.001,
            zero_count: n,
            count: 3 * n,
            sum: m as f64,
            positive_spans: vec![Span {
                offset: 0,
                length: 1 + u32::from(m > 50),
            }],
            positive_buckets: if m > 50 { vec![m, 0] } else { vec![2 * m] },
            ..Histogram::default()
        };
        // The count must be the sum of the buckets in both shapes.
        app.append_histogram(s, t, h).unwrap();
        app.commit().unwrap();
    }
}

/// A running reference server; killed when dropped.
struct Reference {
    child: Child,
    port: u16,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reference {
    fn start(program: &Path, root: &Path, data: &Path) -> Self {
        let config = root.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--storage.tsdb.retention.time=3650d")
            .arg("--enable-feature=native-histograms")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !this.get("/-/ready").is_some_and(|a| a.contains(" 200 ")) {
            assert!(
                Instant::now() < deadline,
                "the reference server does not get ready"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // HTTP/1.0: the body ends with the connection and is never chunked.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// All samples up to a time, histograms only by count and sum.
    fn samples(&self, until: i64) -> Dump {
        let query = "%7B__name__%3D~%22.%2B%22%7D%5B30d%5D";
        let answer = self
            .get(&format!(
                "/api/v1/query?query={query}&time={}",
                until as f64 / 1000.0
            ))
            .unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["status"], "success", "{body}");
        let mut out = Dump::new();
        let time = |v: &serde_json::Value| (v[0].as_f64().unwrap() * 1000.0).round() as i64;
        for series in json["data"]["result"].as_array().unwrap() {
            let pairs = series["metric"].as_object().unwrap();
            let labels = Labels::from_pairs(pairs.iter().map(|(k, v)| (k, v.as_str().unwrap())));
            let samples = out.entry(labels.to_string()).or_default();
            for v in series["values"].as_array().into_iter().flatten() {
                let value = Value::Float(v[1].as_str().unwrap().parse().unwrap());
                samples.insert(time(v), value);
            }
            for v in series["histograms"].as_array().into_iter().flatten() {
                let number = |k: &str| v[1][k].as_str().unwrap().parse().unwrap();
                let (count, sum) = (number("count"), number("sum"));
                samples.insert(
                    time(v),
                    Value::Histogram {
                        count,
                        sum,
                        buckets: Vec::new(),
                    },
                );
            }
        }
        out
    }
}

fn without_buckets(mut dump: Dump) -> Dump {
    for v in dump.values_mut().flat_map(|s| s.values_mut()) {
        if let Value::Histogram { buckets, .. } = v {
            buckets.clear();
        }
    }
    dump
}

#[test]
fn the_reference_server_answers_the_same_from_our_directory_and_we_go_on_after_it() {
    let Some(program) = common::reference("prometheus") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let db = open(&data);
    fill(&db, 0..7 * 60);
    db.run_maintenance().unwrap();
    assert!(!db.blocks().is_empty());
    fill(&db, 7 * 60..8 * 60);
    let ours = dump(&*db, i64::MIN, i64::MAX);
    // As after a kill: no clean close.
    drop(db);
    let until = T0 + 9 * 60 * MINUTE;
    let reference = Reference::start(&program, root.path(), &data);
    common::assert_same(&reference.samples(until), &without_buckets(ours.clone()));
    // Killed in its turn; it has opened a segment and mapped head chunks by now.
    drop(reference);
    let db = open(&data);
    common::assert_same(&dump(&*db, i64::MIN, i64::MAX), &ours);
    fill(&db, 8 * 60..12 * 60);
    db.run_maintenance().unwrap();
    let ours = dump(&*db, i64::MIN, i64::MAX);
    db.close().unwrap();
    drop(db);
    let reference = Reference::start(&program, root.path(), &data);
    common::assert_same(
        &reference.samples(T0 + 13 * 60 * MINUTE),
        &without_buckets(ours),
    );
}

#[test]
fn the_reference_server_and_we_keep_each_other_out() {
    let Some(program) = common::reference("prometheus") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let reference = Reference::start(&program, root.path(), &data);
    let refused = Db::open(&data, common::options()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    drop(reference);
    open(&data);
}
