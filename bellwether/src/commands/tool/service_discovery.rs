//! `bellwether tool check service-discovery`: what discovery finds for a job, and what its relabelling makes of it,
//! with promtool's output and exit codes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bellwether_discovery::{GroupList, Manager, SetConfig};
use bellwether_model::Labels;
use bellwether_scrape::config::PoolSettings;
use bellwether_scrape::{CheckedTarget, check_targets};
use bellwether_server::{ConfigSource, Features};
use bellwether_telemetry::Registry;
use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub(crate) struct ServiceDiscoveryArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// The job to discover targets for.
    #[arg(value_name = "JOB")]
    job: String,
    /// How long to wait for what discovery finds.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = bellwether_model::duration::parse)]
    timeout: Duration,
}

/// A target as promtool prints it.
#[derive(Serialize)]
struct Shown {
    #[serde(rename = "discoveredLabels")]
    discovered: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    /// promtool prints an empty object whatever the error is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Empty>,
}

#[derive(Serialize)]
struct Empty {}

pub(super) async fn run(args: &ServiceDiscoveryArgs) -> anyhow::Result<ExitCode> {
    let settings = match job(args) {
        Ok(settings) => settings,
        Err(text) => {
            eprint(&text);
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut groups = GroupList::clone(&find(&settings, args.timeout).await);
    Arc::make_mut(&mut groups).sort_by(|a, b| a.source.cmp(&b.source));
    let checked = check_targets(&settings, &groups);
    for error in checked.iter().filter_map(|target| target.error.as_ref()) {
        eprint(&format!("warning: {error}\n"));
    }
    let shown: Vec<Shown> = checked.iter().map(Shown::from).collect();
    // Without a newline at the end, as promtool.
    use std::io::Write as _;
    std::io::stdout()
        .lock()
        .write_all(serde_json::to_string_pretty(&shown)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn eprint(text: &str) {
    use std::io::Write as _;
    // Nothing is left to be told when standard error is closed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The settings of the job. The error is complete text for the user.
fn job(args: &ServiceDiscoveryArgs) -> Result<PoolSettings, String> {
    let source = ConfigSource::File(args.config.clone());
    let config = source
        .load()
        .map_err(|e| format!("Cannot load config {e}\n"))?;
    let mut configs = config.all_scrape_configs();
    let Some(found) = configs.find(|c| c.job_name == args.job) else {
        let mut text = format!("Job {} not found. Select one of:\n", args.job);
        for config in config.all_scrape_configs() {
            text.push_str(&format!("\t{}\n", config.job_name));
        }
        return Err(text);
    };
    if let Some((key, reason)) = found.sd.not_runnable().first() {
        return Err(format!(
            "Could not create new discoverer {key} cannot run in this build: {reason}\n"
        ));
    }
    found
        .resolve(&config.scrape_defaults(&Features::default()))
        .map_err(|e| format!("Cannot load scrape configs {e}\n"))
}

/// What is discovered until the time is over; fixed targets alone need no time.
async fn find(settings: &PoolSettings, timeout: Duration) -> GroupList {
    let manager = Manager::new("check", &Registry::new());
    let mut found = manager.apply(&[SetConfig {
        name: &settings.job_name,
        configs: &settings.sd,
        base_dir: &settings.base_dir,
    }]);
    let Some(mut found) = found.remove(&settings.job_name) else {
        return GroupList::default();
    };
    if settings.sd.entries().next().is_some() {
        tokio::time::sleep(timeout).await;
    }
    found.take()
}

impl From<&CheckedTarget> for Shown {
    fn from(target: &CheckedTarget) -> Self {
        let pairs = |labels: &Labels| {
            let pairs = labels.iter();
            pairs
                .map(|l| (l.name.to_owned(), l.value.to_owned()))
                .collect()
        };
        Self {
            discovered: pairs(&target.discovered_labels),
            labels: pairs(&target.labels),
            error: target.error.as_ref().map(|_| Empty {}),
        }
    }
}
