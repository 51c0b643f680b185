//! Scraping: CPU for a million stored samples and memory for an active series.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::source::Source;
use crate::{ALL, Common, sleep};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Seconds of measuring, after the first scrapes.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 20)]
    warm_up: u64,
    /// Series on one page.
    #[arg(long, default_value_t = 10_000)]
    per_target: usize,
    /// Which loads.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Load::Small, Load::Medium, Load::Large, Load::Churn])]
    load: Vec<Load>,
    /// Percent of the series that the load with churn replaces in a minute.
    #[arg(long, default_value_t = 5.0)]
    churn: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Load {
    /// 10 000 series every second.
    Small,
    /// 100 000 series every second.
    Medium,
    /// 500 000 series every 5 seconds.
    Large,
    /// 100 000 series every second, some of them replaced.
    Churn,
}

impl Load {
    fn series(self) -> usize {
        match self {
            Self::Small => 10_000,
            Self::Medium | Self::Churn => 100_000,
            Self::Large => 500_000,
        }
    }

    fn interval_s(self) -> u64 {
        if self == Self::Large { 5 } else { 1 }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    for load in &options.load {
        let churn = if *load == Load::Churn {
            options.churn
        } else {
            0.0
        };
        let mut report = Report::new(
            format!(
                "ingest: {} series every {} s, {churn} % of them replaced in a minute, {} s",
                load.series(),
                load.interval_s(),
                options.seconds
            ),
            &[
                plain("samples/s", 0),
                plain("bytes/sample", 1),
                compared("CPU s/million samples", 3),
                compared("resident B/series", 0),
                plain("of it anonymous", 0),
                plain("proportional B/series", 0),
            ],
        );
        for kind in options.common.servers(&ALL) {
            let figures = measure(options, &programs, kind, *load, churn)?;
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
    load: Load,
    churn: f64,
) -> anyhow::Result<[f64; 6]> {
    let share = churn / 100.0 / 60.0 * load.interval_s() as f64;
    let source = Source::start(load.series(), options.per_target, share)?;
    let targets = source.addresses().len() as u64;
    let scratch = options.common.scratch()?;
    let scraping = Scraping {
        targets: source.addresses(),
        interval_s: load.interval_s(),
        ..Scraping::default()
    };
    let mut server = Server::start(programs, kind, scratch.path(), scraping)?;
    server.wait_until("scraping all targets twice", || {
        Ok(source.pages_served() >= 2 * targets)
    })?;
    sleep(options.warm_up);

    let (samples, cpu, started) = (server.samples()?, server.process.cpu()?, Instant::now());
    let (pages, bytes) = (source.pages_served(), source.bytes_served());
    std::thread::sleep(Duration::from_secs(options.seconds));
    let cpu = server.process.cpu()? - cpu;
    let samples = server.samples()? - samples;
    let elapsed = started.elapsed().as_secs_f64();
    let memory = server.process.memory()?;
    let served = (source.pages_served() - pages) as f64 * load.series() as f64 / targets as f64;
    let bytes = (source.bytes_served() - bytes) as f64 / served;
    if samples < 0.95 * served {
        eprintln!("{kind} stored {samples} samples of {served}: it does not keep up");
    }
    let series = load.series() as f64;
    Ok([
        samples / elapsed,
        bytes,
        cpu / samples * 1e6,
        memory.resident / series,
        memory.anonymous / series,
        memory.proportional / series,
    ])
}
