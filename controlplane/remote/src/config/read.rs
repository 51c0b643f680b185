//! One entry of `remote_read`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bellwether_http::{ClientSettings, HttpClientConfig};
use bellwether_yaml::{PromDuration, Strict, null_is_default};
use http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::write::without_password;
use super::{Address, RemoteConfigError, address, check_headers, hash, headers, redacted};

/// Largest frame of a streamed answer by default, in bytes.
const CHUNKED_READ_LIMIT: u64 = 50_000_000;

/// An entry of `remote_read` as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct RemoteReadConfig {
    /// Where requests go. Required.
    #[serde(serialize_with = "without_password")]
    pub url: Option<String>,
    /// Longest time of a request. Default 1m.
    pub remote_timeout: PromDuration,
    /// Largest frame of a streamed answer, in bytes. Default 50000000.
    pub chunked_read_limit: u64,
    /// Headers to add.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, String>,
    /// Whether it is asked also for what the local storage should have. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_recent: bool,
    /// Name in metrics; part of a hash by default.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// Authentication, TLS, proxies.
    #[serde(flatten, skip_deserializing)]
    pub http: HttpClientConfig,
    /// Labels that a selector must ask for, as they stand here, for this remote system to be asked.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub required_matchers: BTreeMap<String, String>,
    /// Whether external labels become matchers. Default true.
    pub filter_external_labels: bool,
}

impl Default for RemoteReadConfig {
    fn default() -> Self {
        Self {
            url: None,
            remote_timeout: PromDuration(Duration::from_secs(60)),
            chunked_read_limit: CHUNKED_READ_LIMIT,
            headers: BTreeMap::new(),
            read_recent: false,
            name: String::new(),
            http: HttpClientConfig::default(),
            required_matchers: BTreeMap::new(),
            filter_external_labels: true,
        }
    }
}

impl<'de> Deserialize<'de> for RemoteReadConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut http = HttpClientConfig::default();
        let strict = Strict::new(deserializer, "remote read config", &[]);
        let mut config = Self::deserialize(strict.embed(&mut http))?;
        config.http = http;
        Ok(config)
    }
}

impl Serialize for RemoteReadConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// An entry of `remote_read`, checked.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// Where requests go.
    pub address: Address,
    /// The same for metrics and logs: a password is hidden.
    pub endpoint: String,
    /// Name in metrics and logs.
    pub name: String,
    /// Equal for equal entries.
    pub hash: String,
    /// Longest time of a request.
    pub timeout: Duration,
    /// Largest frame of a streamed answer, in bytes.
    pub frame_bytes_max: u64,
    /// Headers to add.
    pub headers: HeaderMap,
    /// Whether it is asked also for what the local storage should have.
    pub read_recent: bool,
    /// Labels that a selector must ask for.
    pub required: BTreeMap<String, String>,
    /// Whether external labels become matchers.
    pub filter_external_labels: bool,
    /// The HTTP client.
    pub client: ClientSettings,
}

impl RemoteReadConfig {
    /// Checks the entry and fills in what follows from it. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words where it has some.
    pub fn resolve(&self, base_dir: &Path) -> Result<ReadSettings, RemoteConfigError> {
        let address = address(self.url.as_deref(), "remote_read")?;
        check_headers(&self.headers)?;
        if let Some(name) = self.required_matchers.keys().find(|name| name.is_empty()) {
            return Err(RemoteConfigError::Matcher(name.clone()));
        }
        let headers = headers(&self.headers)?;
        let client = self.http.resolve(base_dir)?;
        let hash = hash(self);
        Ok(ReadSettings {
            address,
            endpoint: redacted(self.url.as_deref().unwrap_or_default()),
            name: match self.name.as_str() {
                "" => hash[..6].to_owned(),
                name => name.to_owned(),
            },
            hash,
            timeout: self.remote_timeout.0,
            frame_bytes_max: self.chunked_read_limit,
            headers,
            read_recent: self.read_recent,
            required: self.required_matchers.clone(),
            filter_external_labels: self.filter_external_labels,
            client,
        })
    }
}
