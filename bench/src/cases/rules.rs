//! Recording rules: CPU for a round of evaluations, and whether any was left out.
//!
//! The same server scrapes the same pages twice as long: first without rules, then with them. What it takes more is
//! what the rules cost, storing what they record included.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::source::Source;
use crate::{Common, now_ms, sleep};

/// Servers that evaluate rules themselves.
const KNOWN: [Kind; 2] = [Kind::Bellwether, Kind::Prometheus];
/// Rules of a group; their order matters only inside of it.
const GROUP: usize = 20;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Rules.
    #[arg(long, default_value_t = 1000)]
    rules: usize,
    /// Series that they look at.
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Series on one page.
    #[arg(long, default_value_t = 10_000)]
    per_target: usize,
    /// Seconds between evaluations, and between scrapes.
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// Rounds of evaluations that are measured.
    #[arg(long, default_value_t = 8)]
    rounds: u64,
    /// Seconds before each part is measured.
    #[arg(long, default_value_t = 90)]
    warm_up: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "rules: {} recording rules over {} series every {} s, {} rounds",
            options.rules, options.series, options.interval, options.rounds
        ),
        &[
            compared("CPU s/round", 3),
            plain("evaluations/round", 0),
            plain("failed", 0),
            plain("missed iterations", 0),
            plain("slowest group s", 3),
            plain("recorded series", 0),
        ],
    );
    for kind in options.common.servers(&KNOWN) {
        report.add(kind, &measure(options, &programs, kind)?);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 6]> {
    let source = Source::start(options.series, options.per_target, 0.0)?;
    let targets = source.addresses().len() as u64;
    let scratch = options.common.scratch()?;
    let scraping = Scraping {
        targets: source.addresses(),
        interval_s: options.interval,
        ..Scraping::default()
    };
    let flags = ["--web.enable-lifecycle"];
    let mut server = Server::start_with(programs, kind, scratch.path(), scraping, &flags)?;
    server.wait_until("scraping all targets twice", || {
        Ok(source.pages_served() >= 2 * targets)
    })?;
    sleep(options.warm_up);
    let span = Duration::from_secs(options.rounds * options.interval);
    let before = server.process.cpu()?;
    std::thread::sleep(span);
    let scraping_cpu = server.process.cpu()? - before;

    let rules = scratch.path().join("rules.yml");
    let groups = options.rules.div_ceil(GROUP);
    let apps = (options.per_target / 240).clamp(1, 100);
    fs::write(&rules, rule_file(options.rules, apps, options.interval))?;
    server.reconfigure(
        scraping,
        &format!("rule_files: [{:?}]\n", rules.display().to_string()),
    )?;
    server.wait_until_metric("prometheus_rule_group_rules", options.rules as f64)?;
    sleep(options.warm_up.max(2 * options.interval));

    let names = [
        "prometheus_rule_evaluations_total",
        "prometheus_rule_evaluation_failures_total",
        "prometheus_rule_group_iterations_missed_total",
    ];
    let counts = |server: &Server| -> anyhow::Result<Vec<f64>> {
        names.iter().map(|name| server.metric(name)).collect()
    };
    let (cpu, start) = (server.process.cpu()?, counts(&server)?);
    std::thread::sleep(span);
    let cpu = server.process.cpu()? - cpu;
    let end = counts(&server)?;
    let grown = |i: usize| end[i] - start[i];
    let rounds = options.rounds as f64;
    let recorded = server.query("count({__name__=~\"bench:.+\"})", now_ms() / 1000)?;
    let recorded = recorded.first().context("the rules recorded nothing")?;
    let slowest = server.largest("prometheus_rule_group_last_duration_seconds")?;
    if grown(0) < 0.95 * rounds * options.rules as f64 {
        eprintln!(
            "{kind} evaluated {} rules in {rounds} rounds of {groups} groups",
            grown(0)
        );
    }
    Ok([
        (cpu - scraping_cpu) / rounds,
        grown(0) / rounds,
        grown(1),
        grown(2),
        slowest,
        recorded.parse()?,
    ])
}

/// Rules as people write them for dashboards and objectives: rates, ratios, quantiles, sums of gauges.
fn rule_file(count: usize, apps: usize, interval: u64) -> String {
    let mut text = "groups:\n".to_owned();
    let rules = (0..).flat_map(|round| (0..apps).map(move |app| (round, app)));
    let expressions: Vec<String> = rules
        .map(|(round, app)| expression(round, app))
        .take(count)
        .collect();
    for (group, expressions) in expressions.chunks(GROUP).enumerate() {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "- name: g{group}\n  interval: {interval}s\n  rules:");
        for (i, expression) in expressions.iter().enumerate() {
            let rule = group * GROUP + i;
            let _ = writeln!(
                text,
                "  - record: bench:rule{rule:04}\n    expr: {expression}"
            );
        }
    }
    text
}

/// The expression of a kind about an application; after the last kind they begin again with a longer window.
fn expression(kind: usize, app: usize) -> String {
    const BY: [&str; 5] = [
        "",
        "by (code) ",
        "by (method) ",
        "by (pod) ",
        "by (instance) ",
    ];
    const QUANTILES: [&str; 3] = ["0.5", "0.9", "0.99"];
    let a = format!("app{app:02}");
    let window = ["1m", "2m", "5m"][(kind / 13) % 3];
    match kind % 13 {
        by @ 0..=4 => format!("sum {}(rate({a}_requests_total[{window}]))", BY[by]),
        q @ 5..=7 => format!(
            "histogram_quantile({}, sum by (le) (rate({a}_request_duration_seconds_bucket[{window}])))",
            QUANTILES[q - 5]
        ),
        8 => format!(
            "sum by (pod) (rate({a}_request_duration_seconds_sum[{window}])) / sum by (pod) (rate({a}_request_duration_seconds_count[{window}]))"
        ),
        9 => format!(
            "sum(rate({a}_requests_total{{code=\"500\"}}[{window}])) / sum(rate({a}_requests_total[{window}]))"
        ),
        10 => format!("sum by (queue) (avg_over_time({a}_queue_length[{window}]))"),
        11 => format!("max by (queue, instance) (max_over_time({a}_queue_length[{window}]))"),
        _ => format!("sum by (code) (increase({a}_requests_total[{window}]))"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_expression() {
        let text = rule_file(1000, 41, 15);
        let mut expressions: Vec<&str> = text.lines().filter(|l| l.contains("expr:")).collect();
        assert_eq!(expressions.len(), 1000);
        expressions.sort_unstable();
        expressions.dedup();
        assert_eq!(expressions.len(), 1000);
        assert_eq!(text.matches("- name: g").count(), 50);
    }
}
