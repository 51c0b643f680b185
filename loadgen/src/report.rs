//! Progress while a load runs, and the report at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::config::LoadConfig;
use crate::connection::TransportError;
use crate::record::{Records, Tally};

/// The state of a running load. Counts are since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Requests that left.
    pub sent: u64,
    /// Responses with a status below 400.
    pub ok: u64,
    /// Responses with a status of 400 or more.
    pub http_errors: u64,
    /// Requests without a response.
    pub transport_errors: u64,
    /// Requests that were due but found all places taken.
    pub dropped_saturated: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests per second that left since the last progress.
    pub rate: f64,
    /// Median latency since the start, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of latency since the start, in milliseconds.
    pub p95_ms: f64,
}

impl Progress {
    pub(crate) fn new(
        records: &Records,
        elapsed: Duration,
        sent_before: u64,
        since: Duration,
    ) -> Self {
        let total = &records.total;
        let (completed, ok, errors) = (total.completed(), total.ok(), total.transport_errors());
        Self {
            elapsed_s: elapsed.as_secs_f64(),
            sent: total.sent,
            ok,
            http_errors: completed - ok,
            transport_errors: errors,
            dropped_saturated: total.dropped,
            in_flight: total.sent - completed - errors,
            rate: per_second(total.sent - sent_before, since),
            p50_ms: ms(total.latency_us.value_at_quantile(0.5)),
            p95_ms: ms(total.latency_us.value_at_quantile(0.95)),
        }
    }
}

impl fmt::Display for Progress {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6.0} s  {:>8} sent  {:>7.1}/s  {} ok  {} http errors  {} failed  {} dropped  \
             {} in flight  p50 {:.1} ms  p95 {:.1} ms",
            self.elapsed_s,
            self.sent,
            self.rate,
            self.ok,
            self.http_errors,
            self.transport_errors,
            self.dropped_saturated,
            self.in_flight,
            self.p50_ms,
            self.p95_ms,
        )
    }
}

/// Percentiles in milliseconds; all 0 when nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Smallest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

impl Latency {
    fn of(us: &Histogram<u64>) -> Self {
        let at = |quantile| ms(us.value_at_quantile(quantile));
        if us.is_empty() {
            return Self {
                min: 0.0,
                mean: 0.0,
                p50: 0.0,
                p90: 0.0,
                p95: 0.0,
                p99: 0.0,
                p999: 0.0,
                max: 0.0,
            };
        }
        Self {
            min: ms(us.min()),
            mean: us.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(us.max()),
        }
    }
}

/// What happened on one route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteReport {
    /// Method and path.
    pub route: &'static str,
    /// Weight in the mix.
    pub weight: u32,
    /// Requests that left.
    pub sent: u64,
    /// Responses with a status below 400.
    pub ok: u64,
    /// Requests that were due but found all places taken.
    pub dropped_saturated: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a response, by class; classes that did not occur are 0.
    pub errors: BTreeMap<&'static str, u64>,
    /// From the intended start to the end of the response. Requests without a
    /// response are not in it.
    pub latency_ms: Latency,
}

/// What a load did. `Display` is a table for people, `Serialize` the same for
/// machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The environment of the target.
    pub environment: String,
    /// The target's URL.
    pub target: String,
    /// The mix's name.
    pub mix: String,
    /// The pattern's name.
    pub pattern: &'static str,
    /// Requests per second that were asked for.
    pub rate_requested: f64,
    /// Requests per second that left.
    pub rate_sent: f64,
    /// From the first due request to the end of the schedule, in seconds.
    pub duration_s: f64,
    /// True when the load was stopped before its duration was over.
    pub interrupted: bool,
    /// Requests that were due.
    pub scheduled: u64,
    /// Requests that left.
    pub sent: u64,
    /// Responses with a status below 400.
    pub ok: u64,
    /// Responses with a status of 400 or more.
    pub http_errors: u64,
    /// Requests without a response.
    pub transport_errors: u64,
    /// Requests that were due but found all places taken: the target or this
    /// machine is too slow for the rate.
    pub dropped_saturated: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a response, by class: `connect`, `timeout`, `reset`,
    /// `protocol`, `aborted` (still under way at the end).
    pub errors: BTreeMap<&'static str, u64>,
    /// Of all responses, from the intended start.
    pub latency_ms: Latency,
    /// How late requests left. Latency includes it; when it is not small
    /// against the latency, this machine was the bottleneck.
    pub lag_ms: Latency,
    /// In the order of the mix.
    pub routes: Vec<RouteReport>,
}

