//! Points in time, to the nanosecond as Prometheus keeps them for groups and alerts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds since the epoch; good for the years 1678 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The wall clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, nanos))
    }

    /// From milliseconds since the epoch.
    #[must_use]
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// From whole seconds since the epoch.
    #[must_use]
    pub fn from_seconds(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000_000))
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Later by a duration.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// Earlier by a duration.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// Nanoseconds from an earlier time to this one; negative when it is a later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// For people and interfaces.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0.into()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// A duration in nanoseconds, cut off where it does not fit.
#[must_use]
pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Go's `time.Duration.String()` of nanoseconds: `1h0m0s`, `1m30.5s`, `1ms`.
#[must_use]
pub fn go_duration(ns: i128) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    for (unit, size) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if ns < size * 1000 {
            return format!("{sign}{}{unit}", decimal(ns, size));
        }
    }
    let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
    let seconds = decimal(rest, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

/// `n / size` with all digits behind the point; `size` is a power of ten.
fn decimal(n: u128, size: u128) -> String {
    let digits = size.ilog10() as usize;
    let fraction = format!("{:0digits$}", n % size);
    match fraction.trim_end_matches('0') {
        fraction if size > 1 && !fraction.is_empty() => format!("{}.{fraction}", n / size),
        _ => (n / size).to_string(),
    }
}
