//! `bellwether tool`: one module per kind of thing that the tools work on.

mod explain;
mod go_text;
mod output;
mod promql;
mod promql_test;
mod query;
mod tsdb;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
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
    /// Check what a server would read.
    Check {
        #[command(subcommand)]
        command: CheckCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check PromQL expressions and show their types.
    Promql(promql::CheckPromqlArgs),
}

pub(super) async fn run(command: &ToolCommand) -> anyhow::Result<ExitCode> {
    bellwether_telemetry::init_logging("warn", bellwether_telemetry::LogFormat::Logfmt);
    match command {
        ToolCommand::Tsdb { command } => tsdb::run(command),
        ToolCommand::Query(args) => query::run(args).await,
        ToolCommand::Promql { command } => promql::run(command),
        ToolCommand::PromqlTest(args) => promql_test::run(args),
        ToolCommand::Check { command } => match command {
            CheckCommand::Promql(args) => promql::check(args),
        },
    }
}
