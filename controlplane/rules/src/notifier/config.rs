//! The `alerting` section.

use std::path::Path;
use std::time::Duration;

use bellwether_discovery::SdConfigs;
use bellwether_discovery::config::HttpAndSd;
use bellwether_http::HttpClientConfig;
use bellwether_http::config::Sigv4Config;
use bellwether_scrape::config::{PoolSettings, ValidationScheme};
use bellwether_scrape::relabel::{RelabelConfig, RelabelError, Rules};
use bellwether_scrape::{ScrapeConfig, ScrapeConfigError, ScrapeDefaults};
use bellwether_yaml::{PromDuration, Strict, list};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `alerting` as written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertingConfig {
    /// Rules for all alerts, after the external labels were added.
    #[serde(
        deserialize_with = "alert_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub alert_relabel_configs: Vec<RelabelConfig>,
    /// Where alerts go.
    #[serde(
        deserialize_with = "alertmanagers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub alertmanagers: Vec<AlertmanagerConfig>,
    /// How label names of relabelling rules are checked; the global section says it.
    #[serde(skip)]
    pub names: ValidationScheme,
}

/// One entry of `alertmanagers` as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct AlertmanagerConfig {
    /// `http` (default) or `https`.
    pub scheme: String,
    /// Path in front of `/api/v2/alerts`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// Time that a request may take. Default 10s.
    pub timeout: PromDuration,
    /// Version of the Alertmanager's API; only `v2` exists still.
    pub api_version: String,
    /// How Alertmanagers are asked.
    #[serde(flatten, skip_deserializing)]
    pub http: HttpClientConfig,
    /// Amazon's signatures, which this build does not make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Sigv4Config>,
    /// Where their addresses come from.
    #[serde(flatten, skip_deserializing)]
    pub sd: SdConfigs,
    /// Rules for the discovered Alertmanagers.
    #[serde(
        deserialize_with = "target_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules for the alerts that go to these Alertmanagers.
    #[serde(
        deserialize_with = "own_alert_rules",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub alert_relabel_configs: Vec<RelabelConfig>,
}

impl Default for AlertmanagerConfig {
    fn default() -> Self {
        Self {
            scheme: "http".to_owned(),
            path_prefix: String::new(),
            timeout: PromDuration(Duration::from_secs(10)),
            api_version: "v2".to_owned(),
            http: HttpClientConfig::default(),
            sigv4: None,
            sd: SdConfigs::default(),
            relabel_configs: Vec::new(),
            alert_relabel_configs: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for AlertmanagerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut shared = HttpAndSd::default();
        let strict = Strict::new(deserializer, "alertmanager config", &[]).embed(&mut shared);
        let mut config = Self::deserialize(strict)?;
        config.http = shared.http;
        config.sd = shared.sd;
        Ok(config)
    }
}

impl Serialize for AlertmanagerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

fn alert_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(d, "empty or null alert relabeling rule")
}

fn target_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(d, "empty or null Alertmanager target relabeling rule")
}

fn own_alert_rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(d, "empty or null Alertmanager alert relabeling rule")
}

fn alertmanagers<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<AlertmanagerConfig>, D::Error> {
    list(d, "empty or null alertmanager config")
}

/// What is wrong with an `alerting` section beyond a single value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertingError {
    /// Connection, discovery, relabelling of addresses.
    #[error("{0}")]
    Connection(#[from] ScrapeConfigError),
    /// Relabelling of alerts.
    #[error("{0} in alert_relabel_configs")]
    AlertRelabel(#[from] RelabelError),
    /// More than one way to authenticate.
    #[error("at most one of basic_auth, authorization, oauth2, & sigv4 must be configured")]
    Auth,
    /// Signatures.
    #[error(
        "sigv4 is not part of this build: use basic_auth, authorization, oauth2 or a proxy that signs"
    )]
    Sigv4,
    /// An API that is gone.
    #[error("expected Alertmanager api version to be one of [v2] but got {0}")]
    ApiVersion(String),
    /// Certificates that stand in the configuration and cannot be used.
    #[error("error creating HTTP client: {0}")]
    Client(String),
}

impl AlertingError {
    /// Whether Prometheus takes such a configuration, and its requests fail then or only this build's would.
    fn is_late(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_late(),
            Self::Sigv4 => true,
            _ => false,
        }
    }
}

/// An entry of `alertmanagers`, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SetSettings {
    pub(super) path_prefix: String,
    pub(super) timeout: Duration,
    /// Authentication, headers, discovery and relabelling of addresses.
    pub(super) connection: PoolSettings,
    pub(super) alert_relabel: Rules,
}

impl AlertmanagerConfig {
    /// Checks an entry. Label names in rules follow `scheme`, relative paths start at `base_dir`.
    pub(super) fn resolve(
        &self,
        scheme: ValidationScheme,
        base_dir: &Path,
    ) -> Result<SetSettings, AlertingError> {
        if self.api_version != "v2" {
            return Err(AlertingError::ApiVersion(self.api_version.clone()));
        }
        let http = &self.http;
        let has_login = http.basic_auth.is_some() || http.authorization.is_some();
        let has_bearer = http.bearer_token.is_some() || http.bearer_token_file.is_some();
        if self.sigv4.is_some() && (has_login || has_bearer || http.oauth2.is_some()) {
            self.http.check().map_err(ScrapeConfigError::Http)?;
            return Err(AlertingError::Auth);
        }
        // The keys about connections and discovery are those of a scrape configuration, and so are their checks.
        let connection = ScrapeConfig {
            job_name: "alertmanager".to_owned(),
            scheme: self.scheme.clone(),
            http: self.http.clone(),
            sd: self.sd.clone(),
            relabel_configs: self.relabel_configs.clone(),
            ..ScrapeConfig::default()
        };
        let defaults = ScrapeDefaults {
            metric_name_validation_scheme: scheme.as_str().to_owned(),
            base_dir: base_dir.to_owned(),
            ..ScrapeDefaults::default()
        };
        let alert_relabel = Rules::under(scheme, &self.alert_relabel_configs)?;
        let connection = connection.resolve(&defaults)?;
        if self.sigv4.is_some() {
            return Err(AlertingError::Sigv4);
        }
        Ok(SetSettings {
            path_prefix: self.path_prefix.clone(),
            timeout: self.timeout.0,
            connection,
            alert_relabel,
        })
    }
}

impl AlertingConfig {
    /// Whether the section says anything.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.alertmanagers.is_empty() || !self.alert_relabel_configs.is_empty()
    }

    /// Checks the section as Prometheus does.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, base_dir: &Path) -> Result<(), AlertingError> {
        Rules::under(self.names, &self.alert_relabel_configs)?;
        let check = |am: &AlertmanagerConfig| match am.resolve(self.names, base_dir) {
            Err(error) if !error.is_late() => Err(error),
            _ => Ok(()),
        };
        self.alertmanagers.iter().try_for_each(check)
    }

    /// Entries that pass the checks and no alert could be sent to: their places in the list, and why.
    pub fn not_runnable(&self, base_dir: &Path) -> impl Iterator<Item = (usize, AlertingError)> {
        let entries = self.alertmanagers.iter().enumerate();
        entries.filter_map(move |(index, am)| {
            let error = am.resolve(self.names, base_dir).err();
            Some((index, error.filter(AlertingError::is_late)?))
        })
    }
}
