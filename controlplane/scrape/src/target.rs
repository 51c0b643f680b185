//! From discovered labels to a target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bellwether_model::labels::{INSTANCE, JOB};
use bellwether_model::{Labels, duration};
use http::Uri;
use parking_lot::Mutex;

use crate::config::PoolSettings;
use crate::relabel::{Memory, Working};
use crate::snapshot::{ActiveTarget, Health, MetricMetadata, TargetMetadata};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";

/// A target after relabelling: immutable, replaced as a whole when discovery or settings change it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetSpec {
    pub(crate) discovered: Labels,
    /// Labels of the target's series.
    pub(crate) labels: Labels,
    pub(crate) url: Uri,
    /// [`Self::url`] as a text.
    url_text: Arc<str>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// Why discovered labels make no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    #[error("error parsing scrape {what}: {error}")]
    Duration {
        what: &'static str,
        error: duration::DurationError,
    },
    #[error("scrape {0} cannot be 0")]
    ZeroDuration(&'static str),
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutTooLong { timeout: String, interval: String },
    #[error("cannot build a URL from {0:?}")]
    Url(String),
}

/// What a pool's settings add to every target, as texts.
#[derive(Debug)]
pub(crate) struct TargetDefaults {
    /// Labels that a target gets where it has none, sorted by name.
    missing: Vec<(&'static str, String)>,
    /// First values of the URL's parameters.
    params: Vec<(String, String)>,
}

impl TargetDefaults {
    pub(crate) fn new(settings: &PoolSettings) -> Self {
        let first = |(name, values): (&String, &Vec<String>)| {
            let value = values.first()?;
            Some((format!("{PARAM_PREFIX}{name}"), value.clone()))
        };
        Self {
            missing: vec![
                (METRICS_PATH, settings.metrics_path.clone()),
                (SCHEME, settings.scheme.clone()),
                (SCRAPE_INTERVAL, duration::format(settings.scrape_interval)),
                (SCRAPE_TIMEOUT, duration::format(settings.scrape_timeout)),
                (JOB, settings.job_name.clone()),
            ],
            params: settings.params.iter().filter_map(first).collect(),
        }
    }

    fn text(&self, name: &str) -> &str {
        let found = self.missing.iter().find(|(n, _)| *n == name);
        found.map_or("", |(_, text)| text)
    }
}

/// Makes targets of what discovery found, one after the other.
pub(crate) struct Resolver<'r> {
    settings: &'r PoolSettings,
    defaults: &'r TargetDefaults,
    labels: Working<'r>,
    /// Of the settings' rules.
    memory: Memory,
    buffer: String,
}

impl<'r> Resolver<'r> {
    pub(crate) fn new(settings: &'r PoolSettings, defaults: &'r TargetDefaults) -> Self {
        Self {
            settings,
            defaults,
            labels: Working::default(),
            memory: Memory::default(),
            buffer: String::new(),
        }
    }

    /// Labels before relabelling: those of a group and of one of its targets, and the defaults.
    pub(crate) fn discovered(&mut self, common: &'r Labels, own: &'r Labels) -> Labels {
        self.fill(common, own);
        self.labels.build(&mut self.buffer, |_| true)
    }

    fn fill(&mut self, common: &'r Labels, own: &'r Labels) {
        let labels = &mut self.labels;
        labels.fill(common, own);
        for (name, value) in &self.defaults.missing {
            labels.put_missing(name, value);
        }
        for (name, value) in &self.defaults.params {
            labels.put(name.as_str().into(), value.as_str().into());
        }
    }

    /// Applies defaults and relabelling. `None`: a rule dropped the target.
    pub(crate) fn resolve(
        &mut self,
        common: &'r Labels,
        own: &'r Labels,
    ) -> Result<Option<Arc<TargetSpec>>, TargetError> {
        self.fill(common, own);
        let rules = &self.settings.relabel;
        if !rules.work(&mut self.labels, &mut self.memory) {
            return Ok(None);
        }
        let made = self.target()?;
        // Most targets are dropped where there are many, so this is done for the others only.
        let discovered = self.discovered(common, own);
        Ok(Some(Arc::new(TargetSpec { discovered, ..made })))
    }

    /// Labels after relabelling without `__meta_` ones, but with those that only a scrape needs.
    pub(crate) fn relabelled(
        &mut self,
        common: &'r Labels,
        own: &'r Labels,
    ) -> Result<Option<Labels>, TargetError> {
        self.fill(common, own);
        let rules = &self.settings.relabel;
        if !rules.work(&mut self.labels, &mut self.memory) {
            return Ok(None);
        }
        self.target()?;
        let keep = |name: &str| !name.starts_with("__meta_");
        Ok(Some(self.labels.build(&mut self.buffer, keep)))
    }

