//! `tracing`: where the server's own spans go.

use std::collections::BTreeMap;
use std::path::Path;

use bellwether_http::config::TlsConfig;
use bellwether_yaml::{PromDuration, Strict};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// `tracing`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct TracingConfig {
    /// `grpc` or `http`. Default `grpc`.
    #[serde(deserialize_with = "client_type")]
    pub client_type: String,
    /// Host and port of the receiver. Required.
    pub endpoint: Option<String>,
    /// The share of traces that begin here and are sent. Default 0; traces of others are sent when those say so.
    #[serde(skip_serializing_if = "is_default")]
    pub sampling_fraction: f64,
    /// No TLS. Default false.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure: bool,
    /// TLS towards the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Headers of each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `gzip`, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// How long a request may take. Default 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<PromDuration>,
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self {
            client_type: "grpc".to_owned(),
            endpoint: None,
            sampling_fraction: 0.0,
            insecure: false,
            tls_config: None,
            headers: BTreeMap::new(),
            compression: None,
            timeout: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'de> Deserialize<'de> for TracingConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "tracing", &[]))
    }
}

impl Serialize for TracingConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
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
    pub(super) fn problem(&self, base_dir: &Path) -> Option<String> {
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
        if let Some(tls) = &self.tls_config
            && let Err(error) = tls.resolve(base_dir)
        {
            return Some(error.to_string());
        }
        match self.compression.as_deref() {
            None | Some("" | "gzip") => None,
            Some(other) => Some(format!(
                "invalid compression type {other} provided, valid options: gzip"
            )),
        }
    }
}
