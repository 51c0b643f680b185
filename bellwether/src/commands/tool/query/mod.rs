//! `bellwether tool query`: asks a Prometheus HTTP API. Arguments and default output are those of promtool's `query`
//! commands; tables, CSV and sparklines come on top. Warnings and infos go to the standard error output.

mod analyze;
pub(super) mod answer;
pub(super) mod client;
mod print;
mod tabular;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bellwether_model::duration;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::output;
use client::Client;

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Output format.
    #[arg(short = 'o', long, global = true, value_enum, default_value_t = Format::Promql)]
    format: Format,
    /// File with the keys of an HTTP client, as in Prometheus' configuration: basic_auth, tls_config and so on.
    #[arg(long = "http.config.file", value_name = "FILE", global = true)]
    http_config: Option<PathBuf>,
    #[command(subcommand)]
    command: QueryCommand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As promtool prints it.
    Promql,
    /// The result as JSON, as promtool prints it.
    Json,
    /// One row per series.
    Table,
    /// One line per sample.
    Csv,
    /// One line per series, its values drawn.
    Sparkline,
}

#[derive(Debug, Subcommand)]
enum QueryCommand {
    /// Run an instant query.
    Instant {
        #[command(flatten)]
        server: Server,
        /// PromQL expression.
        expr: String,
        /// Evaluation time (RFC 3339 or Unix timestamp).
        #[arg(long)]
        time: Option<String>,
    },
    /// Run a range query.
    Range {
        #[command(flatten)]
        server: Server,
        /// PromQL expression.
        expr: String,
        /// Start time (RFC 3339 or Unix timestamp); five minutes before the end by default.
        #[arg(long)]
        start: Option<String>,
        /// End time (RFC 3339 or Unix timestamp); now by default.
        #[arg(long)]
        end: Option<String>,
        /// Step (duration); by default so that there are about 250 of them.
        #[arg(long)]
        step: Option<String>,
    },
    /// List series.
    Series {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        span: Span,
        /// Series selector. Can be specified multiple times.
        #[arg(long = "match", required = true)]
        matchers: Vec<String>,
    },
    /// List the values of a label.
    Labels {
        #[command(flatten)]
        server: Server,
        /// Label name.
        name: String,
        #[command(flatten)]
        span: Span,
        /// Series selector. Can be specified multiple times.
        #[arg(long = "match")]
        matchers: Vec<String>,
    },
    /// Show how many buckets of histograms are populated over time.
    Analyze(analyze::AnalyzeArgs),
}

#[derive(Debug, Args)]
struct Server {
    /// URL of the server, possibly with user and password.
    #[arg(value_name = "SERVER")]
    url: String,
    /// Extra header to send, NAME=VALUE. Can be specified multiple times.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
}

impl Server {
    fn client(&self, args: &QueryArgs) -> anyhow::Result<Client> {
        Client::new(&self.url, &self.headers, args.http_config.as_deref())
    }
}

#[derive(Debug, Args)]
struct Span {
    /// Start time (RFC 3339 or Unix timestamp).
    #[arg(long)]
    start: Option<String>,
    /// End time (RFC 3339 or Unix timestamp).
    #[arg(long)]
    end: Option<String>,
}

impl Span {
    /// As promtool: more than a year around now.
    fn parameters(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        const AROUND_MS: i64 = 9_999 * 3_600_000;
        let now = Timestamp::now().as_millisecond();
        let start = time(self.start.as_deref(), "start time")?.unwrap_or(now - AROUND_MS);
        let end = time(self.end.as_deref(), "end time")?.unwrap_or(now + AROUND_MS);
        Ok(vec![("start", seconds(start)), ("end", seconds(end))])
    }
}

