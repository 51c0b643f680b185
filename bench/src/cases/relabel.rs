//! Discovery: CPU of taking over a hundred thousand targets of a file and relabelling them.
//!
//! The rules are those of a sharded server in a cluster: most targets are dropped at the end, so that relabelling is
//! measured and not scraping. Then every target changes, again and again.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{Common, http, sleep};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 100_000)]
    targets: usize,
    /// Targets with common labels.
    #[arg(long, default_value_t = 100)]
    per_group: usize,
    /// Times that every target changes.
    #[arg(long, default_value_t = 5)]
    changes: usize,
    /// Seconds from change to change; both servers hold changes back for five.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Twenty rules; one target of a hundred is kept. Patterns are quoted: Prometheus' parser ends a plain text in braces at
/// a question mark.
const RULES: &str = r"
  - {source_labels: [__meta_cluster_pod_phase], regex: 'Pending|Succeeded|Failed', action: drop}
  - {source_labels: [__meta_cluster_annotation_scrape], regex: 'true', action: keep}
  - {source_labels: [__meta_cluster_annotation_scheme], regex: '(https?)', target_label: __scheme__}
  - {source_labels: [__meta_cluster_annotation_path], regex: '(.+)', target_label: __metrics_path__}
  - {source_labels: [__address__, __meta_cluster_annotation_port], regex: '([^:]+)(?::\d+)?;(\d+)', replacement: '$1:$2', target_label: __address__}
  - {source_labels: [__meta_cluster_namespace], target_label: namespace}
  - {source_labels: [__meta_cluster_pod], target_label: pod}
  - {source_labels: [__meta_cluster_node], target_label: node}
  - {source_labels: [__meta_cluster_container], target_label: container}
  - {source_labels: [__meta_cluster_pod], regex: '(.*)-[0-9a-f]+-[0-9a-z]+', target_label: workload}
  - {action: labelmap, regex: '__meta_cluster_label_(.+)'}
  - {source_labels: [namespace, workload], separator: '/', target_label: job}
  - {source_labels: [team], action: lowercase, target_label: team}
  - {source_labels: [__meta_cluster_zone], regex: '[a-z]+-([a-z]+\d)-[a-z]', target_label: region}
  - {source_labels: [env], regex: 'prod.*', target_label: tier, replacement: gold}
  - {source_labels: [env], regex: '(?:dev|qa).*', target_label: tier, replacement: bronze}
  - {action: labeldrop, regex: 'controller_revision_hash|pod_template_.*'}
  - {source_labels: [__meta_cluster_generation], target_label: generation}
  - {source_labels: [pod], modulus: 100, target_label: __tmp_shard, action: hashmod}
  - {source_labels: [__tmp_shard], regex: '7', action: keep}
";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "relabel: {} targets, 20 rules, {} changes of all of them",
            options.targets, options.changes
        ),
        &[
            plain("kept", 0),
            compared("CPU s to start", 3),
            compared("CPU s/change", 3),
            compared("MiB", 0),
        ],
    );
    let kinds = options
        .common
        .servers(&[Kind::Bellwether, Kind::Prometheus]);
    for kind in kinds {
        let figures = measure(options, &programs, kind)?;
        report.add(kind, &figures);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 4]> {
    let scratch = options.common.scratch()?;
    let file = scratch.path().join("targets.json");
    write(options, &file, 0)?;
    let scrape_configs = format!(
        "global: {{scrape_interval: 1h}}\nscrape_configs:\n- job_name: relabel\n  file_sd_configs: [{{files: ['{}']}}]\n  relabel_configs:{RULES}",
        file.display()
    );
    let scraping = Scraping {
        instead: Some(&scrape_configs),
        ..Scraping::default()
    };
    let mut server = Server::start(programs, kind, scratch.path(), scraping)?;
    let address = server.address;
    server.wait_until("done with the targets", || {
        // Each question costs the server something: a server that holds changes back must not pay for its patience.
        sleep(1);
        let page = http::get(address, "/metrics")?;
        Ok(page.lines().any(|line| {
            line.strip_prefix("prometheus_target_scrape_pool_targets{")
                .is_some_and(|rest| !rest.ends_with(" 0"))
        }))
    })?;
    sleep(options.seconds);
    let start = server.process.cpu()?;
    for generation in 1..=options.changes {
        let changed = Instant::now();
        write(options, &file, generation)?;
        let end = changed + Duration::from_secs(options.seconds);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }
    let cpu = server.process.cpu()? - start;
    let kept = server.metric("prometheus_target_scrape_pool_targets")?;
    let newest = with_generation(address, options.changes)?;
    if newest as f64 != kept {
        bail!("{kind}: {newest} of {kept} targets are as the last change made them");
    }
    let memory = server.process.memory()?.resident / 1048576.0;
    Ok([kept, start, cpu / options.changes as f64, memory])
}

/// Active targets that a change gave their labels.
fn with_generation(address: SocketAddr, generation: usize) -> anyhow::Result<usize> {
    let text = http::get(address, "/api/v1/targets?state=active")?;
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    let targets = answer["data"]["activeTargets"]
        .as_array()
        .context("the answer has no targets")?;
    let generation = generation.to_string();
    let newest = targets
        .iter()
        .filter(|target| target["labels"]["generation"] == generation.as_str());
    Ok(newest.count())
}

/// A new file takes the place of the old one at once.
fn write(options: &Options, file: &Path, generation: usize) -> anyhow::Result<()> {
    let mut text = String::from("[");
    for first in (0..options.targets).step_by(options.per_group.max(1)) {
        if first > 0 {
            text.push(',');
        }
        text.push_str("{\"targets\":[");
        let end = (first + options.per_group).min(options.targets);
        for target in first..end {
            let separator = if target > first { "," } else { "" };
            let (a, b, c) = (target >> 16, target >> 8 & 255, target & 255);
            write!(text, "{separator}\"10.{a}.{b}.{c}:8080\"")?;
        }
        let group = first / options.per_group.max(1);
        let zone = ["europe-west1-a", "us-east4-b", "asia-south2-c"][group % 3];
        write!(
            text,
            "],\"labels\":{{\"__meta_cluster_pod_phase\":\"Running\",\"__meta_cluster_annotation_scrape\":\"true\",\
             \"__meta_cluster_annotation_scheme\":\"http\",\"__meta_cluster_annotation_path\":\"/metrics\",\
             \"__meta_cluster_annotation_port\":\"{}\",\"__meta_cluster_namespace\":\"team-{}\",\
             \"__meta_cluster_pod\":\"checkout-{:08x}-{:05x}\",\"__meta_cluster_node\":\"node-{}\",\
             \"__meta_cluster_container\":\"app\",\"__meta_cluster_zone\":\"{zone}\",\
             \"__meta_cluster_label_app\":\"checkout\",\"__meta_cluster_label_team\":\"Payments\",\
             \"__meta_cluster_label_env\":\"prod\",\"__meta_cluster_label_pod_template_hash\":\"{:08x}\",\
             \"__meta_cluster_generation\":\"{generation}\"}}}}",
            9000 + group % 100,
            group % 50,
            group * 7919,
            group,
            group % 200,
            group,
        )?;
    }
    text.push(']');
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, file)?;
    Ok(())
}
