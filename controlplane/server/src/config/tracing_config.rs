//! `tracing`: read and checked as Prometheus does. This server makes no spans that could be exported, which the log says.

use std::collections::BTreeMap;

use bellwether_http::config::TlsConfig;
use bellwether_yaml::{PromDuration, Strict};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Headers that the protocol sets itself.
const RESERVED: &[&str] = &[
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// `tracing` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", default)]
#[allow(dead_code, reason = "read to be checked")]
pub(super) struct TracingConfig {
    #[serde(deserialize_with = "client_type")]
    client_type: String,
    endpoint: Option<String>,
    sampling_fraction: f64,
    insecure: bool,
    tls_config: Option<TlsConfig>,
    headers: BTreeMap<String, String>,
    compression: Option<String>,
    timeout: Option<PromDuration>,
}

impl<'de> Deserialize<'de> for TracingConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "tracing", &[]))
    }
}

fn client_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "http" | "grpc" => Ok(text),
        _ => Err(D::Error::custom(format!(
            "expected tracing client type to be to be http or grpc, but got {text}"
        ))),
    }
}

impl TracingConfig {
    /// What is wrong with the section.
    pub(super) fn problem(&self) -> Option<String> {
        for header in self.headers.keys() {
            let lower = header.to_lowercase();
            if lower == "authorization" {
                return Some(
                    "custom authorization header configuration is not yet supported".to_owned(),
                );
            }
            if RESERVED.contains(&lower.as_str()) {
                return Some(format!(
                    "{header} is a reserved header. It must not be changed"
                ));
            }
        }
        if self.endpoint.as_deref().unwrap_or_default().is_empty() {
            return Some("tracing endpoint must be set".to_owned());
        }
        match self.compression.as_deref() {
            None | Some("" | "gzip") => None,
            Some(other) => Some(format!(
                "invalid compression type {other} provided, valid options: gzip"
            )),
        }
    }
}
