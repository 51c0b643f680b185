//! Queries: CPU, time and memory of what dashboards ask, and of two large answers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::query::answers::{self, Likeness};
use crate::query::data::{Data, Place, Shape};
use crate::query::measure::{self, Cost};
use crate::query::questions::{QUESTIONS, SPANS, Span, query_path};
use crate::query::table::QueryTable;
use crate::report::{Report, compared, plain};
use crate::server::Kind;
use crate::{ALL, Common};

const DAY: i64 = 24 * 3600;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// A tenth of the series and only a moment for each question.
    #[arg(long)]
    quick: bool,
    /// Where prepared data is kept; beside the program by default.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Only data in blocks, or only in the head.
    #[arg(long, value_parser = ["blocks", "head"])]
    place: Option<String>,
    /// Only questions whose name has this in it.
    #[arg(long, default_value = "")]
    question: String,
    /// Only spans whose name has this in it (`instant`, `1 h`, `6 h`, `24 h`).
    #[arg(long, default_value = "")]
    span: String,
    /// Do not measure memory: it takes a start of the server for each question.
    #[arg(long)]
    no_memory: bool,
    /// Do not measure the large answers.
    #[arg(long)]
    no_large: bool,
    /// Milliseconds that the first server may take for the repetitions of a question.
    #[arg(long, default_value_t = 400)]
    budget: u64,
}

impl Options {
    fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| {
            let target = self.common.bellwether.ancestors().nth(2);
            target.unwrap_or(".".as_ref()).join("bench-query")
        })
    }

    /// The chosen questions with their spans.
    fn rows(&self) -> Vec<(Span, usize)> {
        let spans = SPANS
            .into_iter()
            .filter(|s| s.to_string().contains(&self.span));
        spans
            .flat_map(|span| (0..QUESTIONS.len()).map(move |q| (span, q)))
            .filter(|(_, q)| QUESTIONS[*q].name.contains(&self.question))
            .collect()
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let programs = options.common.programs()?;
    let shape = Shape {
        series: if options.quick { 1_000 } else { 10_000 },
        seconds: DAY,
        step: 15,
    };
    let data = Data::new(&programs, shape, &options.cache());
    for place in [Place::Blocks, Place::Head] {
        if options.place.as_ref().is_none_or(|p| p == place.name()) {
            questions(options, &data, place)?;
        }
    }
    if options.no_large {
        return Ok(());
    }
    long_answer(options, &data)?;
    let shape = Shape {
        series: if options.quick { 10_000 } else { 100_000 },
        seconds: 3600,
        step: 60,
    };
    many_series(options, &Data::new(&programs, shape, &options.cache()))
}

/// All questions on all servers.
fn questions(options: &Options, data: &Data<'_>, place: Place) -> anyhow::Result<()> {
    let rows = options.rows();
    let mut repetitions: Vec<usize> = Vec::new();
    let mut results: Vec<(Kind, Vec<Cost>, Vec<Vec<u8>>)> = Vec::new();
    for kind in options.common.servers(&ALL) {
        let scratch = options.common.scratch()?;
        let server = data.start(kind, place, scratch.path())?;
        let budget = Duration::from_millis(if options.quick { 50 } else { options.budget });
        let (mut costs, mut bodies) = (Vec::new(), Vec::new());
        for (i, (span, q)) in rows.iter().enumerate() {
            let path = QUESTIONS[*q].path(kind, *span, data.shape.end());
            if repetitions.len() <= i {
                repetitions.push(measure::repetitions(&server, &path, budget)?);
            }
            let (cost, body) = measure::ask(&server, &path, repetitions[i])?;
            costs.push(cost);
            bodies.push(body);
        }
        server.process.stop()?;
        // A start on a head reads the whole log, so memory is only measured with blocks.
        if place == Place::Blocks && !options.no_memory {
            for ((span, q), cost) in rows.iter().zip(&mut costs) {
                let server = data.start_again(kind, place, scratch.path())?;
                let path = QUESTIONS[*q].path(kind, *span, data.shape.end());
                cost.memory = measure::memory(&server, &path)?;
                server.process.stop()?;
            }
        }
        results.push((kind, costs, bodies));
    }
    print(data, place, &rows, &results);
    check(&rows, &results)
}

