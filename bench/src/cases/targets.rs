//! Many small targets: CPU for a sample, and how late scrapes are while a dashboard asks its queries.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::source::Source;
use crate::{ALL, Common, http, now_ms, sleep};

/// What the pages of a dashboard ask for.
const PANELS: [&str; 8] = [
    "sum(rate(app00_requests_total[1m]))",
    "sum by (code) (rate(app00_requests_total[1m]))",
    "sum by (instance) (rate(app01_requests_total[1m]))",
    "histogram_quantile(0.95, sum by (le) (rate(app00_request_duration_seconds_bucket[1m])))",
    "histogram_quantile(0.99, sum by (le) (rate(app01_request_duration_seconds_bucket[1m])))",
    "sum(rate(app00_requests_total{code=\"500\"}[1m])) / sum(rate(app00_requests_total[1m]))",
    "topk(5, sum by (pod) (app00_queue_length))",
    "count(up == 1)",
];

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Targets.
    #[arg(long, default_value_t = 1000)]
    targets: usize,
    /// Series of each.
    #[arg(long, default_value_t = 500)]
    per_target: usize,
    /// Seconds between two scrapes of a target.
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// Seconds of each of the two parts.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 30)]
    warm_up: u64,
    /// Milliseconds between two refreshes of the dashboard.
    #[arg(long, default_value_t = 2000)]
    refresh: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "targets: {} targets of {} series every {} s, {} s alone and {} s with a dashboard",
            options.targets, options.per_target, options.interval, options.seconds, options.seconds
        ),
        &[
            plain("samples/s", 0),
            compared("CPU s/million samples", 3),
            plain("latest scrape ms", 1),
            plain("left out", 0),
            plain("latest with queries ms", 1),
            plain("% of the interval", 2),
            plain("left out with queries", 0),
            plain("queries", 0),
        ],
    );
    for kind in options.common.servers(&ALL) {
        report.add(kind, &measure(options, &programs, kind)?);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 8]> {
    let series = options.targets * options.per_target;
    let source = Source::start(series, options.per_target, 0.0)?;
    let targets = source.addresses().len() as u64;
    let scratch = options.common.scratch()?;
    let scraping = Scraping {
        targets: source.addresses(),
        interval_s: options.interval,
        ..Scraping::default()
    };
    let mut server = Server::start(programs, kind, scratch.path(), scraping)?;
    server.wait_until("scraping all targets twice", || {
        Ok(source.pages_served() >= 2 * targets)
    })?;
    sleep(options.warm_up);

    source.forget_arrivals();
    let (samples, cpu, started) = (server.samples()?, server.process.cpu()?, Instant::now());
    sleep(options.seconds);
    let cpu = server.process.cpu()? - cpu;
    let samples = server.samples()? - samples;
    let elapsed = started.elapsed().as_secs_f64();
    let interval = Duration::from_secs(options.interval);
    let alone = Lateness::of(&source.arrivals(), interval);

    source.forget_arrivals();
    let queries = with_dashboard(&server, options, || sleep(options.seconds));
    let asked = Lateness::of(&source.arrivals(), interval);
    let millis = |lateness: &Lateness| lateness.largest.as_secs_f64() * 1e3;
    Ok([
        samples / elapsed,
        cpu / samples * 1e6,
        millis(&alone),
        alone.left_out as f64,
        millis(&asked),
        100.0 * asked.largest.as_secs_f64() / interval.as_secs_f64(),
        asked.left_out as f64,
        queries as f64,
    ])
}

/// Runs `work` while a dashboard refreshes; the number of its queries that were answered.
fn with_dashboard(server: &Server, options: &Options, work: impl FnOnce()) -> u64 {
    let (stopped, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = server.address;
    let refresh = Duration::from_millis(options.refresh);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                for panel in PANELS {
                    let end = now_ms() / 1000;
                    let path = format!(
                        "/api/v1/query_range?query={}&start={}&end={end}&step=5",
                        http::encode(panel),
                        end - 300
                    );
                    match http::get(address, &path) {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => eprintln!("{panel}: {error:#}"),
                    }
                }
                std::thread::sleep(refresh.saturating_sub(began.elapsed()));
            }
        });
        work();
        stopped.store(true, Ordering::Relaxed);
    });
    answered.into_inner()
}

/// How far scrapes are from their schedule.
#[derive(Debug, PartialEq)]
struct Lateness {
    /// Behind the target's schedule, which its earliest scrape tells.
    largest: Duration,
    /// Moments of the schedule at which no scrape came.
    left_out: u64,
}

impl Lateness {
    /// From the moments at which each target was asked.
    fn of(arrivals: &[Vec<Instant>], interval: Duration) -> Self {
        let mut out = Self {
            largest: Duration::ZERO,
            left_out: 0,
        };
        let interval = interval.as_secs_f64();
        for times in arrivals {
            let Some(first) = times.first() else {
                continue;
            };
            // Seconds behind a schedule that begins with the first one; which round it was, and how far off.
            let behind: Vec<(f64, f64)> = times
                .iter()
                .map(|t| {
                    let since = t.duration_since(*first).as_secs_f64();
                    let round = (since / interval).round();
                    (round, since - round * interval)
                })
                .collect();
            let earliest = behind.iter().map(|b| b.1).fold(f64::INFINITY, f64::min);
            let latest = behind.iter().map(|b| b.1).fold(0.0, f64::max);
            out.largest = out.largest.max(Duration::from_secs_f64(latest - earliest));
            let rounds = behind.last().map_or(0.0, |b| b.0) as u64 + 1;
            out.left_out += rounds.saturating_sub(times.len() as u64);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_told_against_the_earliest_scrape() {
        let zero = Instant::now();
        let at = |ms: &[u64]| -> Vec<Instant> {
            ms.iter()
                .map(|ms| zero + Duration::from_millis(*ms))
                .collect()
        };
        let second = Duration::from_secs(1);
        let of = |arrivals: &[Vec<Instant>]| Lateness::of(arrivals, second);
        let on_time = of(&[at(&[5, 1005, 2005]), at(&[])]);
        assert_eq!((on_time.largest.as_millis(), on_time.left_out), (0, 0));
        // The first one was late itself.
        let late = of(&[at(&[30, 1010, 2060])]);
        assert_eq!((late.largest.as_millis(), late.left_out), (50, 0));
        let missing = of(&[at(&[0, 2000, 3000])]);
        assert_eq!((missing.largest.as_millis(), missing.left_out), (0, 1));
    }
}
