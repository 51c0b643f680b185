//! The configuration as `/api/v1/status/config` shows it: with the defaults in force, as Prometheus does.

use bellwether_scrape::ScrapeConfig;
use bellwether_scrape::config::{ByteSize, PromDuration};
use bellwether_scrape::relabel::RelabelConfig;

use bellwether_yaml::join_dir;

use super::global::GlobalConfig;
use super::load::Config;
use super::sections::RuntimeConfig;
use super::storage::ExemplarsConfig;
use crate::flags::{Feature, Features};
use crate::settings::EXEMPLARS_MAX;

const UTF8: &str = "utf8";
const ALLOW_UTF8: &str = "allow-utf-8";
const UNDERSCORES: &str = "underscores";
/// Prometheus' setting of the Go runtime. There is none here, but programs may look for it.
const GOGC: i64 = 75;
const PROTOBUF: &str = "PrometheusProto";
/// Asked for in this order, after protobuf where native histograms are wanted, before it otherwise.
const PROTOCOLS: &[&str] = &[
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
];

impl Config {
    /// A copy with everything filled in that the features and the defaults decide.
    #[must_use]
    pub(crate) fn with_defaults(&self, features: &Features) -> Self {
        let mut shown = self.clone();
        let global = &mut shown.global;
        fill_text(&mut global.metric_name_validation_scheme, UTF8);
        let escaping = escaping(&global.metric_name_validation_scheme);
        fill_text(&mut global.metric_name_escaping_scheme, escaping);
        let native = features.has(Feature::NativeHistograms);
        global.scrape_native_histograms.get_or_insert(native);
        let extra = features.has(Feature::ExtraScrapeMetrics);
        global.extra_scrape_metrics.get_or_insert(extra);
        let scrapes = shown.scrape_configs.iter_mut();
        for scrape in scrapes.chain(&mut shown.file_scrape_configs) {
            self.fill_scrape(scrape, features);
        }
        let alerting = &mut shown.alerting;
        alerting
            .alert_relabel_configs
            .iter_mut()
            .for_each(fill_rule);
        for alertmanager in &mut alerting.alertmanagers {
            alertmanager.http.show(&self.base_dir);
            alertmanager.sd.show(&self.base_dir);
            let rules = alertmanager.relabel_configs.iter_mut();
            rules
                .chain(&mut alertmanager.alert_relabel_configs)
                .for_each(fill_rule);
        }
        for remote in &mut shown.remote_write {
            remote.http.show(&self.base_dir);
            remote.write_relabel_configs.iter_mut().for_each(fill_rule);
        }
        for remote in &mut shown.remote_read {
            remote.http.show(&self.base_dir);
        }
        let log = &mut shown.global.scrape_failure_log_file;
        *log = join_dir(&self.base_dir, log);
        let RuntimeConfig { gogc } = &mut shown.runtime;
        gogc.get_or_insert(GOGC);
        if features.has(Feature::ExemplarStorage) {
            let exemplars = &mut shown.storage.exemplars;
            let ExemplarsConfig { max_exemplars } = exemplars.get_or_insert_default();
            max_exemplars.get_or_insert(EXEMPLARS_MAX as i64);
        }
        shown
    }

    fn fill_scrape(&self, scrape: &mut ScrapeConfig, features: &Features) {
        scrape.http.show(&self.base_dir);
        scrape.sd.show(&self.base_dir);
        let own = scrape.scrape_failure_log_file.take();
        let log = own.filter(|file| !file.is_empty());
        let log = log.or_else(|| global_log(&self.global));
        scrape.scrape_failure_log_file = log.map(|file| join_dir(&self.base_dir, &file));
        let global = self.scrape_defaults(features);
        let interval = scrape
            .scrape_interval
            .filter(|i| !i.0.is_zero())
            .unwrap_or(PromDuration(global.scrape_interval));
        scrape.scrape_interval = Some(interval);
        let timeout = PromDuration(global.scrape_timeout).min(interval);
        if scrape.scrape_timeout.is_none_or(|t| t.0.is_zero()) {
            scrape.scrape_timeout = Some(timeout);
        }
        let native = *scrape
            .scrape_native_histograms
            .get_or_insert(global.native_histograms);
        if scrape.scrape_protocols.as_ref().is_none_or(Vec::is_empty) {
            scrape.scrape_protocols = Some(if global.scrape_protocols.is_empty() {
                protocols(native || global.start_timestamps)
            } else {
                global.scrape_protocols
            });
        }
        scrape
            .always_scrape_classic_histograms
            .get_or_insert(global.always_scrape_classic_histograms);
        scrape
            .convert_classic_histograms_to_nhcb
            .get_or_insert(global.convert_classic_histograms_to_nhcb);
        scrape
            .extra_scrape_metrics
            .get_or_insert(global.extra_scrape_metrics);
        inherit(
            &mut scrape.body_size_limit,
            ByteSize(global.body_size_limit),
        );
        inherit(&mut scrape.sample_limit, global.sample_limit);
        inherit(&mut scrape.target_limit, global.target_limit);
        inherit(&mut scrape.label_limit, global.label_limit);
        inherit(
            &mut scrape.label_name_length_limit,
            global.label_name_length_limit,
        );
        inherit(
            &mut scrape.label_value_length_limit,
            global.label_value_length_limit,
        );
        inherit(
            &mut scrape.keep_dropped_targets,
            global.keep_dropped_targets,
        );
        let own = scrape.metric_name_validation_scheme.take();
        let mut scheme = own.clone().unwrap_or_default();
        fill_text(&mut scheme, &global.metric_name_validation_scheme);
        fill_text(&mut scheme, UTF8);
        // A scheme of its own also brings the escaping that goes with it.
        let mut inherited = match own.filter(|own| !own.is_empty()) {
            Some(_) => String::new(),
            None => global.metric_name_escaping_scheme,
        };
        fill_text(&mut inherited, escaping(&scheme));
        fill_text(
            scrape.metric_name_escaping_scheme.get_or_insert_default(),
            &inherited,
        );
        scrape.metric_name_validation_scheme = Some(scheme);
        let rules = scrape.relabel_configs.iter_mut();
        rules
            .chain(&mut scrape.metric_relabel_configs)
            .for_each(fill_rule);
    }
}

fn global_log(global: &GlobalConfig) -> Option<String> {
    let file = &global.scrape_failure_log_file;
    (!file.is_empty()).then(|| file.clone())
}

fn protocols(native: bool) -> Vec<String> {
    let texts = PROTOCOLS.iter().copied();
    let all: Vec<&str> = if native {
        std::iter::once(PROTOBUF).chain(texts).collect()
    } else {
        texts.collect()
    };
    all.into_iter().map(str::to_owned).collect()
}

fn escaping(validation: &str) -> &'static str {
    if validation == UTF8 {
        ALLOW_UTF8
    } else {
        UNDERSCORES
    }
}

fn fill_text(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

/// A limit that is not set is the global one, where there is one.
fn inherit<T: Default + PartialEq>(own: &mut Option<T>, global: T) {
    let none = T::default();
    if own.as_ref().is_none_or(|own| *own == none) && global != none {
        *own = Some(global);
    }
}

/// The default pattern is not shown, as by Prometheus.
fn fill_rule(rule: &mut RelabelConfig) {
    for (text, default) in [(&mut rule.separator, ";"), (&mut rule.replacement, "$1")] {
        text.get_or_insert_with(|| default.to_owned());
    }
}