type Results = [(Kind, Vec<Cost>, Vec<Vec<u8>>)];

fn print(data: &Data<'_>, place: Place, rows: &[(Span, usize)], results: &Results) {
    for span in SPANS {
        let chosen: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].0 == span).collect();
        if chosen.is_empty() {
            continue;
        }
        let table = QueryTable {
            title: format!("{span}, {} series in {}", data.shape.series, place.name()),
            names: chosen.iter().map(|i| QUESTIONS[rows[*i].1].name).collect(),
            costs: results
                .iter()
                .map(|(kind, costs, _)| (*kind, chosen.iter().map(|i| costs[*i]).collect()))
                .collect(),
        };
        table.print();
    }
}

/// Nobody shall measure a wrong answer.
fn check(rows: &[(Span, usize)], results: &Results) -> anyhow::Result<()> {
    let of = |wanted| results.iter().find(|(kind, ..)| *kind == wanted);
    let (Some((.., ours)), Some((.., theirs))) = (of(Kind::Bellwether), of(Kind::Prometheus))
    else {
        return Ok(());
    };
    let (mut rounded, mut wrong) = (0, 0);
    for ((span, q), (ours, theirs)) in rows.iter().zip(ours.iter().zip(theirs)) {
        match answers::compare(ours, theirs) {
            Ok(Likeness::Equal) => {}
            Ok(Likeness::Rounded) => rounded += 1,
            Err(error) => {
                wrong += 1;
                eprintln!("{}, {span}: {error}", QUESTIONS[*q].name);
            }
        }
    }
    println!(
        "\n{} answers, of which {rounded} differ from Prometheus' in last digits and {wrong} in more",
        rows.len()
    );
    anyhow::ensure!(wrong == 0, "answers differ from Prometheus'");
    Ok(())
}

/// 11,000 points of 1,000 series: what writing a large answer costs.
fn long_answer(options: &Options, data: &Data<'_>) -> anyhow::Result<()> {
    let mut report = Report::new(
        "an answer of 11 000 points of each series",
        &[
            plain("MB", 0),
            compared("CPU s", 2),
            plain("MB/s of CPU", 0),
            compared("MiB", 0),
        ],
    );
    let span = Span::Range {
        length: 10_999 * 7,
        step: 7,
    };
    let query = "app00_request_duration_seconds_bucket";
    large(options, data, Place::Blocks, (query, span), &mut report)
}

/// Sums of many series into few groups: memory must follow the groups.
fn many_series(options: &Options, data: &Data<'_>) -> anyhow::Result<()> {
    for span in [
        Span::Instant,
        Span::Range {
            length: 3000,
            step: 60,
        },
    ] {
        let mut report = Report::new(
            format!("sum by (instance) of {} series, {span}", data.shape.series),
            &[
                plain("MB", 3),
                compared("CPU s", 3),
                plain("MB/s of CPU", 0),
                compared("MiB", 1),
            ],
        );
        let query = r#"sum by (instance) ({__name__=~"app.+"})"#;
        large(options, data, Place::Blocks, (query, span), &mut report)?;
    }
    Ok(())
}

fn large(
    options: &Options,
    data: &Data<'_>,
    place: Place,
    (query, span): (&str, Span),
    report: &mut Report,
) -> anyhow::Result<()> {
    for kind in options.common.servers(&ALL) {
        let scratch = options.common.scratch()?;
        let server = data.start(kind, place, scratch.path())?;
        let path = query_path(kind, query, span, data.shape.end());
        let memory = measure::memory(&server, &path)?;
        let (cost, _) = measure::ask(&server, &path, 3)?;
        let megabytes = cost.bytes / 1e6;
        report.add(
            kind,
            &[
                megabytes,
                cost.cpu,
                megabytes / cost.cpu,
                memory / 1048576.0,
            ],
        );
        server.process.stop()?;
    }
    report.print();
    Ok(())
}