    /// The target of relabelled labels; what was discovered is not among them any more.
    fn target(&mut self) -> Result<TargetSpec, TargetError> {
        let address = self.labels.value(ADDRESS).to_owned();
        if address.is_empty() {
            return Err(TargetError::NoAddress);
        }
        if address.contains('/') {
            return Err(TargetError::Address(address));
        }
        let (interval, timeout) = self.timing()?;
        let url = url(&self.labels, self.settings)?;
        if self.labels.value(INSTANCE).is_empty() {
            self.labels.put(INSTANCE.into(), address.into());
        }
        let labels = self
            .labels
            .build(&mut self.buffer, |name| !name.starts_with("__"));
        Ok(TargetSpec {
            discovered: Labels::empty(),
            labels,
            url_text: url.to_string().into(),
            url,
            interval,
            timeout,
        })
    }

    fn timing(&self) -> Result<(Duration, Duration), TargetError> {
        let (labels, defaults) = (&self.labels, self.defaults);
        let read = |label, what, default| {
            let text = labels.value(label);
            if text == defaults.text(label) {
                return Ok(default);
            }
            match duration::parse(text) {
                Ok(Duration::ZERO) => Err(TargetError::ZeroDuration(what)),
                Ok(duration) => Ok(duration),
                Err(error) => Err(TargetError::Duration { what, error }),
            }
        };
        let interval = read(SCRAPE_INTERVAL, "interval", self.settings.scrape_interval)?;
        let timeout = read(SCRAPE_TIMEOUT, "timeout", self.settings.scrape_timeout)?;
        if timeout > interval {
            return Err(TargetError::TimeoutTooLong {
                timeout: labels.value(SCRAPE_TIMEOUT).to_owned(),
                interval: labels.value(SCRAPE_INTERVAL).to_owned(),
            });
        }
        Ok((interval, timeout))
    }
}

fn url(labels: &Working<'_>, settings: &PoolSettings) -> Result<Uri, TargetError> {
    // A scheme that cannot be fetched shows as the target's error: a target that vanishes would tell nobody.
    let mut text = format!("{}://{}", labels.value(SCHEME), labels.value(ADDRESS));
    let path = labels.value(METRICS_PATH);
    if !path.starts_with('/') {
        text.push('/');
    }
    push_escaped(&mut text, path, b"/:@!$&'()*+,;=");
    push_params(&mut text, labels, settings);
    text.parse().map_err(|_| TargetError::Url(text))
}

fn push_params(text: &mut String, labels: &Working<'_>, settings: &PoolSettings) {
    let has_own = || {
        labels
            .iter()
            .any(|(name, _)| name.starts_with(PARAM_PREFIX))
    };
    if settings.params.is_empty() && !has_own() {
        return;
    }
    let mut params: BTreeMap<&str, Vec<&str>> = settings
        .params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for (name, value) in labels.iter() {
        if let Some(name) = name.strip_prefix(PARAM_PREFIX) {
            let values = params.entry(name).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let mut separator = '?';
    for (name, values) in params {
        for value in values {
            text.push(separator);
            separator = '&';
            push_query_escaped(text, name);
            text.push('=');
            push_query_escaped(text, value);
        }
    }
}

/// As a form does: a space is a plus.
fn push_query_escaped(out: &mut String, text: &str) {
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            out.push('+');
        }
        push_escaped(out, word, b"");
    }
}

/// Percent-encodes all but letters, digits, `-._~` and `keep`.
fn push_escaped(out: &mut String, text: &str, keep: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

impl TargetSpec {
    /// What makes two targets of a pool the same.
    pub(crate) fn key(&self) -> TargetKey {
        TargetKey {
            labels: self.labels.clone(),
            url: Arc::clone(&self.url_text),
        }
    }
}

/// Identity of a target inside its pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    labels: Labels,
    url: Arc<str>,
}

impl TargetKey {
    /// FNV-1a, the same in each run and on each machine: it decides the target's slot in the interval.
    pub(crate) fn stable_hash(&self) -> u64 {
        self.labels
            .as_packed()
            .iter()
            .chain(self.url.as_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

/// How the last scrape of a target went.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastScrape {
    pub(crate) health: Health,
    pub(crate) error: String,
    pub(crate) start_ms: Option<i64>,
    pub(crate) duration: Duration,
}

/// What the API reads of a target while its loop runs.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) spec: ArcSwap<TargetSpec>,
    pub(crate) last: Mutex<LastScrape>,
    pub(crate) metadata: ArcSwap<Vec<MetricMetadata>>,
}

impl TargetState {
    pub(crate) fn new(spec: Arc<TargetSpec>) -> Self {
        Self {
            spec: ArcSwap::from(spec),
            last: Mutex::default(),
            metadata: ArcSwap::default(),
        }
    }

    pub(crate) fn show(&self, pool: &str, external_host: &str) -> ActiveTarget {
        let spec = self.spec.load();
        let last = self.last.lock().clone();
        ActiveTarget {
            discovered_labels: spec.discovered.clone(),
            labels: spec.labels.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: spec.url_text.to_string(),
            global_url: global_url(&spec.url, external_host),
            last_error: last.error,
            last_scrape_ms: last.start_ms,
            last_scrape_duration: last.duration,
            health: last.health,
            scrape_interval: spec.interval,
            scrape_timeout: spec.timeout,
        }
    }

