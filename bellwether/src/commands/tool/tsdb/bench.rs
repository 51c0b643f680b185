//! `bellwether tool tsdb bench write`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bellwether_model::Labels;
use bellwether_model::float::shortest_g;
use bellwether_server::tools::bench::{generated_series, ingest, read_series};
use bellwether_tsdb::{Db, DbOptions};
use clap::{Args, Subcommand};

use crate::commands::print;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Write many scrapes into a new database and print the samples per second.
    Write(WriteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// Output path; the database is made in its directory `storage`, which must not exist.
    #[arg(long, value_name = "DIR", default_value = "benchout")]
    out: PathBuf,
    /// Number of series to read or to make up.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    metrics: usize,
    /// Number of scrapes to simulate, 30 seconds apart.
    #[arg(long, value_name = "N", default_value_t = 3000)]
    scrapes: usize,
    /// File with series: a page in OpenMetrics or the text format, or a JSON object of labels per line
    /// [default: series are made up].
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(command: &BenchCommand) -> anyhow::Result<()> {
    let BenchCommand::Write(args) = command;
    let dir = args.out.join("storage");
    if dir.exists() {
        bail!(
            "{} exists; remove it or choose another directory with --out",
            dir.display()
        );
    }
    // As promtool: the head keeps everything, so the figure is that of the write path alone.
    let db = Db::open(&dir, DbOptions::default())?;
    let (series, _) = stage("readData", || read(args))?;
    let (total, took) = stage("ingestScrapes", || {
        let total = ingest(&*db, &series, args.scrapes)?;
        print("ingestion completed\n");
        Ok(total)
    })?;
    print(&format!(
        " > total samples: {total}\n > samples/sec: {}\n",
        shortest_g(total as f64 / took.as_secs_f64())
    ));
    stage("stopStorage", || Ok(db.close()?))?;
    Ok(())
}

fn read(args: &WriteArgs) -> anyhow::Result<Vec<Labels>> {
    let Some(path) = &args.file else {
        return Ok(generated_series(args.metrics));
    };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let series = read_series(&text, args.metrics).with_context(|| path.display().to_string())?;
    if series.is_empty() {
        bail!("{} holds no series", path.display());
    }
    Ok(series)
}

/// Runs a part of the benchmark and prints how long it took.
fn stage<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    print(&format!(">> start stage={name}\n"));
    let begin = Instant::now();
    let result = work()?;
    let took = begin.elapsed();
    let text = bellwether_rules::go_duration(took.as_nanos() as i128);
    print(&format!(">> completed stage={name} duration={text}\n"));
    Ok((result, took))
}
