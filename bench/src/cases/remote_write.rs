//! Remote write 1.0: CPU for a million stored samples.

use std::time::Instant;

use clap::Args;

use crate::http::Pusher;
use crate::push::Requests;
use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{ALL, Common, now_ms, sleep};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Samples of each series.
    #[arg(long, default_value_t = 120)]
    rounds: i64,
    /// Samples in one request, each of another series.
    #[arg(long, default_value_t = 2_000)]
    batch: usize,
    /// Seconds between the timestamps of a series' samples; they are sent as fast as they are taken.
    #[arg(long, default_value_t = 15)]
    step: i64,
    /// Seconds after the last request that still count: some servers write later what they took.
    #[arg(long, default_value_t = 10)]
    settle: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "remote write: {} series, {} samples each, {} in a request",
            options.series, options.rounds, options.batch
        ),
        &[
            plain("samples/s", 0),
            compared("CPU s/million samples", 3),
            compared("CPU s/million new series", 2),
            compared("resident B/series", 0),
        ],
    );
    for kind in options.common.servers(&ALL) {
        let figures = measure(options, &programs, kind)?;
        report.add(kind, &figures);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 4]> {
    let scratch = options.common.scratch()?;
    let server = Server::start(programs, kind, scratch.path(), Scraping::default())?;
    let mut requests = Requests::new("bench", "one", options.series, options.batch, 1);
    let mut pusher = Pusher::connect(server.address, server.push_path())?;
    let mut time = now_ms() - (options.rounds + 1) * options.step * 1000;

    let cpu = server.process.cpu()?;
    requests.round(time, |body, _| pusher.push(body))?;
    sleep(2);
    let creation = server.process.cpu()? - cpu;

    let (samples, cpu, started) = (server.samples()?, server.process.cpu()?, Instant::now());
    for _ in 0..options.rounds {
        time += options.step * 1000;
        requests.round(time, |body, _| pusher.push(body))?;
    }
    let elapsed = started.elapsed().as_secs_f64();
    sleep(options.settle);
    let cpu = server.process.cpu()? - cpu;
    let samples = server.samples()? - samples;
    let memory = server.process.memory()?;
    let sent = (options.series as i64 * options.rounds) as f64;
    if (samples - sent).abs() > 0.001 * sent {
        eprintln!("{kind} counts {samples} samples of {sent}");
    }
    let series = options.series as f64;
    Ok([
        sent / elapsed,
        cpu / sent * 1e6,
        creation / series * 1e6,
        memory.resident / series,
    ])
}
