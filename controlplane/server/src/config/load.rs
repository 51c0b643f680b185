//! From text to a checked configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_remote::config::{RemoteReadConfig, RemoteWriteConfig};
use bellwether_rules::notifier::AlertingConfig;
use bellwether_scrape::ScrapeConfig;
use bellwether_scrape::config::ValidationScheme;
use bellwether_yaml::node::Place;
use bellwether_yaml::{Placed, YamlError};
use serde::{Deserialize, Serialize};

use crate::flags::Features;

use super::error::ConfigError;
use super::expand::expand_variables;
use super::files::{self, Jobs, RawScrapeConfigs};
use super::global::GlobalConfig;
use super::otlp::OtlpConfig;
use super::remote::{self, Entries};
use super::sections::RuntimeConfig;
use super::storage::StorageConfig;
use super::tracing_config::TracingConfig;

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum ConfigSource {
    /// A file, read again at each reload.
    File(PathBuf),
    /// A text that the program brings along; a reload reads the same again.
    Text {
        /// Name for error messages.
        name: String,
        /// The YAML.
        text: Arc<str>,
        /// Where relative paths inside start.
        base_dir: PathBuf,
    },
}

impl ConfigSource {
    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text { name, .. } => name.clone(),
        }
    }

    /// The text as it is now. Blocks on the disk.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn read(&self) -> Result<String, ConfigError> {
        match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.clone(),
                source,
            }),
            Self::Text { text, .. } => Ok(text.to_string()),
        }
    }

    fn base_dir(&self) -> PathBuf {
        match self {
            Self::File(path) => path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .map_or_else(|| PathBuf::from("."), Path::to_owned),
            Self::Text { base_dir, .. } => base_dir.clone(),
        }
    }

    /// Reads and checks. Blocks on the disk.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::parse(&self.read()?, &self.name(), &self.base_dir())
    }

    /// [`Self::load`] of this file alone, without those of `scrape_config_files`. Blocks on the disk.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_alone(&self) -> Result<Config, ConfigError> {
        Config::parse_alone(&self.read()?, &self.name(), &self.base_dir())
    }
}

/// A checked configuration. Serialises to the YAML of `/api/v1/status/config`; secrets are hidden.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// `global`, defaults filled in.
    pub global: GlobalConfig,
    /// `runtime`.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: RuntimeConfig,
    /// `alerting`.
    #[serde(skip_serializing_if = "is_default")]
    pub alerting: AlertingConfig,
    /// `rule_files`: patterns, seen from the working directory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<String>,
    /// `scrape_config_files`: patterns, seen from the working directory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_config_files: Vec<String>,
    /// `scrape_configs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_configs: Vec<ScrapeConfig>,
    /// `storage`.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: StorageConfig,
    /// `tracing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingConfig>,
    /// `remote_write`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// `remote_read`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_read: Vec<RemoteReadConfig>,
    /// `otlp`.
    pub otlp: OtlpConfig,
    /// The scrape configurations of `scrape_config_files`.
    #[serde(skip)]
    pub file_scrape_configs: Vec<ScrapeConfig>,
    /// The external labels as a label set.
    #[serde(skip)]
    pub external_labels: Labels,
    /// Where relative paths start.
    #[serde(skip)]
    pub base_dir: PathBuf,
}

/// A part of the configuration as YAML.
pub(crate) fn to_yaml(part: &impl Serialize) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true };
    serde_saphyr::to_string_with_options(part, options)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The file as written. A section that is refused appears so that the refusal can name it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConfig {
    global: Option<Placed<GlobalConfig>>,
    runtime: Option<RuntimeConfig>,
    scrape_config_files: Option<Vec<Placed<String>>>,
    scrape_configs: Option<RawScrapeConfigs>,
    rule_files: Option<Vec<Placed<String>>>,
    storage: Option<StorageConfig>,
    alerting: Option<Placed<AlertingConfig>>,
    remote_write: Entries<RemoteWriteConfig>,
    remote_read: Entries<RemoteReadConfig>,
    otlp: Option<Placed<OtlpConfig>>,
    tracing: Option<Placed<Option<TracingConfig>>>,
}

impl Config {
    /// Parses and checks a text. `name` is shown in errors, relative paths start at `base_dir`. Reads the files
    /// of `scrape_config_files`, not those of `rule_files`.
    ///
    /// # Errors
    /// [`ConfigError`] for the first mistake.
    pub fn parse(text: &str, name: &str, base_dir: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::parse_alone(text, name, base_dir)?;
        config.read_scrape_config_files(name)?;
        Ok(config)
    }

    /// [`Self::parse`] without reading any other file.
    ///
    /// # Errors
    /// [`ConfigError`] for the first mistake.
    pub fn parse_alone(text: &str, name: &str, base_dir: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = from_yaml(name, text)?;
        let mut global = global(raw.global, name)?;
        if !global.query_log_file.is_empty() {
            let path = joined(base_dir, &global.query_log_file);
            global.query_log_file = path.display().to_string();
        }
        let scheme = global.validation_scheme();
        let alerting = alerting(raw.alerting, scheme, name, base_dir)?;
        let external_labels = Labels::from_pairs(&global.external_labels);
        let otlp = otlp(raw.otlp, scheme == ValidationScheme::Legacy, name)?;
        let (rules, scrapes) = (raw.rule_files, raw.scrape_config_files);
        let patterns = |list: Option<Vec<_>>, key, what| {
            files::patterns(list.unwrap_or_default(), name, base_dir, key, what)
        };
        let mut config = Self {
            global,
            runtime: raw.runtime.unwrap_or_default(),
            rule_files: patterns(rules, "rule_files", "rule")?,
            scrape_config_files: patterns(scrapes, "scrape_config_files", "scrape config")?,
            alerting,
            scrape_configs: Vec::new(),
            file_scrape_configs: Vec::new(),
            storage: raw.storage.unwrap_or_default(),
            otlp,
            remote_write: remote::write(raw.remote_write, scheme, name, base_dir)?,
            remote_read: remote::read(raw.remote_read, name, base_dir)?,
            tracing: tracing(raw.tracing, name, base_dir)?,
            external_labels,
            base_dir: base_dir.to_owned(),
        };
        let configs = raw.scrape_configs.unwrap_or_default();
        let configs = files::scrape_configs(configs, name, None, &config, &mut Jobs::new())?;
        config.scrape_configs = configs;
        Ok(config)
    }

