//! Rules and notifications: their wiring to storage, queries and the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_promql::QueryResult;
use bellwether_promql::ast::Expr;
use bellwether_rules::file::{FileOptions, RuleFile};
use bellwether_rules::notifier::{AlertMessage, Notifier};
use bellwether_rules::{
    AlertingSnapshot, EvalError, Evaluate, GroupSnapshot, LoadError, ManagerOptions, ManagerParts,
    RuleManager, RuleQuery, RuleSnapshot, RulesConfig, glob,
};
use bellwether_telemetry::Registry;
use bellwether_telemetry::trace::Traces;
use bellwether_tsdb::Db;
use tokio::runtime::Handle;

use crate::config::{Config, ConfigError, ConfigSource};
use crate::flags::{Feature, Features};
use crate::queries::{Queries, parse_options};
use crate::rules::{self, RuleSource};
use crate::server::blocking;
use crate::settings::RuleSettings;
use crate::state::AppState;

/// The rule groups and where their alerts go.
pub(crate) struct Rules {
    manager: Arc<RuleManager>,
    notifier: Arc<Notifier>,
}

/// Rules ask as everybody else: they wait for a free slot and count in the metrics.
struct RuleQueries {
    queries: Arc<Queries>,
    runtime: Handle,
}

impl Evaluate for RuleQueries {
    fn evaluate(&self, query: RuleQuery<'_>) -> Result<QueryResult, EvalError> {
        Ok(self.queries.run_here(&self.runtime, query)?)
    }

    fn parse(&self, text: &str) -> Result<Expr, EvalError> {
        Ok(self.queries.engine().parse(text)?)
    }
}

impl Rules {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(
        db: &Arc<Db>,
        queries: &Arc<Queries>,
        settings: &RuleSettings,
        features: &Features,
        registry: &Registry,
        external_url: &str,
        traces: &Traces,
    ) -> Self {
        let notifier = Arc::new(Notifier::new(settings.notifier, registry));
        let (to, url) = (Arc::clone(&notifier), external_url.to_owned());
        let parts = ManagerParts {
            queries: Arc::new(RuleQueries {
                queries: Arc::clone(queries),
                runtime: Handle::current(),
            }),
            appendable: Arc::clone(db) as _,
            queryable: Arc::clone(db) as _,
            notify: Arc::new(move |expr, alerts| {
                let message = |alert| AlertMessage::new(alert, expr, &url);
                let messages: Vec<AlertMessage> = alerts.iter().map(message).collect();
                to.send(&messages);
            }),
            registry: registry.clone(),
        };
        let concurrent = features.has(Feature::ConcurrentRuleEval);
        let options = ManagerOptions {
            groups: settings.groups.clone(),
            external_url: external_url.to_owned(),
            concurrent_evals: concurrent.then_some(settings.max_concurrent_evals),
            traces: traces.clone(),
        };
        Self {
            manager: Arc::new(RuleManager::new(parts, options)),
            notifier,
        }
    }

    /// Lets the API ask for groups and Alertmanagers.
    pub(crate) fn show_in(&self, source: &RuleSource) {
        let manager = Arc::clone(&self.manager);
        source.set_groups(move || manager.groups().into_iter().map(group).collect());
        let notifier = Arc::clone(&self.notifier);
        source.set_alertmanagers(move || {
            let (active, dropped) = notifier.alertmanagers();
            rules::Alertmanagers { active, dropped }
        });
    }

    /// Takes over a configuration that was checked.
    pub(crate) async fn apply(
        &self,
        config: &Config,
        features: &Features,
    ) -> Result<(), ConfigError> {
        let (owned, features) = (config.clone(), features.clone());
        let read = blocking(move || rules_config(&owned, &features)).await;
        let wanted = read.map_err(|e| LoadError::Internal(e.to_string()))??;
        // Before the rules, so that their first alerts find their receivers.
        let base_dir = &config.base_dir;
        if let Err(error) = self
            .notifier
            .apply(&config.alerting, &config.external_labels, base_dir)
        {
            // The configuration was checked when it was loaded.
            tracing::error!(%error, "cannot take over the Alertmanagers");
        }
        Ok(self.manager.apply(&wanted).await?)
    }

    /// Ends the rules, then sends what waits.
    pub(crate) async fn shutdown(&self) {
        self.manager.shutdown().await;
        self.notifier.shutdown().await;
    }
}

