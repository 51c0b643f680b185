//! From a configuration as written to the settings of a pool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_discovery::SdConfigs;
use bellwether_http::ClientSettings;

use super::{EscapingScheme, ProtocolsError, ScrapeConfig, ScrapeConfigError, ValidationScheme};
use crate::protocol::ScrapeProtocol;
use crate::relabel::Rules;

/// The part of the global section that scrape configurations inherit. Limits of 0 mean no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeDefaults {
    /// Default 1m.
    pub scrape_interval: Duration,
    /// Default 10s; shortened to the interval where a configuration leaves the time-out open.
    pub scrape_timeout: Duration,
    /// Names of the protocols in order of preference; empty for Prometheus' own order.
    pub scrape_protocols: Vec<String>,
    /// Take native histograms. Default false.
    pub native_histograms: bool,
    /// Take classic buckets beside native histograms. Default false.
    pub always_scrape_classic_histograms: bool,
    /// Make native histograms with custom buckets of classic ones. Default false.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Bytes.
    pub body_size_limit: u64,
    /// Samples.
    pub sample_limit: u64,
    /// Targets of a pool.
    pub target_limit: u64,
    /// Labels of a sample.
    pub label_limit: u64,
    /// Bytes.
    pub label_name_length_limit: u64,
    /// Bytes.
    pub label_value_length_limit: u64,
    /// Dropped targets to remember.
    pub keep_dropped_targets: u64,
    /// `utf8`, `legacy` or empty for `utf8`.
    pub metric_name_validation_scheme: String,
    /// One of the escaping schemes, or empty for the default.
    pub metric_name_escaping_scheme: String,
    /// Also store the extra report series.
    pub extra_scrape_metrics: bool,
    /// Store type and unit of a family as labels of its series.
    pub type_and_unit_labels: bool,
    /// Tell storage type, unit and help of each series.
    pub metadata_records: bool,
    /// Store a zero sample where a counter began, and so prefer the protobuf format, which says that best.
    pub start_timestamps: bool,
    /// Default of `scrape_failure_log_file`.
    pub scrape_failure_log_file: Option<String>,
    /// Directory of the configuration file: relative paths start there.
    pub base_dir: PathBuf,
}

impl Default for ScrapeDefaults {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            scrape_protocols: Vec::new(),
            native_histograms: false,
            always_scrape_classic_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            body_size_limit: 0,
            sample_limit: 0,
            target_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            keep_dropped_targets: 0,
            metric_name_validation_scheme: String::new(),
            metric_name_escaping_scheme: String::new(),
            extra_scrape_metrics: false,
            type_and_unit_labels: false,
            metadata_records: false,
            start_timestamps: false,
            scrape_failure_log_file: None,
            base_dir: PathBuf::from("."),
        }
    }
}

/// What a pool runs with: everything checked, every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// The job's name.
    pub job_name: String,
    /// See [`ScrapeConfig::honor_labels`].
    pub honor_labels: bool,
    /// See [`ScrapeConfig::honor_timestamps`].
    pub honor_timestamps: bool,
    /// See [`ScrapeConfig::track_timestamps_staleness`].
    pub track_timestamps_staleness: bool,
    /// URL parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// Time between scrapes.
    pub scrape_interval: Duration,
    /// Time a scrape may take.
    pub scrape_timeout: Duration,
    /// `Accept` header.
    pub accept: String,
    /// Format of answers without a usable content type.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// Take native histograms.
    pub native_histograms: bool,
    /// Take classic buckets beside native histograms.
    pub always_scrape_classic_histograms: bool,
    /// Make native histograms with custom buckets of classic ones.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Buckets of a native histogram; 0 no limit.
    pub native_histogram_bucket_limit: u64,
    /// The highest resolution of native histograms.
    pub native_histogram_max_schema: Option<i32>,
    /// Store the extra report series.
    pub extra_scrape_metrics: bool,
    /// Store type and unit of a family as labels of its series.
    pub type_and_unit_labels: bool,
    /// Tell storage type, unit and help of each series.
    pub metadata_records: bool,
    /// Store a zero sample where a counter began.
    pub start_timestamps: bool,
    /// Path on the target.
    pub metrics_path: String,
    /// Scheme.
    pub scheme: String,
    /// Bytes; 0 no limit.
    pub body_size_limit: u64,
    /// Samples; 0 no limit.
    pub sample_limit: u64,
    /// Targets; 0 no limit.
    pub target_limit: u64,
    /// Labels of a sample; 0 no limit.
    pub label_limit: u64,
    /// Bytes; 0 no limit.
    pub label_name_length_limit: u64,
    /// Bytes; 0 no limit.
    pub label_value_length_limit: u64,
    /// Dropped targets to remember; 0 no limit.
    pub keep_dropped_targets: u64,
    /// Name checks.
    pub validation: ValidationScheme,
    /// Ask for gzip.
    pub enable_compression: bool,
    /// How targets are asked.
    pub http: ClientSettings,
    /// File for a line per failed scrape.
    pub failure_log: Option<PathBuf>,
    /// Where targets come from.
    pub sd: SdConfigs,
    /// Where relative paths start.
    pub base_dir: PathBuf,
    /// Rules for targets.
    pub relabel: Arc<Rules>,
    /// Rules for samples.
    pub metric_relabel: Arc<Rules>,
}

