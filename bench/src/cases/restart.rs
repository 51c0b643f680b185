//! A crash: how long until the same queries give the same answers, and what memory that takes.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;

use crate::http::Pusher;
use crate::push::Requests;
use crate::report::{Report, compared, plain};
use crate::server::{Kind, Programs, Scraping, Server};
use crate::{ALL, Common, now_ms, sleep};

/// Between two tries of the queries.
const RETRY: Duration = Duration::from_millis(20);
/// After which a server counts as lost.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 500_000)]
    series: usize,
    /// Minutes of samples in the log.
    #[arg(long, default_value_t = 30)]
    minutes: i64,
    /// Seconds between the samples of a series.
    #[arg(long, default_value_t = 15)]
    step: i64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let mut report = Report::new(
        format!(
            "restart after kill -9: {} series, {} minutes every {} s in the log",
            options.series, options.minutes, options.step
        ),
        &[
            compared("s until the same answers", 2),
            compared("CPU s until then", 2),
            plain("MiB before", 0),
            compared("MiB peak after", 0),
            plain("peak / before", 2),
        ],
    );
    for kind in options.common.servers(&ALL) {
        let figures = measure(options, &programs, kind)?;
        report.add(kind, &figures);
    }
    report.print();
    Ok(())
}

fn measure(options: &Options, programs: &Programs, kind: Kind) -> anyhow::Result<[f64; 5]> {
    let scratch = options.common.scratch()?;
    let server = Server::start(programs, kind, scratch.path(), Scraping::default())?;
    let mut requests = Requests::new("bench", "one", options.series, 5_000, 1);
    let mut pusher = Pusher::connect(server.address, server.push_path())?;
    let rounds = options.minutes * 60 / options.step;
    let mut time = now_ms() / 1000 * 1000 - rounds * options.step * 1000;
    for _ in 0..rounds {
        time += options.step * 1000;
        requests.round(time, |body, _| pusher.push(body))?;
    }
    // VictoriaMetrics writes what it took within five seconds; a crash before that loses it by design.
    sleep(10);
    // Samples from all of the log, of series from all of the index: enough to tell that everything is loaded, and so
    // few (one in 240) that the peak is the start's and not the queries'.
    let minutes = options.minutes;
    let counts = format!(
        r#"count_over_time({{job="bench",__name__=~"app.*5_requests_total",method="GET",code="200"}}[{minutes}m])"#
    );
    let queries = [format!("count({counts})"), format!("sum({counts})")];
    let ask = |server: &Server| -> anyhow::Result<Vec<_>> {
        let answers = queries.iter().map(|query| server.query(query, time / 1000));
        answers.collect()
    };
    let before = ask(&server)?;
    if before.iter().any(Vec::is_empty) {
        bail!("{kind} does not answer {queries:?}");
    }
    let memory = server.process.memory()?;
    let Server { process, .. } = server;
    process.kill()?;

    let started = Instant::now();
    let mut server = Server::launch(programs, kind, scratch.path(), Scraping::default())?;
    while !matches!(ask(&server), Ok(answers) if answers == before) {
        if !server.process.is_running() || started.elapsed() > PATIENCE {
            bail!("{kind} does not give the answers of before the crash");
        }
        std::thread::sleep(RETRY);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = server.process.cpu()?;
    // The peak may come with what a server does right after its first answer.
    sleep(5);
    let after = server.process.memory()?;
    Ok([
        elapsed,
        cpu,
        memory.resident / 1048576.0,
        after.peak / 1048576.0,
        after.peak / memory.resident,
    ])
}
