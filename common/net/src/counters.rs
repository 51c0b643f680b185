//! Metrics of a listener's connections, under the names that Prometheus has from go-conntrack.

use bellwether_telemetry::{Counter, Registry};

/// Connections of one listener, or of several with the same name.
#[derive(Clone, Debug)]
pub struct ConnectionCounters {
    accepted: Counter,
    closed: Counter,
}

impl ConnectionCounters {
    /// `net_conntrack_listener_conn_accepted_total` and `..._closed_total` with this `listener_name`.
    #[must_use]
    pub fn new(registry: &Registry, name: &str) -> Self {
        let counter = |name_of_metric: &str, help: &str| {
            registry.counter(name_of_metric, help, &[("listener_name", name)])
        };
        Self {
            accepted: counter(
                "net_conntrack_listener_conn_accepted_total",
                "Total number of connections opened to the listener of a given name.",
            ),
            closed: counter(
                "net_conntrack_listener_conn_closed_total",
                "Total number of connections closed that were made to the listener of a given name.",
            ),
        }
    }

    /// Counts a connection, and its end when what is returned is dropped.
    pub(crate) fn accept(&self) -> Accepted {
        self.accepted.inc();
        Accepted(self.closed.clone())
    }
}

/// A connection that is open.
pub(crate) struct Accepted(Counter);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.inc();
    }
}
