//! `bellwether tool check config`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bellwether_discovery::TargetGroup;
use bellwether_http::HttpClientConfig;
use bellwether_http::config::TlsConfig;
use bellwether_model::{Labels, duration};
use bellwether_rules::file::FileOptions;
use bellwether_rules::glob;
use bellwether_scrape::{ScrapeConfig, ScrapeDefaults, check_group};
use bellwether_server::{Config, ConfigSource, Features};
use clap::Args;
use serde::Deserialize;

use super::{Lints, RuleCheck, Verdict};
use crate::commands::tool::features;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Do not look at the files that a configuration names.
    #[arg(long)]
    syntax_only: bool,
    /// What to look for besides mistakes: all, duplicate-rules, too-long-scrape-interval, none; several separated by
    /// commas.
    #[arg(long, value_name = "CHECKS", default_value = "duplicate-rules")]
    lint: String,
    /// Exit with code 3 when that finds something.
    #[arg(long)]
    lint_fatal: bool,
    /// Accept keys of rule files that do not exist.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Check for agent mode, which has no rules, alerts and remote reads.
    #[arg(long)]
    agent: bool,
    #[command(flatten)]
    features: features::FeatureArgs,
}

/// Why a configuration does not pass.
#[derive(Debug)]
struct Mistake(String);

impl<E: fmt::Display> From<E> for Mistake {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn run(args: &ConfigArgs, lookback: Duration) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let options = FileOptions {
        ignore_unknown_fields: args.ignore_unknown_fields,
        promql: args.features.resolve(&mut out)?.promql,
        ..FileOptions::default()
    };
    let (too_long, rules) = split_lints(&args.lint);
    let lints = Lints::parse(&rules, &mut out)?;
    let mut check = RuleCheck {
        options,
        duplicates: lints.duplicates,
        out,
        errors: std::io::stderr().lock(),
    };
    let interval_max = too_long.then_some(lookback).filter(|l| !l.is_zero());
    let mut worst = Verdict::Good;
    for path in &args.files {
        worst = worst.max(one(path, args, interval_max, &mut check)?);
    }
    Ok(worst.exit_code(args.lint_fatal))
}

/// Whether scrape intervals are looked at, and the options that are about rules.
fn split_lints(list: &str) -> (bool, String) {
    let options: Vec<&str> = list.split(',').collect();
    if options.contains(&"none") {
        return (false, String::new());
    }
    let too_long = |o: &&str| matches!(*o, "all" | "too-long-scrape-interval");
    let rules = options.iter().filter(|o| **o != "too-long-scrape-interval");
    (
        options.iter().any(too_long),
        rules.copied().collect::<Vec<_>>().join(","),
    )
}

/// Checks a file and tells about it.
fn one<O: Write, E: Write>(
    path: &Path,
    args: &ConfigArgs,
    interval_max: Option<Duration>,
    check: &mut RuleCheck<O, E>,
) -> anyhow::Result<Verdict> {
    let shown = path.display();
    writeln!(check.out, "Checking {shown}")?;
    let mut warnings = Vec::new();
    let checked = load(path, args, &mut warnings);
    for warning in warnings {
        writeln!(check.out, "  WARNING: {warning}")?;
    }
    let (config, rule_files) = match checked {
        Ok(checked) => checked,
        Err(Mistake(error)) => {
            writeln!(check.errors, "  FAILED: {error}")?;
            writeln!(check.out)?;
            return Ok(Verdict::Bad);
        }
    };
    // The file is as good as any, but this build's server will not start with it.
    for reason in config.not_runnable() {
        writeln!(check.errors, "  WARNING: {reason}")?;
    }
    if !rule_files.is_empty() {
        writeln!(
            check.out,
            "  SUCCESS: {} rule files found",
            rule_files.len()
        )?;
    }
    writeln!(
        check.out,
        " SUCCESS: {shown} is valid prometheus config file syntax\n"
    )?;
    if args.syntax_only {
        return Ok(Verdict::Good);
    }
    let mut verdict = Verdict::Good;
    if let Some(too_long) = interval_max.and_then(|max| too_long_interval(&config, max)) {
        writeln!(check.errors, "  FAILED: {too_long}")?;
        verdict = Verdict::Lint;
    }
    Ok(verdict.max(check.files(&rule_files)?))
}