impl Report {
    pub(crate) fn new(
        config: &LoadConfig,
        records: &Records,
        duration: Duration,
        interrupted: bool,
    ) -> Self {
        let total = &records.total;
        let ok = total.ok();
        let routes = config.mix.entries().iter().zip(&records.routes);
        Self {
            environment: config.environment.clone(),
            target: config.target.clone(),
            mix: config.mix.name().to_owned(),
            pattern: config.pattern.as_str(),
            rate_requested: config.rate,
            rate_sent: per_second(total.sent, duration),
            duration_s: duration.as_secs_f64(),
            // An endless load has no duration to cut short.
            interrupted: interrupted && config.duration.is_some(),
            scheduled: total.sent + total.dropped,
            sent: total.sent,
            ok,
            http_errors: total.completed() - ok,
            transport_errors: total.transport_errors(),
            dropped_saturated: total.dropped,
            statuses: total.statuses.clone(),
            errors: classes(total),
            latency_ms: Latency::of(&total.latency_us),
            lag_ms: Latency::of(&records.lag_us),
            routes: routes
                .map(|((operation, weight), tally)| RouteReport {
                    route: operation.route(),
                    weight: *weight,
                    sent: tally.sent,
                    ok: tally.ok(),
                    dropped_saturated: tally.dropped,
                    statuses: tally.statuses.clone(),
                    errors: classes(tally),
                    latency_ms: Latency::of(&tally.latency_us),
                })
                .collect(),
        }
    }

    /// Whether the load reached a target that answers: at least one response
    /// with a status below 400. A command that ran a load exits with 0 when
    /// this is true and with 1 when it is false (nothing was sent, no
    /// connection was made, or every answer was an error). Error responses and
    /// dropped requests beside successful ones are results, not failures of
    /// the run.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.ok > 0
    }
}

fn classes(tally: &Tally) -> BTreeMap<&'static str, u64> {
    TransportError::ALL
        .into_iter()
        .map(|error| {
            let count = tally.errors.get(&error).copied().unwrap_or(0);
            (error.name(), count)
        })
        .collect()
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    count as f64 / time.as_secs_f64()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ({}), mix {}, {} at {}/s for {:.1} s{}",
            self.environment,
            self.target,
            self.mix,
            self.pattern,
            self.rate_requested,
            self.duration_s,
            if self.interrupted {
                ", interrupted"
            } else {
                ""
            },
        )?;
        writeln!(
            f,
            "{} due, {} sent ({:.1}/s), {} ok, {} http errors, {} without response, {} dropped (saturated)",
            self.scheduled,
            self.sent,
            self.rate_sent,
            self.ok,
            self.http_errors,
            self.transport_errors,
            self.dropped_saturated,
        )?;
        writeln!(
            f,
            "statuses: {}; without response: {}",
            pairs(self.statuses.iter()),
            pairs(self.errors.iter().filter(|(_, count)| **count > 0)),
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<24} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "route (ms)", "sent", "ok", "failed", "p50", "p90", "p95", "p99", "max"
        )?;
        for route in &self.routes {
            let latency = answered(&route.statuses).then_some(&route.latency_ms);
            row(f, route.route, route.sent, route.ok, latency)?;
        }
        let latency = answered(&self.statuses).then_some(&self.latency_ms);
        row(f, "all", self.sent, self.ok, latency)?;
        write!(
            f,
            "\nlatency counts from the moment a request was due; requests left {:.1} ms late (p99)",
            self.lag_ms.p99
        )
    }
}

/// Whether there is a latency to speak of.
fn answered(statuses: &BTreeMap<u16, u64>) -> bool {
    statuses.values().any(|count| *count > 0)
}

fn row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    sent: u64,
    ok: u64,
    latency: Option<&Latency>,
) -> fmt::Result {
    write!(f, "{name:<24} {sent:>8} {ok:>8} {:>8}", sent - ok)?;
    let columns = |l: &Latency| [l.p50, l.p90, l.p95, l.p99, l.max].map(|v| format!("{v:.1}"));
    for column in latency.map_or_else(|| [""; 5].map(|_| "-".to_owned()), columns) {
        write!(f, " {column:>9}")?;
    }
    writeln!(f)
}

fn pairs<'a, K: fmt::Display + 'a>(entries: impl Iterator<Item = (&'a K, &'a u64)>) -> String {
    let text: Vec<String> = entries
        .map(|(key, count)| format!("{key}: {count}"))
        .collect();
    if text.is_empty() {
        "none".to_owned()
    } else {
        text.join(", ")
    }
}