impl ScrapeConfig {
    /// Checks the configuration against the global section and fills in the defaults.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words.
    pub fn resolve(&self, defaults: &ScrapeDefaults) -> Result<PoolSettings, ScrapeConfigError> {
        if self.job_name.is_empty() {
            return Err(ScrapeConfigError::NoJobName);
        }
        let base_dir = self.base_dir.as_deref().unwrap_or(&defaults.base_dir);
        let (interval, timeout) = self.timing(defaults)?;
        let escaping = self.escaping(defaults)?;
        let native_histograms = self
            .scrape_native_histograms
            .unwrap_or(defaults.native_histograms);
        let protocols = self.protocols(defaults, native_histograms)?;
        self.check_targets()?;
        self.http.check()?;
        let limit = |own: Option<u64>, global: u64| own.filter(|n| *n > 0).unwrap_or(global);
        let rules = |configs: &[_], key| {
            Rules::under(escaping.0, configs).map_err(|error| ScrapeConfigError::Relabel {
                error,
                key,
                job: self.job_name.clone(),
            })
        };
        let fallback_protocol = self.fallback()?;
        let relabel = Arc::new(rules(&self.relabel_configs, "relabel_configs")?);
        let metric_relabel = rules(&self.metric_relabel_configs, "metric_relabel_configs")?;
        Ok(PoolSettings {
            // What Prometheus takes as well comes last, so that all other mistakes are told first.
            http: self.http.resolve(base_dir)?,
            job_name: self.job_name.clone(),
            honor_labels: self.honor_labels,
            honor_timestamps: self.honor_timestamps,
            track_timestamps_staleness: self.track_timestamps_staleness,
            params: self.params.clone(),
            scrape_interval: interval,
            scrape_timeout: timeout,
            accept: crate::protocol::accept_header(&protocols, escaping.1),
            fallback_protocol,
            native_histograms,
            always_scrape_classic_histograms: self
                .always_scrape_classic_histograms
                .unwrap_or(defaults.always_scrape_classic_histograms),
            convert_classic_histograms_to_nhcb: self
                .convert_classic_histograms_to_nhcb
                .unwrap_or(defaults.convert_classic_histograms_to_nhcb),
            native_histogram_bucket_limit: self.native_histogram_bucket_limit.unwrap_or(0),
            native_histogram_max_schema: self
                .native_histogram_min_bucket_factor
                .and_then(crate::native::max_schema),
            type_and_unit_labels: defaults.type_and_unit_labels,
            metadata_records: defaults.metadata_records,
            start_timestamps: defaults.start_timestamps,
            extra_scrape_metrics: self
                .extra_scrape_metrics
                .unwrap_or(defaults.extra_scrape_metrics),
            metrics_path: self.metrics_path.clone(),
            scheme: self.scheme.clone(),
            body_size_limit: limit(
                self.body_size_limit.map(|size| size.0),
                defaults.body_size_limit,
            ),
            sample_limit: limit(self.sample_limit, defaults.sample_limit),
            target_limit: limit(self.target_limit, defaults.target_limit),
            label_limit: limit(self.label_limit, defaults.label_limit),
            label_name_length_limit: limit(
                self.label_name_length_limit,
                defaults.label_name_length_limit,
            ),
            label_value_length_limit: limit(
                self.label_value_length_limit,
                defaults.label_value_length_limit,
            ),
            keep_dropped_targets: limit(self.keep_dropped_targets, defaults.keep_dropped_targets),
            validation: escaping.0,
            enable_compression: self.enable_compression,
            failure_log: self
                .scrape_failure_log_file
                .as_ref()
                .or(defaults.scrape_failure_log_file.as_ref())
                .map(|file| base_dir.join(file)),
            sd: self.sd.clone(),
            base_dir: base_dir.to_owned(),
            relabel,
            metric_relabel: Arc::new(metric_relabel),
        })
    }

