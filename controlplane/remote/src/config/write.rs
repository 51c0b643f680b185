//! One entry of `remote_write`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bellwether_http::config::Sigv4Config;
use bellwether_http::{ClientSettings, HttpClientConfig};
use bellwether_scrape::config::ValidationScheme;
use bellwether_scrape::relabel::{RelabelConfig, Rules};
use bellwether_yaml::{PromDuration, Strict, null_is_default};
use http::HeaderMap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Address, AzureAdConfig, GoogleIamConfig, MetadataConfig, QueueConfig, RemoteConfigError,
    address, check_headers, hash, headers, redacted,
};

/// The message that carries samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Message {
    /// `prometheus.WriteRequest`.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Message {
    /// Its protobuf name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        [Self::V1, Self::V2]
            .into_iter()
            .find(|message| message.as_str() == text)
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "invalid protobuf_message value: unknown type for remote write protobuf message {text}, supported: {}, {}",
                    Self::V1.as_str(),
                    Self::V2.as_str()
                ))
            })
    }
}

/// An entry of `remote_write` as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct RemoteWriteConfig {
    /// Where requests go. Required.
    #[serde(serialize_with = "without_password")]
    pub url: Option<String>,
    /// Longest time of a request. Default 30s.
    pub remote_timeout: PromDuration,
    /// Headers to add.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, String>,
    /// Rules for series, after the external labels were added.
    #[serde(
        deserialize_with = "relabel_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Name in metrics and logs; part of a hash by default.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// Whether exemplars are sent. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_exemplars: bool,
    /// Whether native histograms are sent. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_native_histograms: bool,
    /// Whether each connection goes to another address of the name. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub round_robin_dns: bool,
    /// The message. Default `prometheus.WriteRequest`.
    pub protobuf_message: Message,
    /// Whether requests that failed are logged at level debug. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed_request_logging: bool,
    /// Authentication, TLS, proxies.
    #[serde(flatten, skip_deserializing)]
    pub http: HttpClientConfig,
    /// Queue and shards.
    #[serde(deserialize_with = "super::queue::queue")]
    pub queue_config: QueueConfig,
    /// Metadata of version 1.
    #[serde(deserialize_with = "super::queue::metadata")]
    pub metadata_config: MetadataConfig,
    /// Amazon's signatures, which this build does not make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Sigv4Config>,
    /// Microsoft's tokens, which this build does not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azuread: Option<AzureAdConfig>,
    /// Google's tokens, which this build does not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google_iam: Option<GoogleIamConfig>,
    /// How label names of relabelling rules are checked; the global section says it.
    #[serde(skip)]
    pub names: ValidationScheme,
}

/// HTTP/2 is off for remote write unless it is asked for.
fn default_http() -> HttpClientConfig {
    HttpClientConfig {
        enable_http2: false,
        ..HttpClientConfig::default()
    }
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            url: None,
            remote_timeout: PromDuration(Duration::from_secs(30)),
            headers: BTreeMap::new(),
            write_relabel_configs: Vec::new(),
            name: String::new(),
            send_exemplars: false,
            send_native_histograms: false,
            round_robin_dns: false,
            protobuf_message: Message::V1,
            failed_request_logging: false,
            http: default_http(),
            queue_config: QueueConfig::default(),
            metadata_config: MetadataConfig::default(),
            sigv4: None,
            azuread: None,
            google_iam: None,
            names: ValidationScheme::default(),
        }
    }
}

impl<'de> Deserialize<'de> for RemoteWriteConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut http = default_http();
        let strict = Strict::new(deserializer, "remote write config", &[]);
        let mut config = Self::deserialize(strict.embed(&mut http))?;
        config.http = http;
        Ok(config)
    }
}

impl Serialize for RemoteWriteConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

fn relabel_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    let rules = Option::<Vec<Option<RelabelConfig>>>::deserialize(d)?.unwrap_or_default();
    let rule = |rule: Option<RelabelConfig>| {
        rule.ok_or_else(|| D::Error::custom("empty or null relabeling rule in remote write config"))
    };
    rules.into_iter().map(rule).collect()
}

/// As Prometheus shows URLs: a password is hidden.
pub(super) fn without_password<S: Serializer>(
    url: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    url.as_deref().map(redacted).serialize(serializer)
}

