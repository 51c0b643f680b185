//! `bellwether tool`: one module per kind of thing that the tools work on.

mod check;
mod features;
mod go_text;
mod test;
mod tsdb;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// Check files that Prometheus reads.
    Check {
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
}

pub(super) fn run(command: &ToolCommand) -> anyhow::Result<ExitCode> {
    // Unit tests report what failed themselves.
    let level = match command {
        ToolCommand::Test { .. } => "error",
        _ => "warn",
    };
    bellwether_telemetry::init_logging(level, bellwether_telemetry::LogFormat::Logfmt);
    match command {
        ToolCommand::Check { command } => check::run(command),
        ToolCommand::Test { command } => test::run(command),
        ToolCommand::Tsdb { command } => tsdb::run(command),
    }
}