/// What the configuration says about rules. Blocks on the disk.
fn rules_config(config: &Config, features: &Features) -> Result<RulesConfig, ConfigError> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in &config.rule_files {
        let found = glob(Path::new(pattern)).map_err(|error| {
            ConfigError::Rules(LoadError::Rule {
                file: pattern.clone(),
                message: error.to_string(),
            })
        })?;
        files.extend(found.into_iter().filter(|path| path.is_file()));
    }
    Ok(RulesConfig {
        files,
        options: FileOptions {
            ignore_unknown_fields: false,
            names: config.global.validation_scheme(),
            promql: parse_options(features),
        },
        interval: config.global.evaluation_interval.0,
        query_offset: config.global.rule_query_offset.0,
        external_labels: config.external_labels.clone(),
    })
}

/// Reads all rule files, to find their mistakes before anything changes. Blocks on the disk.
///
/// # Errors
/// All mistakes of the first bad file.
pub(crate) fn check_rule_files(config: &Config, features: &Features) -> Result<(), ConfigError> {
    let rules = rules_config(config, features)?;
    for file in &rules.files {
        RuleFile::read(file, &rules.options).map_err(LoadError::from)?;
    }
    Ok(())
}

/// The texts of the configuration and of the files that it names, to notice changes; `None` while the configuration
/// cannot be read. Blocks on the disk.
pub(crate) fn texts(source: &ConfigSource) -> Option<String> {
    let mut text = source.read().ok()?;
    // Without a good main file nobody knows the others. They may be bad: putting them right is a change, too.
    let named = source.load_alone().map(|config| {
        let patterns = config.rule_files.iter().chain(&config.scrape_config_files);
        let found = patterns.filter_map(|pattern| glob(Path::new(pattern)).ok());
        found.flatten().collect::<Vec<_>>()
    });
    for file in named.unwrap_or_default() {
        text.push_str(&format!("\n# {}\n", file.display()));
        text.push_str(&std::fs::read_to_string(&file).unwrap_or_default());
    }
    Some(text)
}

/// The server's address as people reach it: set by a flag, else host name and port.
pub(crate) fn external_url(state: &AppState, addresses: &[SocketAddr]) -> String {
    let url = state.web.external_url.trim_end_matches('/');
    if url.is_empty() {
        let port = addresses.first().map_or(9090, SocketAddr::port);
        format!("http://{}:{port}", state.hostname)
    } else {
        url.to_owned()
    }
}

fn group(group: GroupSnapshot) -> rules::RuleGroup {
    rules::RuleGroup {
        name: group.name,
        file: group.file,
        rules: group.rules.into_iter().map(rule).collect(),
        interval: group.interval,
        limit: group.limit,
        evaluation_time: group.evaluation_time,
        last_evaluation: group.last_evaluation.map(bellwether_rules::Time::timestamp),
    }
}

fn rule(rule: RuleSnapshot) -> rules::Rule {
    rules::Rule {
        name: rule.name,
        query: rule.query,
        labels: Labels::from_pairs(&rule.labels),
        health: match rule.status.health {
            bellwether_rules::Health::Unknown => rules::Health::Unknown,
            bellwether_rules::Health::Good => rules::Health::Good,
            bellwether_rules::Health::Bad => rules::Health::Bad,
        },
        last_error: rule.status.last_error,
        evaluation_time: rule.status.evaluation_time,
        last_evaluation: rule
            .status
            .last_evaluation
            .map(bellwether_rules::Time::timestamp),
        alerting: rule.alerting.as_ref().map(alerting),
    }
}

fn alerting(alerting: &AlertingSnapshot) -> rules::Alerting {
    rules::Alerting {
        hold: alerting.hold,
        keep_firing_for: alerting.keep_firing_for,
        annotations: Labels::from_pairs(&alerting.annotations),
        alerts: alerting.alerts.iter().map(alert).collect(),
    }
}

fn alert(alert: &bellwether_rules::Alert) -> rules::Alert {
    rules::Alert {
        labels: alert.labels.clone(),
        annotations: Labels::from_pairs(&alert.annotations),
        state: match alert.state {
            bellwether_rules::AlertState::Firing => rules::AlertState::Firing,
            _ => rules::AlertState::Pending,
        },
        active_at: alert.active_at.timestamp(),
        keep_firing_since: alert
            .keep_firing_since
            .map(bellwether_rules::Time::timestamp),
        value: alert.value,
    }
}
