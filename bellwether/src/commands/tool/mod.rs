//! `bellwether tool`: one module per kind of thing that the tools work on.

mod go_text;
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
}

pub(super) fn run(command: &ToolCommand) -> anyhow::Result<ExitCode> {
    bellwether_telemetry::init_logging("warn", bellwether_telemetry::LogFormat::Logfmt);
    match command {
        ToolCommand::Tsdb { command } => tsdb::run(command),
    }
}