    fn timing(&self, defaults: &ScrapeDefaults) -> Result<(Duration, Duration), ScrapeConfigError> {
        let set = |d: Option<super::PromDuration>| d.map(|d| d.0).filter(|d| !d.is_zero());
        let interval = set(self.scrape_interval).unwrap_or(defaults.scrape_interval);
        match set(self.scrape_timeout) {
            Some(timeout) if timeout > interval => {
                Err(ScrapeConfigError::TimeoutTooLong(self.job_name.clone()))
            }
            Some(timeout) => Ok((interval, timeout)),
            None => Ok((interval, defaults.scrape_timeout.min(interval))),
        }
    }

    fn escaping(
        &self,
        defaults: &ScrapeDefaults,
    ) -> Result<(ValidationScheme, EscapingScheme), ScrapeConfigError> {
        let own = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let own_validation = own(&self.metric_name_validation_scheme);
        let global = defaults.metric_name_validation_scheme.as_str();
        let validation = ValidationScheme::parse(own_validation.as_deref().unwrap_or(global))?;
        let fitting = |validation| match validation {
            ValidationScheme::Legacy => EscapingScheme::Underscores,
            ValidationScheme::Utf8 => EscapingScheme::AllowUtf8,
        };
        let global_escaping = match defaults.metric_name_escaping_scheme.as_str() {
            "" => fitting(ValidationScheme::parse(global)?),
            name => EscapingScheme::parse(name)
                .ok_or_else(|| ScrapeConfigError::UnknownGlobalEscaping(name.to_owned()))?,
        };
        // A scheme of its own also brings the escaping that goes with it.
        let escaping = match own(&self.metric_name_escaping_scheme) {
            Some(name) => EscapingScheme::parse(&name)
                .ok_or(ScrapeConfigError::UnknownEscapingScheme(name))?,
            None if own_validation.is_some() => fitting(validation),
            None => global_escaping,
        };
        if validation == ValidationScheme::Legacy && escaping == EscapingScheme::AllowUtf8 {
            return Err(ScrapeConfigError::ConflictingUtf8);
        }
        Ok((validation, escaping))
    }

    fn protocols(
        &self,
        defaults: &ScrapeDefaults,
        native_histograms: bool,
    ) -> Result<Vec<ScrapeProtocol>, ScrapeConfigError> {
        let names = match &self.scrape_protocols {
            Some(names) => names,
            None if !defaults.scrape_protocols.is_empty() => &defaults.scrape_protocols,
            // Only protobuf carries native histograms, and start times without trouble.
            None if native_histograms || defaults.start_timestamps => {
                return Ok(ScrapeProtocol::PROTO_FIRST.to_vec());
            }
            None => return Ok(ScrapeProtocol::DEFAULT.to_vec()),
        };
        check_protocols(names).map_err(|error| ScrapeConfigError::Protocols {
            error,
            job: self.job_name.clone(),
        })
    }

    fn fallback(&self) -> Result<Option<ScrapeProtocol>, ScrapeConfigError> {
        match self.fallback_scrape_protocol.as_deref() {
            None | Some("") => Ok(None),
            Some(name) => match ScrapeProtocol::from_name(name) {
                Some(protocol) => Ok(Some(protocol)),
                None => Err(ScrapeConfigError::UnknownFallback {
                    protocol: name.to_owned(),
                    job: self.job_name.clone(),
                }),
            },
        }
    }

    /// Fixed targets must be addresses, unless rules may still make addresses of them.
    fn check_targets(&self) -> Result<(), ScrapeConfigError> {
        for group in &self.sd.static_configs {
            // Relabelling may still make an address of it.
            if self.relabel_configs.is_empty() {
                for target in &group.targets {
                    check_address(target)?;
                }
            }
            if let Some(name) = group.labels.keys().find(|name| name.is_empty()) {
                return Err(ScrapeConfigError::LabelName(name.clone()));
            }
        }
        Ok(())
    }
}

/// The protocols of `scrape_protocols`, which must be known and different from each other.
///
/// # Errors
/// What is wrong with the list, without the place where it stands.
pub fn check_protocols(names: &[String]) -> Result<Vec<ScrapeProtocol>, ProtocolsError> {
    if names.is_empty() {
        return Err(ProtocolsError::Empty);
    }
    let mut seen = BTreeSet::new();
    let mut protocols = Vec::with_capacity(names.len());
    for name in names {
        if !seen.insert(name.to_lowercase()) {
            return Err(ProtocolsError::Duplicate(names.join(" ")));
        }
        let known = ScrapeProtocol::from_name(name);
        protocols.push(known.ok_or_else(|| ProtocolsError::Unknown(name.clone()))?);
    }
    Ok(protocols)
}

/// An address may not hold a slash: that would be a URL.
pub(crate) fn check_address(address: &str) -> Result<(), ScrapeConfigError> {
    if address.contains('/') {
        Err(ScrapeConfigError::TargetAddress(address.to_owned()))
    } else {
        Ok(())
    }
}
