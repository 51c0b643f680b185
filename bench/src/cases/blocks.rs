//! Bytes on disk for a sample in a block.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;

use crate::http::{self, Pusher};
use crate::push::Requests;
use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{Common, now_ms};

/// Milliseconds of a block.
const RANGE: i64 = 2 * 3600 * 1000;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 20_000)]
    series: usize,
    /// Seconds between the samples of a series; a block has two hours of them.
    #[arg(long, default_value_t = 15)]
    step: i64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "blocks: two hours of {} series every {} s, written by a snapshot",
            options.series, options.step
        ),
        &[
            plain("samples", 0),
            compared("bytes/sample", 3),
            compared("of it chunks", 3),
            compared("of it index", 3),
        ],
    );
    for kind in options
        .common
        .servers(&[Kind::Bellwether, Kind::Prometheus])
    {
        let figures = measure(options, &programs, kind)?;
        report.add(kind, &figures);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 4]> {
    let scratch = options.common.scratch()?;
    let server = Server::start(programs, kind, scratch.path(), Scraping::default())?;
    let mut requests = Requests::new("bench", "one", options.series, 5_000, 1);
    let mut pusher = Pusher::connect(server.address, server.push_path())?;
    let start = (now_ms() - RANGE).div_euclid(RANGE) * RANGE;
    for round in 0..RANGE / (options.step * 1000) {
        let time = start + round * options.step * 1000;
        requests.round(time, |body, _| pusher.push(body))?;
    }
    let answer = http::post(server.address, "/api/v1/admin/tsdb/snapshot")?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let name = answer["data"]["name"]
        .as_str()
        .context("a snapshot's name")?;
    let mut samples = 0.0;
    let mut bytes = [0.0; 3];
    for block in fs::read_dir(server.data().join("snapshots").join(name))? {
        let block = block?.path();
        let meta: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(block.join("meta.json"))?)?;
        samples += meta["stats"]["numSamples"].as_f64().context("numSamples")?;
        bytes[0] += size(&block)?;
        bytes[1] += size(&block.join("chunks"))?;
        bytes[2] += size(&block.join("index"))?;
    }
    Ok([
        samples,
        bytes[0] / samples,
        bytes[1] / samples,
        bytes[2] / samples,
    ])
}

fn size(path: &Path) -> anyhow::Result<f64> {
    let meta = fs::metadata(path)?;
    if meta.is_file() {
        return Ok(meta.len() as f64);
    }
    let mut sum = 0.0;
    for entry in fs::read_dir(path)? {
        sum += size(&entry?.path())?;
    }
    Ok(sum)
}