/// The first job whose samples go stale between two scrapes.
fn too_long_interval(config: &Config, max: Duration) -> Option<String> {
    let global = config.global.scrape_interval;
    config.all_scrape_configs().find_map(|scrape| {
        let own = scrape.scrape_interval.filter(|i| !i.0.is_zero());
        let interval = own.unwrap_or(global).0;
        (interval >= max).then(|| {
            format!(
                "too long scrape interval found, data point will be marked as stale - job: {}, interval: {}",
                scrape.job_name,
                duration::format(interval)
            )
        })
    })
}

/// Loads a configuration; the rule files that it names. Warnings are about files that may still come.
fn load(
    path: &Path,
    args: &ConfigArgs,
    warnings: &mut Vec<String>,
) -> Result<(Config, Vec<PathBuf>), Mistake> {
    let source = ConfigSource::File(path.to_owned());
    if args.agent {
        source.load_alone()?.check_agent_mode()?;
    }
    if args.syntax_only {
        let config = source.load_alone()?;
        check_scrapes(&config, true, warnings)?;
        return Ok((config, Vec::new()));
    }
    let config = source.load()?;
    let mut rule_files = Vec::new();
    for pattern in &config.rule_files {
        let found = glob(Path::new(pattern))?;
        if found.is_empty() && !pattern.contains('*') {
            return Err(Mistake(format!(
                "{pattern:?} does not point to an existing file"
            )));
        }
        rule_files.extend(found);
    }
    check_scrapes(&config, false, warnings)?;
    Ok((config, rule_files))
}

/// Everything about jobs that can be told without a connection: files of credentials and targets, and the targets
/// after relabelling.
fn check_scrapes(
    config: &Config,
    syntax_only: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Mistake> {
    let defaults = config.scrape_defaults(&Features::default());
    for scrape in config.all_scrape_configs() {
        let base = scrape.base_dir.as_deref().unwrap_or(&config.base_dir);
        if !syntax_only {
            check_credentials(&scrape.http, base)?;
        }
        check_certificate(&scrape.http.tls_config, base, syntax_only)?;
        for kubernetes in &scrape.sd.kubernetes_sd_configs {
            check_certificate(&kubernetes.http().tls_config, base, syntax_only)?;
        }
        let what = format!("scrape job {:?}", scrape.job_name);
        check_groups(scrape, &defaults, base, &what, syntax_only, warnings)?;
    }
    for alertmanager in &config.alerting.alertmanagers {
        // Discovery and relabelling of Alertmanagers follow the rules of jobs.
        let scrape = ScrapeConfig {
            job_name: "alertmanager".to_owned(),
            sd: alertmanager.sd.clone(),
            relabel_configs: alertmanager.relabel_configs.clone(),
            ..ScrapeConfig::default()
        };
        let what = "alertmanager config";
        check_groups(
            &scrape,
            &defaults,
            &config.base_dir,
            what,
            syntax_only,
            warnings,
        )?;
    }
    Ok(())
}

fn check_credentials(http: &HttpClientConfig, base: &Path) -> Result<(), Mistake> {
    let own = http.authorization.as_ref();
    let own = own.and_then(|a| a.credentials_file.as_ref());
    own.or(http.bearer_token_file.as_ref())
        .map_or(Ok(()), |file| {
            let what = "authorization credentials or bearer token file";
            exists(what, &seen(base, Path::new(file)))
        })
}

/// A certificate and its key come together.
fn check_certificate(tls: &TlsConfig, base: &Path, syntax_only: bool) -> Result<(), Mistake> {
    let shown = |file: &String| seen(base, Path::new(file)).display().to_string();
    match (&tls.cert_file, &tls.key_file) {
        (Some(cert), None) => Err(Mistake(format!(
            "client cert file {:?} specified without client key file",
            shown(cert)
        ))),
        (None, Some(key)) => Err(Mistake(format!(
            "client key file {:?} specified without client cert file",
            shown(key)
        ))),
        (Some(cert), Some(key)) if !syntax_only => {
            exists("client cert file", &seen(base, Path::new(cert)))?;
            exists("client key file", &seen(base, Path::new(key)))
        }
        _ => Ok(()),
    }
}

/// A path of the configuration as seen from the working directory, without a dot in front.
fn seen(base: &Path, path: &Path) -> PathBuf {
    match base.as_os_str().as_encoded_bytes() {
        b"" | b"." => path.to_owned(),
        _ => base.join(path),
    }
}

fn exists(what: &str, path: &Path) -> Result<(), Mistake> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            let path = path.display().to_string();
            Err(Mistake(format!(
                "error checking {what} {path:?}: stat {path}: {reason}"
            )))
        }
    }
}

