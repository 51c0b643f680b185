//! The YAML of one `scrape_config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_discovery::SdConfigs;
use bellwether_discovery::config::HttpAndSd;
use bellwether_http::HttpClientConfig;
use bellwether_yaml::{ByteSize, PromDuration, Strict, list, null_is_default};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ScrapeConfigError;
use crate::relabel::RelabelConfig;

/// How metric and label names are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidationScheme {
    /// Any UTF-8 text.
    #[default]
    Utf8,
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    Legacy,
}

impl ValidationScheme {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Legacy => "legacy",
        }
    }

    /// The scheme of a name; empty for the default.
    ///
    /// # Errors
    /// [`ScrapeConfigError::UnknownValidationScheme`].
    pub fn parse(name: &str) -> Result<Self, ScrapeConfigError> {
        match name {
            "" | "utf8" => Ok(Self::Utf8),
            "legacy" => Ok(Self::Legacy),
            _ => Err(ScrapeConfigError::UnknownValidationScheme(name.to_owned())),
        }
    }
}

/// What a target is asked to do with names outside the legacy character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapingScheme {
    /// Send them as they are, quoted.
    #[default]
    AllowUtf8,
    /// Replace by underscores.
    Underscores,
    /// Dots become `_dot_`.
    Dots,
    /// `U__` and hexadecimal values.
    Values,
}

impl EscapingScheme {
    /// The scheme of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values]
            .into_iter()
            .find(|scheme| scheme.as_str() == name)
    }

    /// The name in the configuration and in the `Accept` header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// One entry of `scrape_configs`, as written. `None` means: the global section or the default decides.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct ScrapeConfig {
    /// Name of the job and of its pool; the default value of the `job` label. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub job_name: String,
    /// Keep scraped labels that clash with target labels. Default false: they become `exported_<name>`.
    #[serde(skip_serializing_if = "is_false")]
    pub honor_labels: bool,
    /// Take timestamps from the exposition. Default true.
    pub honor_timestamps: bool,
    /// Write stale markers also for series with their own timestamps. Default false.
    pub track_timestamps_staleness: bool,
    /// URL parameters.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub params: BTreeMap<String, Vec<String>>,
    /// Time between scrapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<PromDuration>,
    /// Time a scrape may take, at most the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<PromDuration>,
    /// Formats to ask for, in order of preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<String>>,
    /// Format of answers without a usable `Content-Type`; without it such a scrape fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<String>,
    /// Take native histograms, and so prefer the protobuf format, the only one that carries them. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_native_histograms: Option<bool>,
    /// Take the classic buckets of a histogram that is native as well. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_scrape_classic_histograms: Option<bool>,
    /// Make native histograms with custom buckets of classic ones, which are dropped unless
    /// [`Self::always_scrape_classic_histograms`] is set. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// Also store `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_scrape_metrics: Option<bool>,
    /// Path on the target. Default `/metrics`.
    pub metrics_path: String,
    /// `http` (default) or `https`.
    pub scheme: String,
    /// Largest uncompressed page; larger ones fail the scrape. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_size_limit: Option<ByteSize>,
    /// Most samples after metric relabelling. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_limit: Option<u64>,
    /// Most targets of the pool. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_limit: Option<u64>,
    /// Most labels of a sample. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_limit: Option<u64>,
    /// Longest label name in bytes. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_name_length_limit: Option<u64>,
    /// Longest label value in bytes. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_value_length_limit: Option<u64>,
    /// Most buckets of a native histogram: the resolution is lowered to keep it. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_histogram_bucket_limit: Option<u64>,
    /// Least growth from bucket to bucket of a native histogram: finer ones are lowered to it. 0: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_histogram_min_bucket_factor: Option<f64>,
    /// Dropped targets to remember for the API. 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_dropped_targets: Option<u64>,
    /// `utf8` (default) or `legacy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_name_validation_scheme: Option<String>,
    /// `allow-utf-8` (default), `underscores`, `dots` or `values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_name_escaping_scheme: Option<String>,
    /// File for a line per failed scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_failure_log_file: Option<String>,
    /// Ask for gzip. Default true.
    pub enable_compression: bool,
    /// How targets are asked.
    #[serde(flatten, skip_deserializing)]
    pub http: HttpClientConfig,
    /// Where targets come from.
    #[serde(flatten, skip_deserializing)]
    pub sd: SdConfigs,
    /// Rules for targets.
    #[serde(
        deserialize_with = "target_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules for samples.
    #[serde(
        deserialize_with = "metric_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// Where relative paths start, when that is not the folder of the main file.
    #[serde(skip)]
    pub base_dir: Option<PathBuf>,
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: BTreeMap::new(),
            scrape_interval: None,
            scrape_timeout: None,
            scrape_protocols: None,
            fallback_scrape_protocol: None,
            scrape_native_histograms: None,
            always_scrape_classic_histograms: None,
            convert_classic_histograms_to_nhcb: None,
            extra_scrape_metrics: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            body_size_limit: None,
            sample_limit: None,
            target_limit: None,
            label_limit: None,
            label_name_length_limit: None,
            label_value_length_limit: None,
            native_histogram_bucket_limit: None,
            native_histogram_min_bucket_factor: None,
            keep_dropped_targets: None,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            scrape_failure_log_file: None,
            enable_compression: true,
            http: HttpClientConfig::default(),
            sd: SdConfigs::default(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            base_dir: None,
        }
    }
}

impl<'de> Deserialize<'de> for ScrapeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut shared = HttpAndSd::default();
        let strict = Strict::new(deserializer, "scrape config", &[]).embed(&mut shared);
        let mut config = Self::deserialize(strict)?;
        config.http = shared.http;
        config.sd = shared.sd;
        Ok(config)
    }
}

impl Serialize for ScrapeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !*value
}

fn target_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(d, "empty or null target relabeling rule in scrape config")
}

fn metric_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(d, "empty or null metric relabeling rule in scrape config")
}
