//! `bellwether tool tsdb`: what promtool's `tsdb` commands do, with their arguments and output, and `verify`.
//!
//! All but `create-blocks-from` and `bench` only read: they work on the directory of a running server and on
//! one without write permission.

mod analyze;
mod bench;
mod create_blocks;
mod create_from_rules;
mod dump;
mod list;
mod verify;

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bellwether_model::Matcher;
use clap::{Args, Subcommand};

const DEFAULT_DIR: &str = "data/";

#[derive(Debug, Subcommand)]
pub(crate) enum TsdbCommand {
    /// List the blocks.
    List(list::ListArgs),
    /// Analyze churn, label pair cardinality and compaction efficiency of a block.
    Analyze(analyze::AnalyzeArgs),
    /// Print samples, those of the log included.
    Dump(dump::DumpArgs),
    /// Print samples in OpenMetrics text, without native histograms, which it cannot hold.
    DumpOpenmetrics(dump::DumpOpenmetricsArgs),
    /// Make blocks from samples in a text format.
    CreateBlocksFrom(create_blocks::CreateBlocksArgs),
    /// Measure the speed of the storage.
    Bench {
        #[command(subcommand)]
        command: bench::BenchCommand,
    },
    /// Check every checksum, order, reference and count of a data directory or block; nothing is repaired.
    Verify(DirArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// Database path.
    #[arg(value_name = "DB PATH", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

pub(super) async fn run(command: &TsdbCommand) -> anyhow::Result<ExitCode> {
    match command {
        TsdbCommand::List(args) => list::run(args)?,
        TsdbCommand::Analyze(args) => analyze::run(args)?,
        TsdbCommand::Dump(args) => dump::run(args)?,
        TsdbCommand::DumpOpenmetrics(args) => dump::run_openmetrics(args)?,
        TsdbCommand::CreateBlocksFrom(args) => create_blocks::run(args).await?,
        TsdbCommand::Bench { command } => bench::run(command)?,
        TsdbCommand::Verify(args) => return verify::run(args),
    }
    Ok(ExitCode::SUCCESS)
}

fn selector(text: &str) -> anyhow::Result<Vec<Matcher>> {
    bellwether_promql::parse_metric_selector(text).with_context(|| format!("--match {text}"))
}

/// Runs `write` with buffered standard output. A reader that went away (`| head`) ends it without an error.
fn to_stdout(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = write(&mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Err(e) if is_broken_pipe(&e) => {
            // What is left in the buffer has no reader either.
            let _ = out.into_parts();
            Ok(())
        }
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
