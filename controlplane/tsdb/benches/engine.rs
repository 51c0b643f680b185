//! The engine's hot paths, once each, with throughput and memory: new series, known series, log replay,
//! selection with decoding, head block. `cargo bench -p bellwether-tsdb [-- SERIES]`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use bellwether_model::storage::{Appendable as _, Queryable as _, SampleBuffer, SeriesRef};
use bellwether_model::{Labels, Matcher};
use bellwether_tsdb::{Db, DbOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const T0: i64 = 1_700_006_400_000;
/// Scrapes: an hour and a half of one every 30 s, so that chunks close.
const ROUNDS: i64 = 180;
const STEP: i64 = 30_000;

/// The shape of a scraped service: 8 labels, 400 series a target.
fn labels(i: usize) -> Labels {
    let instance = format!("10.0.{}.{}:9100", i / 400 / 250, i / 400 % 250);
    Labels::from_pairs([
        (
            "__name__",
            format!("http_request_duration_seconds_{}", i % 20),
        ),
        ("cluster", "eu-west-1".to_owned()),
        ("code", ["200", "404", "500"][i % 3].to_owned()),
        ("environment", ["prod", "dev", "qa"][i / 400 % 3].to_owned()),
        ("instance", instance),
        ("job", "shop-api".to_owned()),
        ("le", format!("0.{:03}", i / 20 % 20)),
        ("method", ["GET", "POST"][i % 2].to_owned()),
    ])
}

/// A mix: counters that move, counters that rest, gauges with noise.
fn value(i: usize, round: i64) -> f64 {
    match i % 4 {
        0 => (round * (i as i64 % 7 + 1)) as f64,
        1 => 42.0,
        2 => (round * 3 / 2) as f64,
        _ => ((i as i64 * 7919 + round * 104_729) % 10_007) as f64 / 100.0,
    }
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    kib.and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// A stop watch for CPU time of this thread, so that a busy machine does not blur the figures.
struct Watch(u64);

impl Watch {
    fn cpu_ns() -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }
    fn start() -> Self {
        Self(Self::cpu_ns())
    }
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(Self::cpu_ns() - self.0)
    }
}

fn report(what: &str, n: usize, took: Duration, extra: &str) {
    let each = took.as_nanos() as f64 / n as f64;
    println!("{what:<34} {n:>10} in {took:>10.2?} CPU  {each:>8.1} ns each  {extra}");
}

fn main() {
    let series: usize = std::env::args()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        retention: Duration::ZERO,
        ..DbOptions::default()
    };
    let all: Vec<Labels> = (0..series).map(labels).collect();
    let before = rss_bytes();
    let db = Db::open(dir.path(), options.clone()).unwrap();

    let begin = Watch::start();
    let mut refs: Vec<SeriesRef> = Vec::with_capacity(series);
    for (target, chunk) in all.chunks(400).enumerate() {
        let mut app = db.appender();
        for (i, l) in chunk.iter().enumerate() {
            let s = app.series(l).unwrap();
            app.append(s, T0, value(target * 400 + i, 0)).unwrap();
            refs.push(s);
        }
        app.commit().unwrap();
    }
    report("new series with first sample", series, begin.elapsed(), "");

    let begin = Watch::start();
    for l in &all {
        let mut app = db.appender();
        app.series(l).unwrap();
    }
    report("look-up by labels", series, begin.elapsed(), "");

    let mut early = 0;
    let begin = Watch::start();
    for round in 1..ROUNDS {
        for (target, chunk) in refs.chunks(400).enumerate() {
            let mut app = db.appender();
            for (i, s) in chunk.iter().enumerate() {
                app.append(*s, T0 + round * STEP, value(target * 400 + i, round))
                    .unwrap();
            }
            app.commit().unwrap();
        }
        if round == 20 {
            early = rss_bytes();
        }
    }
    let n = series * (ROUNDS as usize - 1);
    report(
        "known series (400 a commit)",
        n,
        begin.elapsed(),
        "log included",
    );
    let full = rss_bytes();
    db.run_maintenance().unwrap();
    let stats = db.stats();
    println!(
        "memory per series: {} bytes after 20 samples, {} after {ROUNDS}, {} with closed chunks in files; log {:.2} bytes a sample",
        (early - before) / series as u64,
        (full - before) / series as u64,
        (rss_bytes() - before) / series as u64,
        stats.wal_size_bytes as f64 / (n + series) as f64,
    );

    let q = db.querier(T0, T0 + ROUNDS * STEP).unwrap();
    let begin = Watch::start();
    let found = q.select(true, &[Matcher::equal("code", "200")]).unwrap();
    report(
        "select",
        found.len(),
        begin.elapsed(),
        "sorted, with labels",
    );
    let mut buffer = SampleBuffer::default();
    let mut samples = 0;
    let begin = Watch::start();
    for s in &found {
        buffer.clear();
        s.read(T0, T0 + ROUNDS * STEP, &mut buffer).unwrap();
        samples += buffer.len();
    }
    report("decode", samples, begin.elapsed(), "");
    drop((found, q, db));

    let begin = Watch::start();
    let db = Db::open(dir.path(), options).unwrap();
    report("replay of the log", n + series, begin.elapsed(), "samples");

    // A few more hours for some series, so that a block is due.
    for round in ROUNDS..ROUNDS + 240 {
        let mut app = db.appender();
        app.append(refs[0], T0 + round * STEP, 1.0).unwrap();
        app.commit().unwrap();
    }
    let begin = Watch::start();
    let done = db.run_maintenance().unwrap();
    assert_eq!(done.head_blocks, 1);
    let stats = db.stats();
    report(
        "head block and truncation",
        n + series,
        begin.elapsed(),
        &format!(
            "samples; {:.2} bytes a sample",
            stats.blocks_bytes as f64 / (n + series) as f64
        ),
    );
    let q = db.querier(T0, T0 + ROUNDS * STEP).unwrap();
    let begin = Watch::start();
    let found = q.select(true, &[Matcher::equal("code", "200")]).unwrap();
    report(
        "select in the block",
        found.len(),
        begin.elapsed(),
        "sorted, with labels",
    );
    let begin = Watch::start();
    let mut samples = 0;
    for s in &found {
        buffer.clear();
        s.read(T0, T0 + ROUNDS * STEP, &mut buffer).unwrap();
        samples += buffer.len();
    }
    report("decode from the block", samples, begin.elapsed(), "");
}