pub(super) async fn run(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let format = args.format;
    match &args.command {
        QueryCommand::Instant { server, expr, time } => {
            let at = self::time(time.as_deref(), "evaluation time")?;
            let at = at.unwrap_or_else(|| Timestamp::now().as_millisecond());
            let parameters = [("query", expr.clone()), ("time", seconds(at))];
            let client = server.client(args)?;
            show(&client, "query", &parameters, format).await
        }
        QueryCommand::Range {
            server,
            expr,
            start,
            end,
            step,
        } => {
            let (start, end, step) = range(start.as_deref(), end.as_deref(), step.as_deref())?;
            let parameters = [
                ("query", expr.clone()),
                ("start", seconds(start)),
                ("end", seconds(end)),
                ("step", seconds(step)),
            ];
            let client = server.client(args)?;
            show(&client, "query_range", &parameters, format).await
        }
        QueryCommand::Series {
            server,
            span,
            matchers,
        } => {
            let mut parameters = span.parameters()?;
            parameters.extend(matchers.iter().map(|m| ("match[]", m.clone())));
            let client = server.client(args)?;
            let Some(data) = client.post("series", &parameters).await? else {
                return Ok(ExitCode::FAILURE);
            };
            output::put(&print::series(&answer::label_sets(&data)?, format))?;
            Ok(ExitCode::SUCCESS)
        }
        QueryCommand::Labels {
            server,
            name,
            span,
            matchers,
        } => {
            let mut parameters = span.parameters()?;
            parameters.extend(matchers.iter().map(|m| ("match[]", m.clone())));
            let client = server.client(args)?;
            let path = format!("label/{}/values", client::escaped(name));
            let Some(data) = client.get(&path, &parameters).await? else {
                return Ok(ExitCode::FAILURE);
            };
            output::put(&print::values(&answer::strings(&data)?, name, format))?;
            Ok(ExitCode::SUCCESS)
        }
        QueryCommand::Analyze(analyze) => analyze::run(analyze, args.http_config.as_deref()).await,
    }
}

async fn show(
    client: &Client,
    path: &str,
    parameters: &[(&'static str, String)],
    format: Format,
) -> anyhow::Result<ExitCode> {
    let Some(data) = client.post(path, parameters).await? else {
        return Ok(ExitCode::FAILURE);
    };
    output::put(&print::value(&answer::value(&data)?, format))?;
    Ok(ExitCode::SUCCESS)
}

/// Start, end and step in milliseconds.
pub(super) fn range(
    start: Option<&str>,
    end: Option<&str>,
    step: Option<&str>,
) -> anyhow::Result<(i64, i64, i64)> {
    let end = time(end, "end time")?.unwrap_or_else(|| Timestamp::now().as_millisecond());
    let start = time(start, "start time")?.unwrap_or(end - 5 * 60_000);
    if start >= end {
        bail!("start time is not before end time");
    }
    let step = match step {
        Some(text) => span_ms(text).with_context(|| format!("error parsing step {text:?}"))?,
        None => ((end - start) / 1000 / 250).max(1) * 1000,
    };
    Ok((start, end, step))
}

/// A time in milliseconds since the epoch.
pub(super) fn time(text: Option<&str>, what: &str) -> anyhow::Result<Option<i64>> {
    let Some(text) = text else {
        return Ok(None);
    };
    if let Some(seconds) = text.parse::<f64>().ok().filter(|s| s.is_finite()) {
        return Ok(Some((seconds * 1000.0).round() as i64));
    }
    match text.parse::<Timestamp>() {
        Ok(t) => Ok(Some(t.as_millisecond())),
        Err(_) => bail!("error parsing {what}: cannot parse {text:?} to a valid timestamp"),
    }
}

/// A duration of Prometheus (`1d`, `5m`) or Go (`1h30m0s`, `1.5s`) in milliseconds.
fn span_ms(text: &str) -> anyhow::Result<i64> {
    if let Ok(ms) = duration::parse_millis(text) {
        return Ok(ms);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, tail) = rest.split_at(digits.unwrap_or(rest.len()));
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let size = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            _ => bail!("not a valid duration"),
        };
        total += number.parse::<f64>()? * size;
        rest = tail;
    }
    if total < 1.0 {
        bail!("not a valid duration");
    }
    Ok(total as i64)
}

/// Milliseconds as the API takes times.
fn seconds(ms: i64) -> String {
    bellwether_model::float::plain(ms as f64 / 1000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_both_kinds() {
        for (text, ms) in [
            ("1m30s", 90_000),
            ("1h0m0.5s", 3_600_500),
            ("250ms", 250),
            ("1d", 86_400_000),
        ] {
            assert_eq!(span_ms(text).unwrap(), ms, "{text}");
        }
        assert!(span_ms("5").is_err());
        assert!(span_ms("5 apples").is_err());
        assert!(span_ms("0s0s").is_err());
    }

    #[test]
    fn the_default_step_gives_250_points() {
        assert_eq!(
            range(Some("0"), Some("5000"), None).unwrap(),
            (0, 5_000_000, 20_000)
        );
        assert_eq!(range(Some("0"), Some("10"), None).unwrap().2, 1000);
        assert!(range(Some("10"), Some("10"), None).is_err());
        assert!(range(Some("soon"), None, None).is_err());
    }
}
