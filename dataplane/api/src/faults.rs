//! Faults: what an operator or a scenario breaks on purpose, at start or at
//! run time (`PUT /admin/faults`).
//!
//! | fault | effect |
//! |---|---|
//! | `error_rate` | this share of `/api` requests fails with 500, on top of the natural failures |
//! | `latency` | time added to `/api` requests: fixed, plus random up to a bound, plus per route |
//! | `dependency_outage` | the payment provider answers 503 until it is switched off: the circuit breaker trips |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The longest latency each single setting may add, in milliseconds. Below the
/// 15 s write timeout, so that a fault slows answers down instead of turning
/// each of them into a timeout.
pub const LATENCY_MAX_MS: u64 = 10_000;

/// All faults of one service. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of requests that fail, 0 to 1 inclusive.
    pub error_rate: f64,
    /// Added latency.
    pub latency: LatencyFaults,
    /// Outage of the payment provider.
    pub dependency_outage: DependencyOutage,
}

/// Latency added to requests, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyFaults {
    /// Added to every `/api` request.
    pub fixed_ms: u64,
    /// Uniformly random addition to every `/api` request, 0 to this, inclusive.
    pub random_ms: u64,
    /// Further additions by route template, such as `/api/users`. This is the
    /// only way to slow `/health` down.
    pub per_route: BTreeMap<String, RouteLatency>,
}

/// Latency added to one route, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteLatency {
    /// Added to every request of the route.
    pub fixed_ms: u64,
    /// Uniformly random addition, 0 to this, inclusive.
    pub random_ms: u64,
}

/// Outage of the dependency (the payment provider).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DependencyOutage {
    /// True while the dependency is out.
    pub active: bool,
}

/// Why a set of faults is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum FaultError {
    /// The error rate is not a share.
    #[error("error_rate is {0}, but must be a number from 0 to 1")]
    ErrorRate(f64),
    /// A latency is out of bounds.
    #[error("{key} is {value} ms, but must be at most {LATENCY_MAX_MS} ms")]
    Latency {
        /// The key path, such as `latency.fixed_ms`.
        key: String,
        /// The refused value in milliseconds.
        value: u64,
    },
    /// A latency names a route that the service does not have.
    #[error("latency.per_route names {route:?}, which is not a route; the routes are {known}")]
    UnknownRoute {
        /// The refused route.
        route: String,
        /// The routes there are, comma-separated.
        known: String,
    },
}

impl Faults {
    /// Checks bounds, and that every route named is one of `routes`.
    ///
    /// # Errors
    /// The first rule that is broken, with the key and what would be right.
    pub fn validate(&self, routes: &[&str]) -> Result<(), FaultError> {
        if !(0.0..=1.0).contains(&self.error_rate) {
            return Err(FaultError::ErrorRate(self.error_rate));
        }
        check_latency("latency.fixed_ms", self.latency.fixed_ms)?;
        check_latency("latency.random_ms", self.latency.random_ms)?;
        for (route, added) in &self.latency.per_route {
            if !routes.contains(&route.as_str()) {
                return Err(FaultError::UnknownRoute {
                    route: route.clone(),
                    known: routes.join(", "),
                });
            }
            let key = format!("latency.per_route[{route}]");
            check_latency(&format!("{key}.fixed_ms"), added.fixed_ms)?;
            check_latency(&format!("{key}.random_ms"), added.random_ms)?;
        }
        Ok(())
    }

    /// The latency to add to one request of `route`. The general part applies
    /// when `everywhere` is set (business routes), the route's own part always.
    pub(crate) fn added_latency(
        &self,
        route: &str,
        everywhere: bool,
        rng: &mut impl Rng,
    ) -> Duration {
        let mut total_ms = 0;
        if everywhere {
            total_ms += self.latency.fixed_ms + rng.random_range(0..=self.latency.random_ms);
        }
        if let Some(own) = self.latency.per_route.get(route) {
            total_ms += own.fixed_ms + rng.random_range(0..=own.random_ms);
        }
        Duration::from_millis(total_ms)
    }
}

fn check_latency(key: &str, value: u64) -> Result<(), FaultError> {
    if value > LATENCY_MAX_MS {
        return Err(FaultError::Latency {
            key: key.to_owned(),
            value,
        });
    }
    Ok(())
}

/// The faults in force: read by every request without a lock, replaced as a
/// whole by the admin endpoint. Clones share the same faults.
#[derive(Debug, Clone)]
pub(crate) struct FaultControl {
    current: Arc<ArcSwap<Faults>>,
    routes: &'static [&'static str],
}

impl FaultControl {
    pub(crate) fn new(
        initial: Faults,
        routes: &'static [&'static str],
    ) -> Result<Self, FaultError> {
        initial.validate(routes)?;
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(initial)),
            routes,
        })
    }

    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<Faults>> {
        self.current.load()
    }

    /// Puts `faults` in force, or refuses them and changes nothing.
    pub(crate) fn replace(&self, faults: Faults) -> Result<(), FaultError> {
        faults.validate(self.routes)?;
        tracing::info!(?faults, "faults changed");
        self.current.store(Arc::new(faults));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const ROUTES: &[&str] = &["/api/users", "/health"];

    #[test]
    fn bounds_are_checked_and_the_key_is_named() {
        let check = |json: &str, expected: &str| {
            let faults: Faults = serde_json::from_str(json).unwrap();
            let error = faults.validate(ROUTES).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should hold {expected}");
        };
        check(r#"{"error_rate":1.5}"#, "error_rate is 1.5");
        check(r#"{"error_rate":-0.1}"#, "error_rate is -0.1");
        check(
            r#"{"latency":{"fixed_ms":10001}}"#,
            "latency.fixed_ms is 10001",
        );
        check(r#"{"latency":{"random_ms":99999}}"#, "latency.random_ms");
        check(
            r#"{"latency":{"per_route":{"/nope":{"fixed_ms":1}}}}"#,
            "\"/nope\", which is not a route; the routes are /api/users, /health",
        );
        check(
            r#"{"latency":{"per_route":{"/health":{"random_ms":20000}}}}"#,
            "latency.per_route[/health].random_ms",
        );
        let nan = Faults {
            error_rate: f64::NAN,
            ..Faults::default()
        };
        assert!(nan.validate(ROUTES).is_err());
    }

    #[test]
    fn a_refused_replacement_changes_nothing() {
        let control = FaultControl::new(Faults::default(), ROUTES).unwrap();
        let bad = Faults {
            error_rate: 2.0,
            ..Faults::default()
        };
        assert!(control.replace(bad).is_err());
        assert_eq!(**control.current(), Faults::default());
    }

    #[test]
    fn the_general_latency_spares_health_but_its_own_entry_does_not() {
        let faults: Faults = serde_json::from_str(
            r#"{"latency":{"fixed_ms":100,"random_ms":50,"per_route":{"/health":{"fixed_ms":7}}}}"#,
        )
        .unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(
            faults.added_latency("/health", false, &mut rng),
            Duration::from_millis(7)
        );
        for _ in 0..200 {
            let added = faults
                .added_latency("/api/users", true, &mut rng)
                .as_millis();
            assert!((100..=150).contains(&added), "{added}");
        }
    }
}
