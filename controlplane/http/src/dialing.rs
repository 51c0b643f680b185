//! Metrics of connections, under the names that Prometheus has from go-conntrack.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bellwether_telemetry::{Counter, Registry};

/// Why a connection was not opened, as far as it is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Resolution,
    Refused,
    Timeout,
    Unknown,
}

impl Reason {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Resolution, "resolution"),
        (Self::Refused, "refused"),
        (Self::Timeout, "timeout"),
        (Self::Unknown, "unknown"),
    ];

    fn of(error: &(dyn Error + 'static)) -> Self {
        // The connector's own words: its error has no other sign of it.
        if error.to_string() == "dns error" {
            return Self::Resolution;
        }
        let mut at = Some(error);
        while let Some(error) = at {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => return Self::Refused,
                Some(io::ErrorKind::TimedOut) => return Self::Timeout,
                _ => at = error.source(),
            }
        }
        Self::Unknown
    }
}

/// The connections of one client.
#[derive(Clone)]
pub(crate) struct Dialing {
    attempted: Counter,
    established: Counter,
    closed: Counter,
    failed: Arc<[Counter; 4]>,
}

impl Dialing {
    pub(crate) fn new(registry: &Registry, name: &str) -> Self {
        let counter = |what: &str, help: &str, more: &[(&str, &str)]| {
            let labels = [&[("dialer_name", name)], more].concat();
            registry.counter(
                &format!("net_conntrack_dialer_conn_{what}_total"),
                help,
                &labels,
            )
        };
        Self {
            attempted: counter(
                "attempted",
                "Total number of connections attempted by the given dialer a given name.",
                &[],
            ),
            established: counter(
                "established",
                "Total number of connections successfully established by the given dialer a given name.",
                &[],
            ),
            closed: counter(
                "closed",
                "Total number of connections closed which originated from the dialer of a given name.",
                &[],
            ),
            failed: Arc::new(Reason::ALL.map(|(_, reason)| {
                counter(
                    "failed",
                    "Total number of connections failed to dial by the dialer a given name.",
                    &[("reason", reason)],
                )
            })),
        }
    }

    pub(crate) fn attempt(&self) {
        self.attempted.inc();
    }

    pub(crate) fn fail(&self, error: &(dyn Error + 'static)) {
        let reason = Reason::of(error);
        let all = Reason::ALL.iter().zip(self.failed.iter());
        for ((known, _), counter) in all {
            if *known == reason {
                counter.inc();
            }
        }
    }

    /// Counts a connection that stands, and its end when what is returned is dropped.
    pub(crate) fn establish(&self) -> Open {
        self.established.inc();
        Open(self.closed.clone())
    }
}

/// A connection that stands.
pub(crate) struct Open(Counter);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.inc();
    }
}