/// An entry of `remote_write`, checked.
#[derive(Clone, Debug)]
pub struct WriteSettings {
    /// Where requests go.
    pub address: Address,
    /// The same for metrics and logs: a password is hidden.
    pub endpoint: String,
    /// Name in metrics and logs.
    pub name: String,
    /// What the position in the log is kept under: the name, or the address where there is none.
    pub key: String,
    /// Equal for entries that need no new queue.
    pub hash: String,
    /// Longest time of a request.
    pub timeout: Duration,
    /// Headers to add.
    pub headers: HeaderMap,
    /// Rules for series.
    pub relabel: Rules,
    /// Whether exemplars are sent.
    pub send_exemplars: bool,
    /// Whether native histograms are sent.
    pub send_native_histograms: bool,
    /// Whether requests that failed are logged.
    pub failed_request_logging: bool,
    /// The message.
    pub message: Message,
    /// The HTTP client.
    pub client: ClientSettings,
    /// Samples that wait in each shard.
    pub capacity: usize,
    /// Most shards.
    pub max_shards: usize,
    /// Fewest shards.
    pub min_shards: usize,
    /// Most samples of a request.
    pub max_samples_per_send: usize,
    /// Longest time that a sample waits for its request to fill.
    pub batch_send_deadline: Duration,
    /// First and longest pause after a failure that may pass.
    pub backoff: (Duration, Duration),
    /// Whether status 429 is one.
    pub retry_on_429: bool,
    /// Samples older than this are dropped.
    pub sample_age_limit: Option<Duration>,
    /// How often metadata is sent, if it is, and how many families at once.
    pub metadata: Option<(Duration, usize)>,
}

impl RemoteWriteConfig {
    /// Checks the entry and fills in what follows from it. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words where it has some.
    pub fn resolve(&self, base_dir: &Path) -> Result<WriteSettings, RemoteConfigError> {
        let address = address(self.url.as_deref(), "remote_write")?;
        check_headers(&self.headers)?;
        self.http.check()?;
        let queue = &self.queue_config;
        queue.check()?;
        let cloud = self.check_auth()?;
        let relabel = Rules::under(self.names, &self.write_relabel_configs)?;
        // What Prometheus takes as well comes last, so that all other mistakes are told first.
        let headers = headers(&self.headers)?;
        let mut client = self.http.resolve(base_dir)?;
        client.addresses_in_turn = self.round_robin_dns;
        if let Some(name) = cloud {
            return Err(RemoteConfigError::CloudAuth(name));
        }
        let hash = hash(self);
        let endpoint = redacted(self.url.as_deref().unwrap_or_default());
        let (name, key) = match self.name.as_str() {
            "" => (hash[..6].to_owned(), format!("url {endpoint}")),
            name => (name.to_owned(), format!("name {name}")),
        };
        // Positive by the checks above.
        let count = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let metadata = &self.metadata_config;
        Ok(WriteSettings {
            address,
            endpoint,
            name,
            key,
            hash,
            timeout: self.remote_timeout.0,
            headers,
            relabel,
            send_exemplars: self.send_exemplars,
            send_native_histograms: self.send_native_histograms,
            failed_request_logging: self.failed_request_logging,
            message: self.protobuf_message,
            client,
            capacity: count(queue.capacity),
            max_shards: count(queue.max_shards),
            min_shards: count(queue.min_shards),
            max_samples_per_send: count(queue.max_samples_per_send),
            batch_send_deadline: queue.batch_send_deadline.0,
            backoff: (queue.min_backoff.0, queue.max_backoff.0),
            retry_on_429: queue.retry_on_http_429,
            sample_age_limit: Some(queue.sample_age_limit.0).filter(|limit| !limit.is_zero()),
            metadata: (metadata.send && self.protobuf_message == Message::V1).then(|| {
                (
                    metadata.send_interval.0,
                    count(metadata.max_samples_per_send.max(1)),
                )
            }),
        })
    }

    /// The cloud's login that is asked for, if one is.
    fn check_auth(&self) -> Result<Option<&'static str>, RemoteConfigError> {
        let http = &self.http;
        let has_bearer = http
            .bearer_token
            .as_ref()
            .is_some_and(|token| !token.is_empty())
            || http
                .bearer_token_file
                .as_ref()
                .is_some_and(|f| !f.is_empty());
        let cloud = [
            ("sigv4", self.sigv4.is_some()),
            ("azuread", self.azuread.is_some()),
            ("google_iam", self.google_iam.is_some()),
        ];
        let own = [
            ("basic_auth", self.http.basic_auth.is_some()),
            (
                "authorization",
                self.http.authorization.is_some() || has_bearer,
            ),
            ("oauth2", self.http.oauth2.is_some()),
        ];
        let all = own.iter().chain(&cloud).filter(|(_, is_set)| *is_set);
        let names: Vec<&str> = all.map(|(name, _)| *name).collect();
        if names.len() > 1 {
            return Err(RemoteConfigError::Auth(names.join(" ")));
        }
        let found = cloud.into_iter().find(|(_, is_set)| *is_set);
        Ok(found.map(|(name, _)| name))
    }
}
