//! One file per sub-command. Each builds its part, runs it until a signal, and says how it ended.

mod api;
mod collector;
mod dashboard;
mod init;
mod load;
mod orders;
mod server;
pub(crate) mod tool;

use std::io::Write;
use std::process::ExitCode;

use bellwether_telemetry::{LogFormat, init_logging};
use clap::CommandFactory;

use crate::cli::{Cli, Command, LogArgs};

pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(args) => {
            start_logging(&args.log, "warn");
            crate::up::run(&args).await
        }
        Command::Api(args) => api::run(&args).await,
        Command::Orders(args) => orders::run(&args).await,
        Command::Collector(args) => collector::run(&args).await,
        Command::Server(flags) => server::run(*flags).await,
        Command::Dashboard(args) => dashboard::run(args).await,
        Command::Load(args) => load::run(args).await,
        Command::Init(args) => init::run(&args),
        Command::Tool { command } => tool::run(&command).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bellwether", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Starts logging; `default` is the level where the command line names none.
fn start_logging(args: &LogArgs, default: &str) {
    start_logging_as(args, default, LogFormat::Logfmt);
}

/// As [`start_logging`], with a default for the form of the lines, too.
fn start_logging_as(args: &LogArgs, level: &str, format: LogFormat) {
    let format = match args.log_format.as_deref() {
        Some("json") => LogFormat::Json,
        Some(_) => LogFormat::Logfmt,
        None => format,
    };
    init_logging(args.log_level.as_deref().unwrap_or(level), format);
}

/// Writes to standard output. A reader that went away (`| head`) is not an error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        tracing::debug!("standard output is closed");
    }
}
