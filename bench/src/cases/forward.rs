//! Remote write out: CPU for a million samples sent, memory while the receiver is away, and how fast it catches up.
//!
//! A server scrapes the same pages in two runs, without and with a receiver: the difference is what sending costs. Then
//! the receiver goes away for a while and comes back.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::report::{Report, compared, plain};
use crate::server::{Forwarding, Kind, Programs, Scraping, Server};
use crate::sink::Sink;
use crate::source::Source;
use crate::{Common, sleep};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds of each measuring.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds before the first of a run.
    #[arg(long, default_value_t = 20)]
    warm_up: u64,
    /// Seconds that the receiver is away.
    #[arg(long, default_value_t = 60)]
    away: u64,
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Series on one page.
    #[arg(long, default_value_t = 10_000)]
    per_target: usize,
    /// Seconds between scrapes.
    #[arg(long, default_value_t = 1)]
    interval: u64,
    /// Which messages; the reference must know them.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Message::V1, Message::V2])]
    message: Vec<Message>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Message {
    V1,
    V2,
}

impl Message {
    fn name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    for message in &options.message {
        let mut report = Report::new(
            format!(
                "forward: {} series every {} s sent as {}, {} s",
                options.series,
                options.interval,
                message.name(),
                options.seconds
            ),
            &[
                plain("samples/s", 0),
                plain("bytes/sample", 1),
                plain("samples/request", 0),
                plain("CPU s/million scraped", 3),
                compared("more when sent", 3),
                plain("MiB", 0),
                compared("MiB with a receiver", 0),
                compared("MiB peak while away", 0),
                compared("s to catch up", 1),
            ],
        );
        for kind in options
            .common
            .servers(&[Kind::Bellwether, Kind::Prometheus])
        {
            let figures = measure(options, &programs, kind, *message)?;
            report.add(kind, &figures);
        }
        report.print();
    }
    Ok(())
}

fn measure(
    options: &Options,
    programs: &Programs,
    kind: Kind,
    message: Message,
) -> anyhow::Result<[f64; 9]> {
    let alone = scrape(options, programs, kind, None)?;
    let sink = Sink::start()?;
    let forwarding = Forwarding {
        address: sink.address(),
        message: message.name(),
    };
    let source = Source::start(options.series, options.per_target, 0.0)?;
    let scratch = options.common.scratch()?;
    let mut server = start(
        options,
        programs,
        kind,
        &source,
        Some(forwarding),
        scratch.path(),
    )?;
    let (sent, bytes, requests) = (sink.samples(), sink.bytes(), sink.requests());
    let (cpu, started) = (server.process.cpu()?, Instant::now());
    sleep(options.seconds);
    let cpu = server.process.cpu()? - cpu;
    let sent = sink.samples() - sent;
    let elapsed = started.elapsed().as_secs_f64();
    let bytes = (sink.bytes() - bytes) / sent;
    let batch = sent / (sink.requests() - requests);
    let memory = server.process.memory()?;

    sink.set_away(true);
    let mut peak: f64 = 0.0;
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(options.away) {
        std::thread::sleep(Duration::from_millis(200));
        peak = peak.max(server.process.memory()?.resident);
    }
    sink.set_away(false);
    let back = Instant::now();
    let rate = sent / elapsed;
    // What was sent before, what piled up, and what came since.
    let before = sink.samples();
    server.wait_until("sending as fast as scraping again", || {
        let due = rate * away.elapsed().as_secs_f64();
        // The batches that wait to be full.
        Ok(sink.samples() - before >= due - rate * 6.0)
    })?;
    let caught_up = back.elapsed().as_secs_f64();
    let mib = |bytes: f64| bytes / 1048576.0;
    Ok([
        rate,
        bytes,
        batch,
        alone.0,
        cpu / sent * 1e6 - alone.0,
        mib(alone.1),
        mib(memory.resident),
        mib(peak),
        caught_up,
    ])
}

fn start(
    options: &Options,
    programs: &Programs,
    kind: Kind,
    source: &Source,
    forwarding: Option<Forwarding>,
    dir: &std::path::Path,
) -> anyhow::Result<Server> {
    let scraping = Scraping {
        targets: source.addresses(),
        interval_s: options.interval,
        forwarding,
        ..Scraping::default()
    };
    let targets = source.addresses().len() as u64;
    let mut server = Server::start(programs, kind, dir, scraping)?;
    server.wait_until("scraping all targets twice", || {
        Ok(source.pages_served() >= 2 * targets)
    })?;
    sleep(options.warm_up);
    Ok(server)
}

/// CPU seconds for a million samples and resident bytes without a receiver.
fn scrape(
    options: &Options,
    programs: &Programs,
    kind: Kind,
    forwarding: Option<Forwarding>,
) -> anyhow::Result<(f64, f64)> {
    let source = Source::start(options.series, options.per_target, 0.0)?;
    let scratch = options.common.scratch()?;
    let server = start(options, programs, kind, &source, forwarding, scratch.path())?;
    let (samples, cpu) = (server.samples()?, server.process.cpu()?);
    sleep(options.seconds);
    let cpu = server.process.cpu()? - cpu;
    let samples = server.samples()? - samples;
    Ok((cpu / samples * 1e6, server.process.memory()?.resident))
}
