//! What to send, where and how fast.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::mix::{Mix, MixError};
use crate::schedule::Schedule;

/// The shape of the rate over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// The same rate all the time.
    #[default]
    Steady,
    /// The peak for a fifth of the time, in the middle.
    Spike,
    /// A rate that rises to the peak.
    Ramp,
    /// Ten seconds of the peak in every thirty.
    Burst,
    /// A rate that swings to the peak and back, once a minute.
    Wave,
}

impl Pattern {
    const ALL: [Self; 5] = [
        Self::Steady,
        Self::Spike,
        Self::Ramp,
        Self::Burst,
        Self::Wave,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Spike => "spike",
            Self::Ramp => "ramp",
            Self::Burst => "burst",
            Self::Wave => "wave",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Pattern {
    type Err = LoadError;

    fn from_str(name: &str) -> Result<Self, LoadError> {
        Self::ALL
            .into_iter()
            .find(|pattern| pattern.as_str() == name)
            .ok_or_else(|| LoadError::UnknownPattern(name.to_owned()))
    }
}

/// Why a load cannot be run.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LoadError {
    /// The target is not a URL that can be loaded.
    #[error("target {url:?}: {reason}")]
    Target {
        /// What was given.
        url: String,
        /// What would be right.
        reason: &'static str,
    },
    /// The rate is out of bounds.
    #[error("rate {0} must be above 0 and at most {RATE_MAX} requests per second")]
    Rate(f64),
    /// A limit is zero.
    #[error("{0} must be above 0")]
    Zero(&'static str),
    /// The mix cannot be used.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// No such pattern.
    #[error("pattern {0:?} does not exist; there are steady, spike, ramp, burst and wave")]
    UnknownPattern(String),
    /// The peak is below the rate, or too high.
    #[error("peak {0} must be at least the rate and at most {RATE_MAX} requests per second")]
    Peak(f64),
    /// A peak that nothing reaches.
    #[error("a peak needs a pattern that reaches it: spike, ramp, burst or wave")]
    PeakOfSteady,
    /// The system refuses the thread that keeps the schedule.
    #[error("cannot start the schedule's thread: {0}")]
    Thread(std::io::ErrorKind),
}

/// Requests per second at most: what one scheduling task can dispatch.
pub(crate) const RATE_MAX: f64 = 100_000.0;

/// The peak of a pattern, in rates, where none is given.
const PEAK_FACTOR: f64 = 4.0;

/// One load on one target. Several environments are several loads, run side by
/// side.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Base URL, such as `http://127.0.0.1:8081`; only `http`.
    pub target: String,
    /// The environment that the target belongs to, for the report.
    pub environment: String,
    /// Requests per second that are due; with a pattern other than steady, the least there are.
    pub rate: f64,
    /// Requests per second at the peak of the pattern; `None` is four times the rate.
    pub peak: Option<f64>,
    /// How long requests are due; `None` runs until shutdown.
    pub duration: Option<Duration>,
    /// Which requests, and how often each.
    pub mix: Mix,
    /// The shape of the rate over time.
    pub pattern: Pattern,
    /// Seed of the sequence of requests; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Limit on one exchange, connecting included.
    pub timeout: Duration,
    /// Requests in flight at most; one that is due beyond it is dropped and
    /// counted as such. Each takes one connection.
    pub in_flight_max: usize,
    /// How long requests in flight may take after a shutdown. (At the end of
    /// `duration` they have their own timeout.)
    pub drain_timeout: Duration,
    /// Time between two calls of the progress function.
    pub progress_interval: Duration,
}

impl LoadConfig {
    /// The `shop` mix at 10 requests per second, without end.
    #[must_use]
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            environment: "development".to_owned(),
            rate: 10.0,
            peak: None,
            duration: None,
            mix: Mix::shop(),
            pattern: Pattern::Steady,
            seed: None,
            timeout: Duration::from_secs(30),
            in_flight_max: 1000,
            drain_timeout: Duration::from_secs(5),
            progress_interval: Duration::from_secs(1),
        }
    }

    /// Checks everything that can be checked without a connection.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn validate(&self) -> Result<(), LoadError> {
        Target::parse(&self.target)?;
        if !(self.rate > 0.0 && self.rate <= RATE_MAX) {
            return Err(LoadError::Rate(self.rate));
        }
        if self.pattern == Pattern::Steady && self.peak.is_some() {
            return Err(LoadError::PeakOfSteady);
        }
        let peak = self.peak_rate();
        if !(peak >= self.rate && peak <= RATE_MAX) {
            return Err(LoadError::Peak(peak));
        }
        for (name, is_zero) in [
            ("duration", self.duration.is_some_and(|d| d.is_zero())),
            ("timeout", self.timeout.is_zero()),
            ("in_flight_max", self.in_flight_max == 0),
            ("progress_interval", self.progress_interval.is_zero()),
        ] {
            if is_zero {
                return Err(LoadError::Zero(name));
            }
        }
        Ok(())
    }

    /// The highest rate that the pattern reaches.
    pub(crate) fn peak_rate(&self) -> f64 {
        match self.pattern {
            Pattern::Steady => self.rate,
            _ => self.peak.unwrap_or(self.rate * PEAK_FACTOR),
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        Schedule::new(self.pattern, self.rate, self.peak_rate(), self.duration)
    }
}

