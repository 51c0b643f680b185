//! A block from the head: what it costs and how long appends and queries wait for it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use crate::http::Pusher;
use crate::push::Requests;
use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{Common, now_ms, sleep};

const HOUR: i64 = 3600 * 1000;
/// Between two appends and between two queries.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 500_000)]
    series: usize,
    /// Seconds between the samples of a series; the head holds three hours of them.
    #[arg(long, default_value_t = 60)]
    step: i64,
    /// Seconds of the same small load before the block is due, for comparison.
    #[arg(long, default_value_t = 20)]
    baseline: u64,
    /// Seconds that are watched after the block is made: removal from memory and log belongs to it.
    #[arg(long, default_value_t = 10)]
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
            compared("CPU s", 2),
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

/// What the small load found.
#[derive(Clone, Copy, Debug, Default)]
struct Slowest {
    append_ms: f64,
    query_ms: f64,
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 8]> {
    let scratch = options.common.scratch()?;
    let server = Server::start(programs, kind, scratch.path(), Scraping::default())?;
    let start = (now_ms() - 3 * HOUR - HOUR / 10).div_euclid(2 * HOUR) * 2 * HOUR;
    load(options, &server, start)?;
    sleep(5);
    let before = server.process.memory()?;

    // The head is due when it spans more than three hours.
    let clock = AtomicI64::new(start + 3 * HOUR - HOUR / 60);
    let mut probe = Requests::new("probe", "one", 240, 240, 7);
    let (cpu, from) = (server.process.cpu()?, Instant::now());
    let calm = watch(&server, &mut probe, &clock, |_| {
        Ok(from.elapsed().as_secs() >= options.baseline)
    })?;
    let idle = (server.process.cpu()? - cpu) / from.elapsed().as_secs_f64();

    clock.store(start + 3 * HOUR + HOUR / 60, Ordering::Relaxed);
    let truncations = "prometheus_tsdb_head_truncations_total";
    let done_before = server.metric(truncations)?;
    let (cpu, from) = (server.process.cpu()?, Instant::now());
    let mut done = None;
    let busy = watch(&server, &mut probe, &clock, |server| {
        if done.is_none() && server.metric(truncations)? > done_before {
            done = Some(from.elapsed());
        }
        Ok(done.is_some_and(|d| from.elapsed() > d + Duration::from_secs(options.settle)))
    })?;
    let elapsed = from.elapsed().as_secs_f64();
    let cpu = server.process.cpu()? - cpu - idle * elapsed;
    let peak = server.process.memory()?.peak;
    Ok([
        cpu,
        done.map_or(f64::NAN, |d| d.as_secs_f64()),
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

/// Appends and asks for a small set of series until `is_over`, which is called ten times a second.
fn watch(
    server: &Server,
    probe: &mut Requests,
    clock: &AtomicI64,
    mut is_over: impl FnMut(&Server) -> anyhow::Result<bool>,
) -> anyhow::Result<Slowest> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let appends = scope.spawn(|| -> anyhow::Result<f64> {
            let mut pusher = Pusher::connect(server.address, server.push_path())?;
            let mut slowest = 0f64;
            while !over.load(Ordering::Relaxed) {
                let time = clock.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                probe.round(time, |body, _| pusher.push(body))?;
                slowest = slowest.max(start.elapsed().as_secs_f64() * 1000.0);
                std::thread::sleep(PAUSE);
            }
            Ok(slowest)
        });
        let queries = scope.spawn(|| -> anyhow::Result<f64> {
            let mut slowest = 0f64;
            while !over.load(Ordering::Relaxed) {
                let time = clock.load(Ordering::Relaxed) / 1000;
                let start = Instant::now();
                server.query(
                    r#"sum by (code) (rate(app00_requests_total{job="probe"}[5m]))"#,
                    time,
                )?;
                slowest = slowest.max(start.elapsed().as_secs_f64() * 1000.0);
                std::thread::sleep(PAUSE);
            }
            Ok(slowest)
        });
        let mut result = Ok(false);
        while matches!(result, Ok(false)) && !appends.is_finished() && !queries.is_finished() {
            std::thread::sleep(Duration::from_millis(100));
            result = is_over(server);
        }
        over.store(true, Ordering::Relaxed);
        let found = Slowest {
            append_ms: join(appends)?,
            query_ms: join(queries)?,
        };
        result?;
        Ok(found)
    })
}

fn join(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<f64>>) -> anyhow::Result<f64> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("a probe broke down")))
}
