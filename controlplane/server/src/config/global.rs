//! The `global` section.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bellwether_model::labels::is_legacy_label_name;
use bellwether_scrape::ScrapeDefaults;
use bellwether_scrape::config::{ByteSize, PromDuration, ValidationScheme, check_protocols};
use serde::{Deserialize, Serialize};

use crate::flags::{Feature, Features};

/// `global` as written. A duration of 0 means the default, which loading puts there; a limit
/// of 0 means no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GlobalConfig {
    /// Time between scrapes; 1m.
    pub scrape_interval: PromDuration,
    /// Time a scrape may take; 10s, at most the interval.
    pub scrape_timeout: PromDuration,
    /// Formats to ask for; `None` means the default order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<String>>,
    /// Time between rule evaluations and default step of sub-queries; 1m.
    pub evaluation_interval: PromDuration,
    /// How far in the past rules are evaluated; 0s.
    #[serde(skip_serializing_if = "is_zero")]
    pub rule_query_offset: PromDuration,
    /// File for a line per query.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query_log_file: String,
    /// File for a line per failed scrape.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scrape_failure_log_file: String,
    /// Labels that leave with federation and later with remote write and alerts. `${VAR}` is expanded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_labels: BTreeMap<String, String>,
    /// Largest uncompressed page.
    #[serde(skip_serializing_if = "is_zero")]
    pub body_size_limit: ByteSize,
    /// Most samples of a scrape.
    #[serde(skip_serializing_if = "is_zero")]
    pub sample_limit: u64,
    /// Most targets of a pool.
    #[serde(skip_serializing_if = "is_zero")]
    pub target_limit: u64,
    /// Most labels of a sample.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_limit: u64,
    /// Longest label name in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_name_length_limit: u64,
    /// Longest label value in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_value_length_limit: u64,
    /// Dropped targets to remember per pool.
    #[serde(skip_serializing_if = "is_zero")]
    pub keep_dropped_targets: u64,
    /// `utf8` or `legacy`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metric_name_validation_scheme: String,
    /// How names leave and are asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metric_name_escaping_scheme: String,
    /// See the scrape configuration's key of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_native_histograms: Option<bool>,
    /// See the scrape configuration's key of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_scrape_classic_histograms: Option<bool>,
    /// See the scrape configuration's key of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// Also store the extra report series of a scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_scrape_metrics: Option<bool>,
}

impl GlobalConfig {
    /// Checks the section and puts the defaults in place of zero durations; an unwritten time-out follows a short
    /// interval. Schemes are checked with the scrape configurations that they apply to, but for the name.
    ///
    /// # Errors
    /// The key and what is wrong with it, in Prometheus' words.
    pub(crate) fn check(&mut self) -> Result<(), (&'static str, String)> {
        let scheme = ValidationScheme::parse(&self.metric_name_validation_scheme)
            .map_err(|e| ("metric_name_validation_scheme", e.to_string()))?;
        for name in self.external_labels.keys() {
            // Label names may be any UTF-8 since 3.0 unless the legacy scheme is asked for.
            let legacy = scheme == ValidationScheme::Legacy;
            if name.is_empty() || (legacy && !is_legacy_label_name(name)) {
                let message = format!("{name:?} is not a valid label name");
                return Err(("external_labels", message));
            }
        }
        self.fill_in()
            .map_err(|e| ("scrape_timeout", e.to_owned()))?;
        if let Some(protocols) = &self.scrape_protocols {
            let checked = check_protocols(protocols);
            checked.map_err(|e| ("scrape_protocols", format!("{e} for global config")))?;
        }
        Ok(())
    }

    /// How names are checked.
    pub(crate) fn validation_scheme(&self) -> ValidationScheme {
        ValidationScheme::parse(&self.metric_name_validation_scheme).unwrap_or_default()
    }

    fn fill_in(&mut self) -> Result<(), &'static str> {
        if self.scrape_interval.0.is_zero() {
            self.scrape_interval = seconds(60);
        }
        if self.evaluation_interval.0.is_zero() {
            self.evaluation_interval = seconds(60);
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err("global scrape timeout greater than scrape interval");
        }
        if self.scrape_timeout.0.is_zero() {
            self.scrape_timeout = seconds(10).min(self.scrape_interval);
        }
        Ok(())
    }

    /// What the scrape configurations inherit. Relative paths start at `base_dir`.
    #[must_use]
    pub fn scrape_defaults(&self, base_dir: &Path, features: &Features) -> ScrapeDefaults {
        ScrapeDefaults {
            scrape_interval: self.scrape_interval.0,
            scrape_timeout: self.scrape_timeout.0,
            scrape_protocols: self.scrape_protocols.clone().unwrap_or_default(),
            native_histograms: self
                .scrape_native_histograms
                .unwrap_or(features.has(Feature::NativeHistograms)),
            always_scrape_classic_histograms: self
                .always_scrape_classic_histograms
                .unwrap_or(false),
            convert_classic_histograms_to_nhcb: self
                .convert_classic_histograms_to_nhcb
                .unwrap_or(false),
            body_size_limit: self.body_size_limit.0,
            sample_limit: self.sample_limit,
            target_limit: self.target_limit,
            label_limit: self.label_limit,
            label_name_length_limit: self.label_name_length_limit,
            label_value_length_limit: self.label_value_length_limit,
            keep_dropped_targets: self.keep_dropped_targets,
            metric_name_validation_scheme: self.metric_name_validation_scheme.clone(),
            metric_name_escaping_scheme: self.metric_name_escaping_scheme.clone(),
            extra_scrape_metrics: self
                .extra_scrape_metrics
                .unwrap_or(features.has(Feature::ExtraScrapeMetrics)),
            type_and_unit_labels: features.has(Feature::TypeAndUnitLabels),
            metadata_records: features.has(Feature::MetadataWalRecords),
            start_timestamps: features.has(Feature::CreatedTimestampZeroIngestion),
            scrape_failure_log_file: Some(self.scrape_failure_log_file.clone())
                .filter(|f| !f.is_empty()),
            base_dir: base_dir.to_owned(),
        }
    }

    /// The evaluation interval in milliseconds.
    #[must_use]
    pub fn evaluation_interval_ms(&self) -> i64 {
        i64::try_from(self.evaluation_interval.0.as_millis()).unwrap_or(i64::MAX)
    }
}

fn seconds(n: u64) -> PromDuration {
    PromDuration(Duration::from_secs(n))
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
