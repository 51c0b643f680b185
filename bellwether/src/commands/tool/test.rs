//! `bellwether tool test`: promtool's unit tests, with its output and exit codes.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bellwether_model::re2::Re2;
use bellwether_rules::unittest::{JunitReport, JunitSuite, TestOptions, run_file};
use clap::{Args, Subcommand};

use super::features;

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Run unit tests of rules.
    Rules(RulesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The unit test files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only run test groups whose names match, may be repeated.
    #[arg(long, value_name = "REGEX")]
    run: Vec<String>,
    /// Show expected and found alerts as a coloured difference.
    #[arg(long)]
    diff: bool,
    /// Report what is run, how long it takes, and all samples.
    #[arg(long)]
    debug: bool,
    /// Accept keys of rule files that do not exist.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// File for the results in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    features: features::FeatureArgs,
}

pub(super) fn run(command: &TestCommand) -> anyhow::Result<ExitCode> {
    match command {
        TestCommand::Rules(args) => rules(args),
    }
}

fn rules(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let (mut out, mut errors) = (std::io::stdout().lock(), std::io::stderr().lock());
    let features = args.features.resolve(&mut out)?;
    let pattern = (!args.run.is_empty()).then(|| args.run.join("|"));
    let run = pattern.map(|p| Re2::unanchored(&p)).transpose();
    let options = TestOptions {
        run: run.context("--run")?,
        diff: args.diff,
        debug: args.debug,
        ignore_unknown_fields: args.ignore_unknown_fields,
        promql: features.promql,
        delayed_name_removal: features.delayed_name_removal,
    };
    let mut report = JunitReport::default();
    let mut failed = false;
    for path in &args.files {
        let mut suite = JunitSuite::new(&path.display().to_string());
        let outcome = run_file(path, &options, &mut suite);
        report.suites.push(suite);
        for note in &outcome.notes {
            writeln!(errors, "{note}")?;
        }
        if outcome.errors.is_empty() {
            writeln!(out, "  SUCCESS")?;
        } else {
            failed = true;
            writeln!(errors, "  FAILED:")?;
            for error in &outcome.errors {
                writeln!(errors, "{error}")?;
                writeln!(out)?;
            }
        }
        writeln!(out)?;
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, report.to_xml())
            .with_context(|| format!("cannot write {} (--junit)", path.display()))?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
