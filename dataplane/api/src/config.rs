//! Settings of the shop API and of the payment provider, and how the
//! environment fills them.
//!
//! `from_env` gives defaults overlaid with the environment. A caller that has
//! explicit values (the stack file) sets the public fields afterwards, and so
//! wins over the generic environment; [`TelemetryConfig::set_otlp`] does that
//! for the endpoint of all signals at once.

use std::time::Duration;

use rand::Rng;

use crate::breaker::BreakerSettings;
use crate::env::{Env, key_value_list};
use crate::faults::Faults;
use crate::telemetry_config::TelemetryConfig;

/// Why the settings are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value has the wrong form or is out of bounds.
    #[error("{key}: {value:?} is not {expected}")]
    Invalid {
        /// The environment variable or setting.
        key: String,
        /// What was given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The faults to start with are out of bounds.
    #[error("faults at start: {0}")]
    Faults(#[from] crate::faults::FaultError),
}

/// Who a service is: its OpenTelemetry resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `service.name`.
    pub service_name: String,
    /// `service.version`.
    pub service_version: String,
    /// `service.instance.id`: a random UUID, chosen once per run.
    pub instance_id: String,
    /// `deployment.environment.name`, such as `prod`.
    pub environment: String,
    /// `data_plane_id`; sent only when set. The collector of the plane sets the
    /// same attribute on everything that passes through it.
    pub data_plane_id: Option<String>,
    /// Further resource attributes (`OTEL_RESOURCE_ATTRIBUTES`). The fields
    /// above win over an entry of the same key.
    pub attributes: Vec<(String, String)>,
}

impl Identity {
    fn from_env(env: &Env, default_name: &str) -> Self {
        let mut attributes = env
            .get("OTEL_RESOURCE_ATTRIBUTES")
            .map(|text| key_value_list("OTEL_RESOURCE_ATTRIBUTES", &text))
            .unwrap_or_default();
        // OTEL_SERVICE_NAME wins over service.name in the attributes
        // (specification, configuration/sdk-environment-variables.md); the
        // service's own default comes last.
        let mut from_attributes = |key: &str| {
            let at = attributes.iter().rposition(|(k, _)| k == key)?;
            Some(attributes.remove(at).1).filter(|value| !value.is_empty())
        };
        let service_name = from_attributes("service.name");
        let service_version = from_attributes("service.version");
        let instance_id = from_attributes("service.instance.id");
        let environment = from_attributes("deployment.environment.name");
        let data_plane_id = from_attributes("data_plane_id");
        Self {
            service_name: env
                .get("OTEL_SERVICE_NAME")
                .or(service_name)
                .unwrap_or_else(|| default_name.to_owned()),
            service_version: service_version
                .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            instance_id: instance_id.unwrap_or_else(random_uuid),
            environment: env
                .get("ENV")
                .or(environment)
                .unwrap_or_else(|| "development".to_owned()),
            data_plane_id: env.get("DATA_PLANE_ID").or(data_plane_id),
            attributes,
        }
    }
}

/// A random UUID, version 4 (RFC 9562, section 5.4).
fn random_uuid() -> String {
    let random: u128 = rand::rng().random();
    let versioned = (random & !(0xf << 76)) | (4 << 76);
    let bits = (versioned & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Limits on how long one exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To read a request's body; a slower one is 408.
    pub read: Duration,
    /// To produce and write the answer; a handler that takes longer is 503.
    pub write: Duration,
    /// How long an idle connection stays open, and how long the head of a
    /// request may take: the HTTP server has one timer for both.
    pub idle: Duration,
    /// How long shutdown waits for requests under way.
    pub drain: Duration,
}

impl Default for Timeouts {
    /// 15 s, 15 s, 60 s, 30 s (requirements, section 3.1).
    fn default() -> Self {
        Self {
            read: Duration::from_secs(15),
            write: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// Where the shop API finds its payment provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentProvider {
    /// [`run`](crate::run) starts one of its own on a free loopback port, and
    /// stops it with the API.
    Embedded,
    /// At this base URL, such as `http://127.0.0.1:8091`.
    Url(String),
}

/// Settings of one shop API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Name in logs, such as `api-prod`.
    pub name: String,
    /// The resource of its telemetry.
    pub identity: Identity,
    /// Where and how telemetry is sent.
    pub telemetry: TelemetryConfig,
    /// Port to listen on, for callers that bind from this configuration;
    /// [`run`](crate::run) uses the listener it is given.
    pub port: u16,
    /// Faults in force at start.
    pub faults: Faults,
    /// The dependency of `POST /api/payments`.
    pub payment_provider: PaymentProvider,
    /// How long one call to the payment provider may take.
    pub payment_timeout: Duration,
    /// The circuit breaker around the payment provider.
    pub breaker: BreakerSettings,
    /// Limits on each exchange.
    pub timeouts: Timeouts,
    /// Seed of all simulated chance; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl ApiConfig {
    /// Defaults overlaid with `env`.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `ENV` | environment | `development` |
    /// | `DATA_PLANE_ID` | data plane | not sent |
    /// | `PORT` | port | 8080 |
    /// | `ERROR_RATE` | injected failures, 0 to 1 | 0 |
    /// | `LATENCY_MS`, `LATENCY_RANDOM_MS` | injected latency | 0 |
    /// | `DEPENDENCY_OUTAGE` | `true`: the payment provider is out | false |
    /// | `PAYMENT_PROVIDER_URL` | an external payment provider | embedded |
    /// | `OTEL_ENDPOINT`, `OTEL_*` | see [`TelemetryConfig::from_env`] | |
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            name: "api".to_owned(),
            identity: Identity::from_env(env, "shop-api"),
            telemetry: TelemetryConfig::from_env(env)?,
            port: env.parse("PORT", "a port number")?.unwrap_or(8080),
            faults: faults_from_env(env)?,
            payment_provider: env
                .get("PAYMENT_PROVIDER_URL")
                .map_or(PaymentProvider::Embedded, PaymentProvider::Url),
            payment_timeout: Duration::from_secs(2),
            breaker: BreakerSettings::default(),
            timeouts: Timeouts::default(),
            seed: None,
        })
    }

    /// The settings of a payment provider that belongs to this API: same
    /// environment, plane, telemetry and seed, its own name and instance.
    #[must_use]
    pub fn provider_config(&self) -> ProviderConfig {
        ProviderConfig {
            name: format!("{}-payment-provider", self.name),
            identity: Identity {
                service_name: "payment-provider".to_owned(),
                instance_id: random_uuid(),
                ..self.identity.clone()
            },
            telemetry: self.telemetry.clone(),
            port: 0,
            faults: Faults::default(),
            timeouts: self.timeouts,
            seed: self.seed.map(|seed| seed.wrapping_add(1)),
        }
    }
}

