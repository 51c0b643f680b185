//! Settings of the order service.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Why the settings are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {value:?} is not {expected}")]
pub struct ConfigError {
    /// The environment variable or setting.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}

/// Settings of one order service.
#[derive(Debug, Clone)]
pub struct OrdersConfig {
    /// Name in logs.
    pub name: String,
    /// Port to listen on, for callers that bind from this configuration;
    /// [`run`](crate::run) uses the listener it is given.
    pub port: u16,
    /// Orders processed at the same time; at least 1.
    pub workers: usize,
    /// Orders that may wait; at least 1.
    pub queue_capacity: usize,
    /// How long one order takes to process, uniformly random, in milliseconds.
    pub processing_ms: RangeInclusive<u64>,
    /// Limit on one answer; a slower one is 503.
    pub answer_timeout: Duration,
    /// How long an idle connection stays open.
    pub idle_timeout: Duration,
    /// How long shutdown waits for requests under way.
    pub drain_timeout: Duration,
    /// Seed of all simulated chance; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl Default for OrdersConfig {
    /// Port 8000; 4 workers at 5-50 ms do about 145 orders a second; the queue
    /// holds one full simulation.
    fn default() -> Self {
        Self {
            name: "orders".to_owned(),
            port: 8000,
            workers: 4,
            queue_capacity: 1000,
            processing_ms: 5..=50,
            answer_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            seed: None,
        }
    }
}

impl OrdersConfig {
    /// Defaults overlaid with the variables `PORT`, `ORDER_WORKERS` and
    /// `ORDER_QUEUE_CAPACITY` of `lookup`, which answers like `std::env::var`.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(port) = parse(&lookup, "PORT", "a port number")? {
            config.port = port;
        }
        let expected = "a whole number above 0";
        if let Some(workers) = parse::<std::num::NonZeroUsize>(&lookup, "ORDER_WORKERS", expected)?
        {
            config.workers = workers.get();
        }
        let key = "ORDER_QUEUE_CAPACITY";
        if let Some(capacity) = parse::<std::num::NonZeroUsize>(&lookup, key, expected)? {
            config.queue_capacity = capacity.get();
        }
        Ok(config)
    }
}

fn parse<T: std::str::FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    key: &'static str,
    expected: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = lookup(key).filter(|value| !value.trim().is_empty()) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(_) => Err(ConfigError {
            key,
            value,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(key: &'static str, value: &'static str) -> Result<OrdersConfig, ConfigError> {
        OrdersConfig::from_env(|name| (name == key).then(|| value.to_owned()))
    }

    #[test]
    fn the_environment_overlays_the_defaults() {
        assert_eq!(config("PORT", "").unwrap().port, 8000);
        assert_eq!(config("PORT", "8100").unwrap().port, 8100);
        assert_eq!(config("ORDER_WORKERS", "2").unwrap().workers, 2);
    }

    #[test]
    fn bad_values_name_the_variable() {
        let error = config("ORDER_QUEUE_CAPACITY", "0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "ORDER_QUEUE_CAPACITY: \"0\" is not a whole number above 0"
        );
        assert!(config("PORT", "http").is_err());
    }
}
