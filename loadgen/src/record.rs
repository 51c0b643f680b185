//! What has happened so far: counts and latency histograms per operation.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::config::LoadConfig;
use crate::connection::TransportError;
use crate::mix::Mix;

/// Latencies are kept in microseconds, up to ten minutes: far beyond any
/// timeout plus the waiting before it.
const LATENCY_MAX_US: u64 = 600_000_000;

/// Significant digits of a measured run.
const DIGITS: u8 = 3;
/// Significant digits of an endless load, whose histograms stay in memory.
const DIGITS_ENDLESS: u8 = 2;

/// Counts and latencies of one operation, or of all.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<TransportError, u64>,
    /// From the intended start to the end of the response, in microseconds.
    /// Only of requests that have a response.
    pub(crate) latency_us: Histogram<u64>,
}

impl Tally {
    fn new(histogram: Histogram<u64>) -> Self {
        Self {
            sent: 0,
            dropped: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency_us: histogram,
        }
    }

    pub(crate) fn completed(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Responses with a status below 400.
    pub(crate) fn ok(&self) -> u64 {
        self.statuses.range(..400).map(|(_, count)| count).sum()
    }

    pub(crate) fn transport_errors(&self) -> u64 {
        self.errors.values().sum()
    }

    fn end(&mut self, result: Result<u16, TransportError>, latency: Duration) {
        match result {
            Ok(status) => {
                *self.statuses.entry(status).or_default() += 1;
                record(&mut self.latency_us, latency);
            }
            Err(error) => *self.errors.entry(error).or_default() += 1,
        }
    }
}

/// Everything a load has recorded.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) total: Tally,
    /// By index into the mix.
    pub(crate) routes: Vec<Tally>,
    /// From the intended to the real start, in microseconds.
    pub(crate) lag_us: Histogram<u64>,
}

/// The shared recorder. One lock, held for a few counter updates per request.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<Records>);

impl Recorder {
    pub(crate) fn new(config: &LoadConfig, mix: &Mix) -> Self {
        let digits = if config.duration.is_some() {
            DIGITS
        } else {
            DIGITS_ENDLESS
        };
        let tally = || Tally::new(histogram(digits));
        Self(Mutex::new(Records {
            total: tally(),
            routes: mix.entries().iter().map(|_| tally()).collect(),
            lag_us: histogram(digits),
        }))
    }

    /// A request that left `lag` after it was due.
    pub(crate) fn sent(&self, route: usize, lag: Duration) {
        let mut records = self.0.lock();
        records.total.sent += 1;
        records.routes[route].sent += 1;
        record(&mut records.lag_us, lag);
    }

    /// A request that was due but found no place.
    pub(crate) fn dropped(&self, route: usize) {
        let mut records = self.0.lock();
        records.total.dropped += 1;
        records.routes[route].dropped += 1;
    }

    /// A request that ended.
    pub(crate) fn ended(
        &self,
        route: usize,
        result: Result<u16, TransportError>,
        latency: Duration,
    ) {
        let mut records = self.0.lock();
        records.total.end(result, latency);
        records.routes[route].end(result, latency);
    }

    /// Runs `read` on the records; must be quick.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Records) -> T) -> T {
        read(&self.0.lock())
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    let mut histogram =
        Histogram::new(digits).expect("the number of digits is a constant from 1 to 5");
    // Small until long latencies really come.
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u64>, value: Duration) {
    let us = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    // Not `saturating_record`, which clamps to the present size instead of
    // growing the histogram.
    if let Err(error) = histogram.record(us.clamp(1, LATENCY_MAX_US)) {
        tracing::error!(%error, us, "a latency could not be recorded");
    }
}