/// Settings of one payment provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Name in logs.
    pub name: String,
    /// The resource of its telemetry.
    pub identity: Identity,
    /// Where and how telemetry is sent.
    pub telemetry: TelemetryConfig,
    /// Port to listen on, for callers that bind from this configuration.
    pub port: u16,
    /// Faults in force at start.
    pub faults: Faults,
    /// Limits on each exchange.
    pub timeouts: Timeouts,
    /// Seed of all simulated chance; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl ProviderConfig {
    /// Defaults overlaid with `env`, by the variables of
    /// [`ApiConfig::from_env`]; the default port is 8091.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            name: "payment-provider".to_owned(),
            identity: Identity::from_env(env, "payment-provider"),
            telemetry: TelemetryConfig::from_env(env)?,
            port: env.parse("PORT", "a port number")?.unwrap_or(8091),
            faults: faults_from_env(env)?,
            timeouts: Timeouts::default(),
            seed: None,
        })
    }
}

fn faults_from_env(env: &Env) -> Result<Faults, ConfigError> {
    let mut faults = Faults::default();
    if let Some(rate) = env.parse("ERROR_RATE", "a number from 0 to 1")? {
        faults.error_rate = rate;
    }
    if let Some(ms) = env.parse("LATENCY_MS", "a number of milliseconds")? {
        faults.latency.fixed_ms = ms;
    }
    if let Some(ms) = env.parse("LATENCY_RANDOM_MS", "a number of milliseconds")? {
        faults.latency.random_ms = ms;
    }
    faults.dependency_outage.active = env.flag("DEPENDENCY_OUTAGE");
    faults.validate(&[])?;
    Ok(faults)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_need_no_environment() {
        let config = ApiConfig::from_env(&Env::empty()).unwrap();
        assert_eq!(config.port, 8080);
        assert_eq!(config.identity.service_name, "shop-api");
        assert_eq!(config.identity.environment, "development");
        assert_eq!(config.faults, Faults::default());
        assert_eq!(config.payment_provider, PaymentProvider::Embedded);
    }

    #[test]
    fn the_environment_fills_everything() {
        let env = Env::from_pairs([
            ("ENV", "qa"),
            ("DATA_PLANE_ID", "plane-3"),
            ("PORT", "8083"),
            ("ERROR_RATE", "0.1"),
            ("LATENCY_MS", "20"),
            ("LATENCY_RANDOM_MS", "5"),
            ("DEPENDENCY_OUTAGE", "True"),
            ("PAYMENT_PROVIDER_URL", "http://pay:1"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=ignored,service.version=9,team=pay%20ments",
            ),
            ("OTEL_SERVICE_NAME", "checkout"),
        ]);
        let config = ApiConfig::from_env(&env).unwrap();
        assert_eq!(config.identity.environment, "qa");
        assert_eq!(config.identity.data_plane_id.as_deref(), Some("plane-3"));
        assert_eq!(config.identity.service_name, "checkout");
        assert_eq!(config.identity.service_version, "9");
        assert_eq!(
            config.identity.attributes,
            [("team".to_owned(), "pay ments".to_owned())]
        );
        assert_eq!(config.port, 8083);
        assert_eq!(config.faults.error_rate, 0.1);
        assert_eq!(config.faults.latency.fixed_ms, 20);
        assert_eq!(config.faults.latency.random_ms, 5);
        assert!(config.faults.dependency_outage.active);
        assert_eq!(
            config.payment_provider,
            PaymentProvider::Url("http://pay:1".to_owned())
        );
        let provider = config.provider_config();
        assert_eq!(provider.identity.service_name, "payment-provider");
        assert_eq!(provider.identity.environment, "qa");
        assert_ne!(provider.identity.instance_id, config.identity.instance_id);
    }

    #[test]
    fn bad_values_name_the_variable() {
        for (key, value, expected) in [
            ("PORT", "99999", "PORT: \"99999\" is not a port number"),
            (
                "ERROR_RATE",
                "x",
                "ERROR_RATE: \"x\" is not a number from 0 to 1",
            ),
            ("ERROR_RATE", "7", "faults at start: error_rate is 7"),
            ("LATENCY_MS", "-1", "LATENCY_MS"),
            ("LATENCY_MS", "60000", "latency.fixed_ms is 60000 ms"),
        ] {
            let error = ApiConfig::from_env(&Env::from_pairs([(key, value)])).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn instance_ids_are_version_4_uuids() {
        let id = random_uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_ne!(id, random_uuid());
    }
}
