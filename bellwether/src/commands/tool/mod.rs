//! `bellwether tool`: one module per kind of thing that the tools work on.

mod check;
mod explain;
mod features;
mod go_text;
mod output;
mod promql;
mod promql_test;
mod query;
mod service_discovery;
mod test;
mod tsdb;

use std::process::ExitCode;
use std::time::Duration;

use bellwether_model::duration;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// Check files that Prometheus reads, and servers.
    Check {
        /// How far an instant selector of the server looks back, for what is checked against it.
        #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = duration::parse, global = true)]
        lookback: Duration,
        #[command(subcommand)]
        command: check::CheckCommand,
    },
    /// Run unit tests.
    Test {
        #[command(subcommand)]
        command: test::TestCommand,
    },
    /// Data directories in Prometheus' format.
    Tsdb {
        #[command(subcommand)]
        command: tsdb::TsdbCommand,
    },
    /// Ask a Prometheus server.
    Query(query::QueryArgs),
    /// Format and edit PromQL expressions.
    Promql {
        #[command(subcommand)]
        command: promql::PromqlCommand,
    },
    /// Run scripts in Prometheus' PromQL test language.
    PromqlTest(promql_test::PromqlTestArgs),
}

pub(super) async fn run(command: &ToolCommand) -> anyhow::Result<ExitCode> {
    // Unit tests report what failed themselves.
    let level = match command {
        ToolCommand::Test { .. } => "error",
        _ => "warn",
    };
    bellwether_telemetry::init_logging(level, bellwether_telemetry::LogFormat::Logfmt);
    match command {
        ToolCommand::Check { command, lookback } => check::run(command, *lookback).await,
        ToolCommand::Test { command } => test::run(command),
        ToolCommand::Tsdb { command } => tsdb::run(command).await,
        ToolCommand::Query(args) => query::run(args).await,
        ToolCommand::Promql { command } => promql::run(command),
        ToolCommand::PromqlTest(args) => promql_test::run(args),
    }
}