/// A target that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The `Host` header.
    pub(crate) authority: String,
    /// What stands before every operation's path; empty or `/x`, never `/`.
    pub(crate) prefix: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, LoadError> {
        let refuse = |reason| LoadError::Target {
            url: url.to_owned(),
            reason,
        };
        let uri: http::Uri = url
            .parse()
            .map_err(|_| refuse("is not a URL; write http://host:port"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refuse("https is not available; use http")),
            _ => return Err(refuse("needs a scheme; write http://host:port")),
        }
        let authority = uri
            .authority()
            .ok_or_else(|| refuse("has no host; write http://host:port"))?;
        if uri.query().is_some() {
            return Err(refuse("must not have a query; operations bring their own"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn targets_are_split_into_their_parts() {
        let target = Target::parse("http://[::1]:8081/base/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8081));
        assert_eq!(target.authority, "[::1]:8081");
        assert_eq!(target.prefix, "/base");
        let plain = Target::parse("http://shop").unwrap();
        assert_eq!((plain.port, plain.prefix.as_str()), (80, ""));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_a_reason() {
        let check = |change: &dyn Fn(&mut LoadConfig), expected: &str| {
            let mut config = LoadConfig::new("http://localhost:1");
            change(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(&|c| c.target = "localhost:8080".into(), "scheme");
        check(&|c| c.target = "https://x".into(), "https is not available");
        check(&|c| c.target = "http://x/?a=b".into(), "query");
        check(&|c| c.target = "nonsense here".into(), "is not a URL");
        check(&|c| c.rate = 0.0, "rate 0 must be above 0");
        check(&|c| c.rate = f64::NAN, "rate NaN");
        check(&|c| c.rate = 1e9, "at most 100000");
        check(&|c| c.duration = Some(Duration::ZERO), "duration");
        check(&|c| c.in_flight_max = 0, "in_flight_max");
        let peak = |pattern, rate, peak| {
            move |c: &mut LoadConfig| (c.pattern, c.rate, c.peak) = (pattern, rate, Some(peak))
        };
        check(
            &peak(Pattern::Wave, 20.0, 10.0),
            "peak 10 must be at least the rate",
        );
        check(&peak(Pattern::Spike, 20.0, 1e9), "at most 100000");
        check(&peak(Pattern::Ramp, 20.0, f64::NAN), "peak NaN");
        check(&peak(Pattern::Steady, 20.0, 30.0), "needs a pattern");
        assert!(LoadConfig::new("http://localhost:1").validate().is_ok());
    }

    #[test]
    fn patterns_have_names() {
        assert_eq!("burst".parse(), Ok(Pattern::Burst));
        let error = "zigzag".parse::<Pattern>().unwrap_err().to_string();
        assert!(
            error.contains("zigzag") && error.contains("wave"),
            "{error}"
        );
    }
}
