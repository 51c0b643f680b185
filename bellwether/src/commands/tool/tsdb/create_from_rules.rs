//! `bellwether tool tsdb create-blocks-from rules`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_model::{Labels, duration};
use bellwether_promql::{Engine, EngineOptions, ParseOptions, QueryOptions, Value};
use bellwether_rules::file::FileOptions;
use bellwether_server::tools::rule_backfill::{
    Answer, RuleBackfillOptions, Span, backfill_rules, recording_rules,
};
use bellwether_tsdb::{BlockInfo, ReadOnlyDb};
use clap::Args;
use jiff::Timestamp;

use super::DEFAULT_DIR;
use crate::commands::tool::query::answer;
use crate::commands::tool::query::client::Client;
use crate::commands::tool::{output, query};

/// Without an end, the last hours are left to the server: blocks must not reach into what it has in memory.
const LEFT_OUT_S: i64 = 3 * 3600;

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// Files of recording rules.
    #[arg(value_name = "RULE FILE", required = true)]
    files: Vec<PathBuf>,
    /// The server that holds the data which the rules look at.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://localhost:9090",
        conflicts_with = "data"
    )]
    url: String,
    /// File with the keys of an HTTP client, for a server behind authentication or TLS.
    #[arg(long = "http.config.file", value_name = "FILE")]
    http_config: Option<PathBuf>,
    /// A data directory that holds them, instead of a server; it may be that of a running one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// First time (RFC 3339 or Unix timestamp).
    #[arg(long, value_name = "TIME")]
    start: String,
    /// Last time (RFC 3339 or Unix timestamp); three hours ago by default.
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Output directory for the blocks.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    output_dir: PathBuf,
    /// Time between evaluations of groups that do not say.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    eval_interval: Duration,
}

/// Who answers the queries.
enum Data {
    Server(Client),
    Directory { engine: Engine, db: ReadOnlyDb },
}

pub(super) async fn run(
    args: &RulesArgs,
    max_block_duration: Duration,
    created: impl FnMut(&BlockInfo),
) -> anyhow::Result<()> {
    let seconds = |ms: i64| ms.div_euclid(1000);
    let end = query::time(args.end.as_deref(), "end time")?;
    let start = query::time(Some(&args.start), "start time")?.unwrap_or_default();
    let options = RuleBackfillOptions {
        start_s: seconds(start),
        end_s: end.map_or_else(|| Timestamp::now().as_second() - LEFT_OUT_S, seconds),
        eval_interval: args.eval_interval,
        max_block_duration,
    };
    if options.start_s >= options.end_s {
        bail!("start time is not before end time");
    }
    let parse = ParseOptions::all();
    let file_options = FileOptions {
        promql: parse,
        ..FileOptions::default()
    };
    let rules = recording_rules(&args.files, &options, &file_options)
        .map_err(|errors| anyhow::anyhow!("rule importer parse error: {errors}"))?;
    let data = match &args.data {
        Some(dir) => Data::Directory {
            engine: Engine::new(EngineOptions {
                parse,
                ..EngineOptions::default()
            }),
            db: open(dir)?,
        },
        None => Data::Server(Client::new(&args.url, &[], args.http_config.as_deref())?),
    };
    let dir = &args.output_dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let ask = async |rule: &_, span| data.ask(rule, span).await;
    if let Err(error) = backfill_rules(&rules, dir, &options, ask, created).await {
        output::tell(&format!("rule importer error: {error:#}"));
        bail!("error importing rules");
    }
    Ok(())
}

fn open(dir: &Path) -> anyhow::Result<ReadOnlyDb> {
    ReadOnlyDb::open(dir, i64::MAX).with_context(|| format!("open {} (--data)", dir.display()))
}

impl Data {
    async fn ask(
        &self,
        rule: &bellwether_server::tools::rule_backfill::RecordingRule,
        span: Span,
    ) -> anyhow::Result<Answer> {
        match self {
            Self::Server(client) => ask_server(client, &rule.expr, span).await,
            Self::Directory { engine, db } => ask_directory(engine, db, &rule.expr, span),
        }
    }
}

async fn ask_server(client: &Client, expr: &str, span: Span) -> anyhow::Result<Answer> {
    let seconds = |ms: i64| (ms as f64 / 1000.0).to_string();
    let parameters = [
        ("query", expr.to_owned()),
        ("start", seconds(span.start_ms)),
        ("end", seconds(span.end_ms)),
        ("step", seconds(span.step_ms)),
    ];
    let Some(json) = client.post("query_range", &parameters).await? else {
        bail!("the server refuses the query {expr:?}");
    };
    let answer::Value::Matrix(series) = answer::value(&json)? else {
        bail!("rule result is no matrix");
    };
    let one = |series: answer::Series| {
        let samples = series.floats.iter();
        let samples = samples.map(|(t, v)| ((t * 1000.0).round() as i64, *v));
        (Labels::from_pairs(&series.metric), samples.collect())
    };
    Ok(series.into_iter().map(one).collect())
}

fn ask_directory(
    engine: &Engine,
    db: &ReadOnlyDb,
    expr: &str,
    span: Span,
) -> anyhow::Result<Answer> {
    let options = QueryOptions::default();
    let (start, end, step) = (span.start_ms, span.end_ms, span.step_ms);
    let result = engine.range(db, expr, start, end, step, &options)?;
    let Value::Matrix(series) = result.value else {
        bail!("rule result is no matrix");
    };
    let one =
        |series: bellwether_promql::MatrixSeries| (series.labels, series.floats.iter().collect());
    Ok(series.into_iter().map(one).collect())
}