/// A group of targets in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

fn check_groups(
    scrape: &ScrapeConfig,
    defaults: &ScrapeDefaults,
    base: &Path,
    what: &str,
    syntax_only: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Mistake> {
    // How targets are asked does not matter for what they are.
    let addresses = ScrapeConfig {
        http: HttpClientConfig::default(),
        ..scrape.clone()
    };
    let settings = addresses.resolve(defaults)?;
    for (index, fixed) in scrape.sd.static_configs.iter().enumerate() {
        let group = group(&fixed.targets, &fixed.labels);
        check_group(&settings, &index.to_string(), &group)?;
    }
    if syntax_only {
        return Ok(());
    }
    for pattern in scrape.sd.file_sd_configs.iter().flat_map(|sd| sd.files()) {
        let path = seen(base, Path::new(pattern));
        let shown = path.display().to_string();
        let found = glob(&path)?;
        if found.is_empty() {
            warnings.push(format!(
                "file {shown:?} for file_sd in {what} does not exist"
            ));
        }
        for file in found {
            let groups = read_targets(&file).map_err(|Mistake(error)| {
                Mistake(format!("checking SD file {shown:?}: {error}"))
            })?;
            for read in groups {
                check_group(&settings, "", &group(&read.targets, &read.labels))?;
            }
        }
    }
    Ok(())
}

fn group(targets: &[String], labels: &BTreeMap<String, String>) -> TargetGroup {
    let address = |target: &String| Labels::from_pairs([("__address__", target.as_str())]);
    TargetGroup {
        targets: targets.iter().map(address).collect(),
        labels: Labels::from_pairs(labels),
        ..TargetGroup::default()
    }
}

fn read_targets(file: &Path) -> Result<Vec<Group>, Mistake> {
    let text = std::fs::read_to_string(file)?;
    let name = file.display().to_string();
    let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    let groups: Vec<Option<Group>> = match ending.as_deref() {
        Some("json") => serde_json::from_str(&text)?,
        Some("yml" | "yaml") => {
            bellwether_yaml::from_str_with_nulls::<Option<_>>(&name, &text)?.unwrap_or_default()
        }
        other => {
            let ending = other.map(|e| format!(".{e}")).unwrap_or_default();
            return Err(Mistake(format!("invalid file extension: {ending:?}")));
        }
    };
    let mut checked = Vec::with_capacity(groups.len());
    for (index, group) in groups.into_iter().enumerate() {
        let group =
            group.ok_or_else(|| Mistake(format!("nil target group item found (index {index})")))?;
        if let Some(name) = group.labels.keys().find(|name| name.is_empty()) {
            return Err(Mistake(format!("{name:?} is not a valid label name")));
        }
        checked.push(group);
    }
    Ok(checked)
}
