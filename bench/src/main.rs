//! Whole-server benchmarks: Bellwether's metrics server next to Prometheus and VictoriaMetrics, on one machine, one
//! after the other, with the same data.
//!
//! Each case starts a server as its users do, feeds it from this process over loopback and reads the server's CPU
//! time and memory from `/proc`; what feeding costs is not counted. `cargo xtask bench CASE` builds and runs this;
//! `bench/RESULTS.md` explains the cases and keeps figures.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its user"
)]

mod cases;
mod http;
mod page;
mod population;
mod process;
mod push;
mod query;
mod report;
mod server;
mod sink;
mod source;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};

use crate::server::{Kind, Programs};

#[derive(Parser)]
#[command(name = "bellwether-bench", about = "Benchmarks of whole servers")]
struct Cli {
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// CPU and memory of scraping.
    Ingest(cases::ingest::Options),
    /// CPU of remote write.
    RemoteWrite(cases::remote_write::Options),
    /// CPU and memory of remote write out.
    Forward(cases::forward::Options),
    /// CPU of discovery and relabelling.
    Relabel(cases::relabel::Options),
    /// From a crash to the first right answer.
    Restart(cases::restart::Options),
    /// A block from the head under load.
    Compaction(cases::compaction::Options),
    /// Size of blocks.
    Blocks(cases::blocks::Options),
    /// CPU, time and memory of queries.
    Query(cases::query::Options),
    /// CPU of recording rules.
    Rules(cases::rules::Options),
    /// CPU and punctuality of scraping many small targets.
    Targets(cases::targets::Options),
}

/// What all cases have in common.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// The program to measure.
    #[arg(long, default_value = "target/release/bellwether")]
    pub(crate) bellwether: PathBuf,
    /// Folder of the reference programs.
    #[arg(long, env = "BELLWETHER_REFERENCE_BIN")]
    reference: PathBuf,
    /// Only these servers.
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::Bellwether, Kind::Prometheus, Kind::Victoria], value_enum)]
    only: Vec<Kind>,
    /// Where data directories are made; the system's folder for temporary files by default.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the data directories in place.
    #[arg(long)]
    keep: bool,
}

impl Common {
    pub(crate) fn programs(&self) -> anyhow::Result<Programs> {
        if !self.bellwether.is_file() {
            bail!("there is no {}", self.bellwether.display());
        }
        Ok(Programs {
            bellwether: self.bellwether.clone(),
            reference: self.reference.clone(),
        })
    }

    /// The chosen servers out of those that a case knows.
    pub(crate) fn servers(&self, known: &[Kind]) -> Vec<Kind> {
        self.only
            .iter()
            .copied()
            .filter(|kind| known.contains(kind))
            .collect()
    }

    /// A new directory.
    pub(crate) fn scratch(&self) -> anyhow::Result<tempfile::TempDir> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("bellwether-bench")
            .disable_cleanup(self.keep);
        match &self.dir {
            Some(dir) => builder.tempdir_in(dir),
            None => builder.tempdir(),
        }
        .context("cannot make a directory for data")
    }
}

/// All servers.
pub(crate) const ALL: [Kind; 3] = [Kind::Bellwether, Kind::Prometheus, Kind::Victoria];

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    println!("machine: {}", machine());
    match cli.case {
        Case::Ingest(options) => cases::ingest::run(&options),
        Case::RemoteWrite(options) => cases::remote_write::run(&options),
        Case::Forward(options) => cases::forward::run(&options),
        Case::Relabel(options) => cases::relabel::run(&options),
        Case::Restart(options) => cases::restart::run(&options),
        Case::Compaction(options) => cases::compaction::run(&options),
        Case::Blocks(options) => cases::blocks::run(&options),
        Case::Query(options) => cases::query::run(&options),
        Case::Rules(options) => cases::rules::run(&options),
        Case::Targets(options) => cases::targets::run(&options),
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|l| {
            l.strip_prefix("model name")?
                .split_once(": ")
                .map(|p| p.1.to_owned())
        })
        .unwrap_or_default();
    let memory = read("/proc/meminfo")
        .split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse::<f64>().ok())
        .unwrap_or(0.0);
    format!("{cores} cores of {model}, {:.0} GiB", memory / 1048576.0)
}