    pub(crate) fn show_metadata(&self, pool: &str) -> TargetMetadata {
        TargetMetadata {
            target: self.spec.load().labels.clone(),
            scrape_pool: pool.to_owned(),
            metrics: Vec::clone(&self.metadata.load()),
        }
    }
}

/// The URL as other machines see it: loopback names are replaced by this machine's name.
fn global_url(url: &Uri, external_host: &str) -> String {
    let text = url.to_string();
    let host = url.host().unwrap_or("");
    if external_host.is_empty() || !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return text;
    }
    text.replacen(host, external_host, 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{ScrapeConfig, ScrapeDefaults};
    use crate::relabel::{Action, RelabelConfig};

    fn settings(edit: impl FnOnce(&mut ScrapeConfig)) -> PoolSettings {
        let mut config = ScrapeConfig {
            job_name: "job".into(),
            ..ScrapeConfig::default()
        };
        edit(&mut config);
        config.resolve(&ScrapeDefaults::default()).unwrap()
    }

    /// Half of the labels are the group's.
    fn resolve(
        pairs: &[(&str, &str)],
        settings: &PoolSettings,
    ) -> Result<Option<Arc<TargetSpec>>, TargetError> {
        let (common, own) = pairs.split_at(pairs.len() / 2);
        let common = Labels::from_pairs(common.iter().copied());
        let own = Labels::from_pairs(own.iter().copied());
        let defaults = TargetDefaults::new(settings);
        Resolver::new(settings, &defaults).resolve(&common, &own)
    }

    fn target(pairs: &[(&str, &str)], settings: &PoolSettings) -> TargetSpec {
        let made = resolve(pairs, settings).unwrap();
        TargetSpec::clone(&made.expect("dropped"))
    }

    #[test]
    fn defaults_and_internal_labels() {
        let spec = target(
            &[("__address__", "h:1"), ("__meta_x", "y"), ("env", "prod")],
            &settings(|c| {
                c.params
                    .insert("a b".into(), vec!["1&2".into(), "3".into()]);
            }),
        );
        assert_eq!(
            spec.labels.to_string(),
            r#"{env="prod", instance="h:1", job="job"}"#
        );
        assert_eq!(
            spec.discovered.to_string(),
            r#"{__address__="h:1", __meta_x="y", __metrics_path__="/metrics", "__param_a b"="1&2", __scheme__="http", __scrape_interval__="1m", __scrape_timeout__="10s", env="prod", job="job"}"#
        );
        assert_eq!(spec.url, "http://h:1/metrics?a+b=1%262&a+b=3");
        assert_eq!(
            (spec.interval, spec.timeout),
            (Duration::from_secs(60), Duration::from_secs(10))
        );
    }

    #[test]
    fn relabelling_can_change_everything() {
        let set = |label: &str, value: &str| RelabelConfig {
            target_label: label.into(),
            replacement: Some(value.into()),
            ..RelabelConfig::default()
        };
        let settings = settings(|c| {
            c.relabel_configs = vec![
                set("__metrics_path__", "probe"),
                set("__param_module", "http"),
                set("__scrape_interval__", "5s"),
                set("__scrape_timeout__", "4s"),
                set("instance", "i"),
            ];
        });
        let spec = target(&[("__address__", "h")], &settings);
        assert_eq!(spec.url, "http://h/probe?module=http");
        assert_eq!(spec.interval, Duration::from_secs(5));
        assert_eq!(spec.labels.value("instance"), "i");
    }

    #[test]
    fn what_makes_no_target() {
        let none = settings(|_| {});
        let error = |pairs: &[(&str, &str)]| resolve(pairs, &none).unwrap_err().to_string();
        assert_eq!(error(&[]), "no address");
        assert_eq!(
            error(&[("__address__", "http://x")]),
            "\"http://x\" is not a valid hostname"
        );
        assert_eq!(
            error(&[("__address__", "x"), ("__scrape_interval__", "1s")]),
            "scrape timeout cannot be greater than scrape interval (\"10s\" > \"1s\")"
        );
        assert_eq!(
            error(&[("__address__", "x"), ("__scheme__", "a b")]),
            "cannot build a URL from \"a b://x/metrics\""
        );
        let dropping = settings(|c| {
            c.relabel_configs = vec![RelabelConfig {
                action: Action::Drop,
                ..RelabelConfig::default()
            }];
        });
        assert_eq!(resolve(&[("__address__", "x")], &dropping), Ok(None));
    }

    #[test]
    fn loopback_names_are_replaced_in_the_global_url() {
        for (url, want) in [
            ("http://localhost:9090/metrics", "http://me:9090/metrics"),
            ("http://127.0.0.1/m", "http://me/m"),
            ("http://[::1]:1/m", "http://me:1/m"),
            ("http://other:1/m", "http://other:1/m"),
        ] {
            assert_eq!(global_url(&url.parse().unwrap(), "me"), want);
        }
    }
}
