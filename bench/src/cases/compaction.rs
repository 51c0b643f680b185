//! A block from the head: what it costs and how long appends and queries wait for it.
//!
//! The same small load runs through two windows of equal length, one before the block is due and one from then on. It
//! comes at a fixed rate, and its query asks for the same samples all the time, so it costs a server the same in both:
//! what the second window takes more is the block's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use crate::http::Pusher;
use crate::push::Requests;
use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{Common, now_ms, sleep};

const HOUR: i64 = 3600 * 1000;
/// From one append to the next, and from one query to the next.
const BEAT: Duration = Duration::from_millis(20);
/// The series of one append.
const APPENDED: usize = 240;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 500_000)]
    series: usize,
    /// Seconds between the samples of a series; the head holds three hours of them.
    #[arg(long, default_value_t = 60)]
    step: i64,
    /// Seconds of each window. A server may wait a minute before it begins, and removal from memory and log belongs to
    /// the block.
    #[arg(long, default_value_t = 120)]
    window: u64,
    /// Seconds between the loading and the first window, for what servers do behind it.
    #[arg(long, default_value_t = 65)]
    settle: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "compaction: three hours of {} series every {} s, two of them become a block",
            options.series, options.step
        ),
        &[
            plain("CPU s before", 2),
            compared("more with the block", 2),
            plain("s from due to done", 1),
            plain("slowest append before, ms", 1),
            compared("meanwhile, ms", 1),
            plain("slowest query before, ms", 1),
            compared("meanwhile, ms", 1),
            plain("MiB before", 0),
            plain("MiB peak", 0),
        ],
    );
    for kind in options
        .common
        .servers(&[Kind::Bellwether, Kind::Prometheus])
    {
        let figures = measure(options, &programs, kind)?;
        report.add(kind, &figures);
    }
    report.print();
    Ok(())
}

/// The small load.
struct Probe {
    requests: Requests,
    /// What the query asks for, in seconds: the two hours before have samples of the block and of the head.
    time: i64,
    window: Duration,
}

/// What was seen in a window.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cpu: f64,
    /// The slowest append and query.
    append_ms: f64,
    query_ms: f64,
    /// When the head was truncated.
    done: Option<Duration>,
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 9]> {
    let scratch = options.common.scratch()?;
    let server = Server::start(programs, kind, scratch.path(), Scraping::default())?;
    let start = (now_ms() - 3 * HOUR - HOUR / 10).div_euclid(2 * HOUR) * 2 * HOUR;
    load(options, &server, start)?;
    sleep(options.settle);
    let before = server.process.memory()?;

    // The head is due when it spans more than three hours.
    let clock = AtomicI64::new(start + 3 * HOUR - HOUR / 60);
    let mut probe = Probe {
        requests: Requests::new("probe", "one", APPENDED, APPENDED, 7),
        time: (start + 3 * HOUR - HOUR / 20) / 1000,
        window: Duration::from_secs(options.window),
    };
    let calm = watch(&server, &mut probe, &clock)?;
    ensure!(calm.done.is_none(), "{kind} made the block too early");
    clock.store(start + 3 * HOUR + HOUR / 60, Ordering::Relaxed);
    let busy = watch(&server, &mut probe, &clock)?;
    ensure!(
        busy.done.is_some(),
        "{kind} did not make the block in {} s",
        options.window
    );
    let peak = server.process.memory()?.peak;
    Ok([
        calm.cpu,
        busy.cpu - calm.cpu,
        busy.done.map_or(f64::NAN, |d| d.as_secs_f64()),
        calm.append_ms,
        busy.append_ms,
        calm.query_ms,
        busy.query_ms,
        before.resident / 1048576.0,
        peak / 1048576.0,
    ])
}

/// Nearly three hours of samples.
fn load(options: &Options, server: &Server, start: i64) -> anyhow::Result<()> {
    let mut requests = Requests::new("bench", "one", options.series, 5_000, 1);
    let mut pusher = Pusher::connect(server.address, server.push_path())?;
    let mut time = start;
    while time < start + 3 * HOUR - HOUR / 30 {
        requests.round(time, |body, _| pusher.push(body))?;
        time += options.step * 1000;
    }
    Ok(())
}

/// Appends and asks at a fixed rate for the length of a window.
fn watch(server: &Server, probe: &mut Probe, clock: &AtomicI64) -> anyhow::Result<Seen> {
    let truncations = "prometheus_tsdb_head_truncations_total";
    let Probe {
        requests,
        time,
        window,
    } = probe;
    let done_before = server.metric(truncations)?;
    let (cpu, start) = (server.process.cpu()?, Instant::now());
    std::thread::scope(|scope| {
        let appends = scope.spawn(|| -> anyhow::Result<f64> {
            let mut pusher = Pusher::connect(server.address, server.push_path())?;
            slowest(*window, || {
                let time = clock.fetch_add(1, Ordering::Relaxed);
                requests.round(time, |body, _| pusher.push(body))
            })
        });
        let queries = scope.spawn(|| -> anyhow::Result<f64> {
            let query = r#"sum by (code) (increase(app00_requests_total{job="bench",pod="0000-0000"}[2h]))"#;
            let answer = server.query(query, *time)?;
            slowest(*window, || {
                let again = server.query(query, *time)?;
                ensure!(again == answer, "{again:?} instead of {answer:?}");
                Ok(())
            })
        });
        let mut seen = Seen::default();
        let mut result = Ok(());
        while !appends.is_finished() || !queries.is_finished() {
            std::thread::sleep(Duration::from_millis(200));
            match server.metric(truncations) {
                Ok(n) if n > done_before => seen.done = seen.done.or(Some(start.elapsed())),
                Ok(_) => {}
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        seen.append_ms = join(appends)?;
        seen.query_ms = join(queries)?;
        result?;
        seen.cpu = server.process.cpu()? - cpu;
        Ok(seen)
    })
}

/// Does something on every beat of a window; how long it took at most, in milliseconds. Beats that pass meanwhile are
/// made up for, so that every window has the same work.
fn slowest(window: Duration, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    let mut beat = Duration::ZERO;
    while beat < window {
        std::thread::sleep(beat.saturating_sub(start.elapsed()));
        let begin = Instant::now();
        work()?;
        slowest = slowest.max(begin.elapsed());
        beat += BEAT;
    }
    Ok(slowest.as_secs_f64() * 1000.0)
}

fn join(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<f64>>) -> anyhow::Result<f64> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("a probe broke down")))
}
