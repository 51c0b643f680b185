//! From text to a checked configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_model::labels::is_legacy_label_name;
use bellwether_remote::config::{RemoteReadConfig, RemoteWriteConfig};
use bellwether_rules::notifier::AlertingConfig;
use bellwether_scrape::ScrapeConfig;
use bellwether_yaml::YamlError;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Location, Spanned};

use crate::flags::Features;

use super::error::ConfigError;
use super::global::GlobalConfig;
use super::otlp::OtlpConfig;
use super::remote::{self, Entries};
use super::sections::{FloatEncoding, RuntimeConfig, StorageConfig, TsdbConfig};
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
    /// `scrape_configs` and those of `scrape_config_files`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_configs: Vec<ScrapeConfig>,
    /// `storage`.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: StorageConfig,
    /// `otlp`.
    pub otlp: OtlpConfig,
    /// `remote_write`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// `remote_read`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_read: Vec<RemoteReadConfig>,
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
    global: Option<Spanned<GlobalConfig>>,
    runtime: Option<RuntimeConfig>,
    scrape_config_files: Option<Vec<Spanned<String>>>,
    scrape_configs: Option<Vec<Spanned<Option<ScrapeConfig>>>>,
    rule_files: Option<Vec<Spanned<String>>>,
    storage: Option<Spanned<StorageConfig>>,
    alerting: Option<Spanned<AlertingConfig>>,
    remote_write: Entries<RemoteWriteConfig>,
    remote_read: Entries<RemoteReadConfig>,
    otlp: Option<Spanned<OtlpConfig>>,
    tracing: Option<Spanned<Option<TracingConfig>>>,
}

impl Config {
    /// Parses and checks a text. `name` is shown in errors, relative paths start at `base_dir`. Reads the files
    /// of `scrape_config_files`, not those of `rule_files`.
    ///
    /// # Errors
    /// [`ConfigError`] for the first mistake.
    pub fn parse(text: &str, name: &str, base_dir: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = from_yaml(name, text)?;
        raw.refuse_unsupported(name)?;
        let mut global = global(raw.global, name)?;
        if !global.query_log_file.is_empty() {
            let path = joined(base_dir, &global.query_log_file);
            global.query_log_file = path.display().to_string();
        }
        let alerting = alerting(raw.alerting, name, base_dir)?;
        let external_labels = Labels::from_pairs(&global.external_labels);
        let legacy = global.metric_name_validation_scheme == "legacy";
        let otlp = otlp(raw.otlp, legacy, name)?;
        let mut config = Self {
            global,
            runtime: raw.runtime.unwrap_or_default(),
            rule_files: rule_files(raw.rule_files.unwrap_or_default(), name, base_dir)?,
            alerting,
            scrape_configs: Vec::new(),
            storage: raw.storage.map(|s| s.value).unwrap_or_default(),
            otlp,
            remote_write: remote::write(raw.remote_write, name, base_dir)?,
            remote_read: remote::read(raw.remote_read, name, base_dir)?,
            external_labels,
            base_dir: base_dir.to_owned(),
        };
        let mut jobs = HashSet::new();
        config.add_scrape_configs(raw.scrape_configs.unwrap_or_default(), name, &mut jobs)?;
        for pattern in raw.scrape_config_files.unwrap_or_default() {
            config.add_scrape_config_files(&pattern, name, &mut jobs)?;
        }
        Ok(config)
    }

    /// Refuses what agent mode does not have: rules, alerts, queries.
    ///
    /// # Errors
    /// [`ConfigError::AgentMode`].
    pub fn check_agent_mode(&self) -> Result<(), ConfigError> {
        let sections = [
            ("alerting", self.alerting != AlertingConfig::default()),
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

    fn add_scrape_configs(
        &mut self,
        configs: Vec<Spanned<Option<ScrapeConfig>>>,
        file: &str,
        jobs: &mut HashSet<String>,
    ) -> Result<(), ConfigError> {
        let defaults = self.scrape_defaults(&Features::default());
        for (index, config) in configs.into_iter().enumerate() {
            let invalid = |message: String| {
                invalid(
                    file,
                    config.referenced,
                    format!("scrape_configs[{index}]"),
                    message,
                )
            };
            let Some(scrape) = config.value.clone() else {
                return Err(invalid("empty or null scrape config section".to_owned()));
            };
            scrape
                .resolve(&defaults)
                .map_err(|e| invalid(e.to_string()))?;
            if !jobs.insert(scrape.job_name.clone()) {
                return Err(invalid(format!(
                    "found multiple scrape configs with job name {:?}",
                    scrape.job_name
                )));
            }
            self.scrape_configs.push(scrape);
        }
        Ok(())
    }

    fn add_scrape_config_files(
        &mut self,
        pattern: &Spanned<String>,
        file: &str,
        jobs: &mut HashSet<String>,
    ) -> Result<(), ConfigError> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct ScrapeConfigFile {
            scrape_configs: Option<Vec<Spanned<Option<ScrapeConfig>>>>,
        }
        let found = matching_files(&self.base_dir.join(&pattern.value)).map_err(|message| {
            invalid(
                file,
                pattern.referenced,
                "scrape_config_files".to_owned(),
                message,
            )
        })?;
        for path in found {
            let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
                path: path.clone(),
                source,
            })?;
            let name = path.display().to_string();
            let content: ScrapeConfigFile = from_yaml(&name, &text)?;
            self.add_scrape_configs(content.scrape_configs.unwrap_or_default(), &name, jobs)?;
        }
        Ok(())
    }
}