    /// The scrape configurations of the main file and of the files that it names.
    pub fn all_scrape_configs(&self) -> impl Iterator<Item = &ScrapeConfig> {
        self.scrape_configs.iter().chain(&self.file_scrape_configs)
    }

    /// The keys that are set and change nothing here, each with the reason.
    #[must_use]
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        self.storage.without_effect()
    }

    /// Refuses what agent mode does not have: rules, alerts, queries.
    ///
    /// # Errors
    /// [`ConfigError::AgentMode`].
    pub fn check_agent_mode(&self) -> Result<(), ConfigError> {
        let sections = [
            ("alerting", self.alerting.is_set()),
            ("rule_files", !self.rule_files.is_empty()),
            ("remote_read", !self.remote_read.is_empty()),
        ];
        match sections.into_iter().find(|(_, is_set)| *is_set) {
            Some((section, _)) => Err(ConfigError::AgentMode(section)),
            None => Ok(()),
        }
    }

    /// What the scrape configurations inherit; features set the defaults of `extra_scrape_metrics` and
    /// `scrape_native_histograms`.
    #[must_use]
    pub fn scrape_defaults(&self, features: &Features) -> bellwether_scrape::ScrapeDefaults {
        self.global.scrape_defaults(&self.base_dir, features)
    }

    /// Where queries are logged, if anywhere.
    #[must_use]
    pub(crate) fn query_log_path(&self) -> Option<PathBuf> {
        let file = &self.global.query_log_file;
        (!file.is_empty()).then(|| PathBuf::from(file))
    }

    /// The YAML of `/api/v1/status/config`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        to_yaml(self).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot show the configuration");
            String::new()
        })
    }
}

/// The checked section `tracing`.
fn tracing(
    raw: Option<Placed<Option<TracingConfig>>>,
    file: &str,
    base_dir: &Path,
) -> Result<Option<TracingConfig>, ConfigError> {
    let Some((tracing, at)) = raw.and_then(|raw| Some((raw.value?, raw.place))) else {
        return Ok(None);
    };
    match tracing.problem(base_dir) {
        Some(problem) => Err(invalid(file, at, "tracing".to_owned(), problem)),
        None => Ok(Some(tracing)),
    }
}

/// A path of the configuration, relative to where the file is.
pub(super) fn joined(base_dir: &Path, path: &str) -> PathBuf {
    PathBuf::from(bellwether_yaml::join_dir(base_dir, path))
}

fn otlp(
    raw: Option<Placed<OtlpConfig>>,
    legacy: bool,
    file: &str,
) -> Result<OtlpConfig, ConfigError> {
    let Some(raw) = raw else {
        return Ok(OtlpConfig::default());
    };
    let mut otlp = raw.value;
    otlp.check(legacy)
        .map_err(|e| invalid(file, raw.place, "otlp".to_owned(), e))?;
    Ok(otlp)
}

fn global(raw: Option<Placed<GlobalConfig>>, file: &str) -> Result<GlobalConfig, ConfigError> {
    let Some(raw) = raw else {
        let mut global = GlobalConfig::default();
        global.check().expect("the defaults agree with each other");
        return Ok(global);
    };
    let place = raw.place;
    let mut global = raw.value;
    if let Err((key, message)) = global.check() {
        return Err(invalid(file, place, format!("global.{key}"), message));
    }
    for (name, value) in &mut global.external_labels {
        *value = expand_variables(value, |variable| {
            let set = std::env::var(variable).ok().filter(|v| !v.is_empty());
            set.or_else(|| {
                tracing::warn!(
                    variable,
                    label = name,
                    "environment variable of an external label is not set"
                );
                None
            })
        });
    }
    Ok(global)
}

fn alerting(
    raw: Option<Placed<AlertingConfig>>,
    scheme: ValidationScheme,
    file: &str,
    base_dir: &Path,
) -> Result<AlertingConfig, ConfigError> {
    let Some(raw) = raw else {
        return Ok(AlertingConfig::default());
    };
    let mut alerting = raw.value;
    alerting.names = scheme;
    match alerting.check(base_dir) {
        Ok(()) => Ok(alerting),
        Err(error) => Err(invalid(
            file,
            raw.place,
            "alerting".to_owned(),
            error.to_string(),
        )),
    }
}

pub(super) fn invalid(file: &str, at: Place, path: String, message: String) -> ConfigError {
    ConfigError::Invalid(YamlError {
        file: file.to_owned(),
        line: at.line as u64,
        column: at.column as u64,
        path,
        message,
    })
}

/// Reads YAML.
pub(super) fn from_yaml<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<T, ConfigError> {
    bellwether_yaml::from_str_with_nulls(file, text).map_err(ConfigError::Invalid)
}