impl RawConfig {
    fn refuse_unsupported(&self, file: &str) -> Result<(), ConfigError> {
        if let Some(section) = &self.tracing
            && let Some(tracing) = &section.value
        {
            let at = section.referenced;
            return Err(invalid(file, at, "tracing".to_owned(), tracing.problem()));
        }
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        match storage.value.tsdb.as_ref().and_then(unsupported_storage) {
            Some((key, remedy)) => Err(invalid(
                file,
                storage.referenced,
                format!("storage.tsdb.{key}"),
                format!("not supported yet: {remedy}"),
            )),
            None => Ok(()),
        }
    }
}

/// The first key of `storage.tsdb` that asks for something missing, and what to do about it.
fn unsupported_storage(tsdb: &TsdbConfig) -> Option<(&'static str, &'static str)> {
    if tsdb.chunk_encoding.as_ref().and_then(|e| e.floats) == Some(FloatEncoding::Xor2) {
        return Some(("chunk_encoding.floats", "use xor"));
    }
    if tsdb
        .retention
        .as_ref()
        .is_some_and(|r| r.percentage.is_some())
    {
        return Some(("retention.percentage", "use size"));
    }
    None
}

/// A path of the configuration, relative to where the file is.
fn joined(base_dir: &Path, path: &str) -> PathBuf {
    if base_dir == Path::new(".") {
        PathBuf::from(path)
    } else {
        base_dir.join(path)
    }
}

fn otlp(
    raw: Option<Spanned<OtlpConfig>>,
    legacy: bool,
    file: &str,
) -> Result<OtlpConfig, ConfigError> {
    let Some(raw) = raw else {
        return Ok(OtlpConfig::default());
    };
    let mut otlp = raw.value;
    otlp.check(legacy)
        .map_err(|e| invalid(file, raw.referenced, "otlp".to_owned(), e))?;
    Ok(otlp)
}

fn global(raw: Option<Spanned<GlobalConfig>>, file: &str) -> Result<GlobalConfig, ConfigError> {
    let Some(raw) = raw else {
        let mut global = GlobalConfig::default();
        global
            .fill_in()
            .expect("the defaults agree with each other");
        return Ok(global);
    };
    let place = raw.referenced;
    let mut global = raw.value;
    let error =
        |key: &str, message: String| Err(invalid(file, place, format!("global{key}"), message));
    if let Err(message) = global.fill_in() {
        return error(".scrape_timeout", message.to_owned());
    }
    for name in global.external_labels.keys() {
        // Label names may be any UTF-8 since 3.0 unless the legacy scheme is asked for.
        let legacy = global.metric_name_validation_scheme == "legacy";
        if name.is_empty() || (legacy && !is_legacy_label_name(name)) {
            return error(
                ".external_labels",
                format!("{name:?} is not a valid label name"),
            );
        }
    }
    for (name, value) in &mut global.external_labels {
        *value = expand_variables(value, |variable| {
            std::env::var(variable).ok().or_else(|| {
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

/// Replaces `$NAME` and `${NAME}` as Go's `os.Expand` does; `$$` is a dollar sign, an unset variable is empty.
pub(super) fn expand_variables(text: &str, look_up: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            out.push_str(&look_up(name).unwrap_or_default());
            rest = tail;
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            if end == 0 {
                out.push('$');
            } else {
                out.push_str(&look_up(&rest[..end]).unwrap_or_default());
            }
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Patterns of rule files, seen from the working directory. Which files they name is looked up at each load.
fn rule_files(
    patterns: Vec<Spanned<String>>,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<String>, ConfigError> {
    let check = |(index, pattern): (usize, Spanned<String>)| {
        let folder = Path::new(&pattern.value).parent();
        if folder.is_some_and(|folder| folder.to_string_lossy().contains('*')) {
            let message = format!(
                "invalid rule file path {:?}: only the last part of the path may hold a *",
                pattern.value
            );
            let key = format!("rule_files[{index}]");
            return Err(invalid(file, pattern.referenced, key, message));
        }
        Ok(if base_dir == Path::new(".") {
            pattern.value
        } else {
            base_dir.join(&pattern.value).display().to_string()
        })
    };
    patterns.into_iter().enumerate().map(check).collect()
}

fn alerting(
    raw: Option<Spanned<AlertingConfig>>,
    file: &str,
    base_dir: &Path,
) -> Result<AlertingConfig, ConfigError> {
    let Some(raw) = raw else {
        return Ok(AlertingConfig::default());
    };
    match raw.value.check(base_dir) {
        Ok(()) => Ok(raw.value),
        Err(error) => Err(invalid(
            file,
            raw.referenced,
            "alerting".to_owned(),
            error.to_string(),
        )),
    }
}

/// Existing files that a pattern names; only the last part of the path may hold `*`, as in Prometheus.
fn matching_files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new("."));
    if folder.to_string_lossy().contains('*') {
        return Err(format!(
            "{}: only the last part of the path may hold a *",
            pattern.display()
        ));
    }
    if !name.contains('*') {
        return Ok(if pattern.is_file() {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        });
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.is_file()
                && path
                    .file_name()
                    .is_some_and(|n| wildcard_match(&name, &n.to_string_lossy()))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// `*` matches any run of characters.
fn wildcard_match(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| wildcard_match(tail, &rest[at..]))
        }),
    }
}

pub(super) fn invalid(file: &str, at: Location, path: String, message: String) -> ConfigError {
    ConfigError::Invalid(YamlError {
        file: file.to_owned(),
        line: at.line(),
        column: at.column(),
        path,
        message,
    })
}

/// Reads YAML; the key path of an error is that of the file, without the wrapper that remembers positions.
fn from_yaml<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    bellwether_yaml::from_str(file, text).map_err(|error| {
        // Only the outermost value is wrapped, and nothing above it is called `value`.
        let path = error.path.replacen(".value", "", 1);
        ConfigError::Invalid(YamlError { path, ..error })
    })
}
