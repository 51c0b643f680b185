//! `bellwether tool query analyze`: how many buckets of histograms are populated, as promtool counts them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bellwether_model::float;
use clap::Args;
use jiff::Timestamp;

use super::answer::{self, Series, Value};
use super::client::Client;
use super::{print, seconds, span_ms, time};
use crate::commands::tool::{go_text, output};

#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    /// URL of the server.
    #[arg(long)]
    server: String,
    /// Type of metric: histogram.
    #[arg(long = "type")]
    kind: String,
    /// Time frame to analyze.
    #[arg(long, default_value = "1h")]
    duration: String,
    /// Query time (RFC 3339 or Unix timestamp), now by default.
    #[arg(long)]
    time: Option<String>,
    /// Series selector. Can be specified multiple times.
    #[arg(long = "match", required = true)]
    matchers: Vec<String>,
}

const HEADER: &str = "Bucket stats for each histogram series over time
------------------------------------------------
First the min, avg, and max number of populated buckets, followed by the total
number of buckets (only if different from the max number of populated buckets
which is typical for classic but not native histograms).
";
const FOOTER: &str = "
Aggregated bucket stats
-----------------------
Each line shows min/avg/max over the series above.";

/// Numbers of populated buckets over time, and of all buckets that there ever were.
#[derive(Debug, PartialEq)]
struct Statistics {
    min: usize,
    avg: f64,
    max: usize,
    total: usize,
}

impl Statistics {
    /// From the number of populated buckets at each time.
    fn new(populated: &[usize], total: usize) -> Self {
        Self {
            min: populated.iter().copied().min().unwrap_or(0),
            max: populated.iter().copied().max().unwrap_or(0),
            avg: populated.iter().sum::<usize>() as f64 / populated.len() as f64,
            total,
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)?;
        if self.max != self.total {
            write!(f, "/{}", self.total)?;
        }
        Ok(())
    }
}

/// Least, mean and greatest of some numbers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Distribution {
    min: usize,
    max: usize,
    count: usize,
    avg: f64,
}

impl Distribution {
    fn update(&mut self, n: usize) {
        self.min = if self.count == 0 { n } else { self.min.min(n) };
        self.max = self.max.max(n);
        self.count += 1;
        let count = self.count as f64;
        self.avg += n as f64 / count - self.avg / count;
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)
    }
}

/// Over all series of one kind.
#[derive(Default)]
struct Summary {
    min: Distribution,
    avg: Distribution,
    max: Distribution,
    total: Distribution,
}

impl Summary {
    fn update(&mut self, s: &Statistics) {
        self.min.update(s.min);
        self.avg.update(s.avg as usize);
        self.max.update(s.max);
        self.total.update(s.total);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "histogram series ({} in total):\n- min populated: {}\n- avg populated: {}\n- max populated: {}",
            self.min.count, self.min, self.avg, self.max
        )?;
        if self.max != self.total {
            write!(f, "\n- total: {}", self.total)?;
        }
        Ok(())
    }
}

/// `http_config` is a file with the keys of an HTTP client.
pub(super) async fn run(
    args: &AnalyzeArgs,
    http_config: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    if args.kind != "histogram" {
        bail!("analyze type is {}, must be 'histogram'", args.kind);
    }
    let end = time(args.time.as_deref(), "time")?;
    let end = end.unwrap_or_else(|| Timestamp::now().as_millisecond());
    let duration = span_ms(&args.duration).context("error parsing the duration")?;
    let client = Client::new(&args.server, &[], http_config)?;
    output::line(HEADER)?;
    let (mut natives, mut classics) = (Summary::default(), Summary::default());
    for matcher in &args.matchers {
        let query = format!("{matcher}[{}]", go_text::duration_ms(duration));
        let parameters = [("query", query), ("time", seconds(end))];
        let Some(data) = client.post("query", &parameters).await? else {
            return Ok(ExitCode::FAILURE);
        };
        let Value::Matrix(matrix) = answer::value(&data)? else {
            bail!("query of buckets resulted in non-Matrix");
        };
        let mut groups: BTreeMap<String, Vec<(f64, Series)>> = BTreeMap::new();
        for series in matrix {
            if series.floats.is_empty() {
                if let Some(stats) = native(&series) {
                    output::line(&format!(
                        "- {} (native): {stats}",
                        print::metric(&series.metric)
                    ))?;
                    natives.update(&stats);
                }
            } else if let Some((key, bound)) = classic_key(&series) {
                groups.entry(key).or_default().push((bound, series));
            }
        }
        for (key, mut buckets) in groups {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let buckets: Vec<Series> = buckets.into_iter().map(|b| b.1).collect();
            if let Some(stats) = classic(&buckets)? {
                output::line(&format!("- {key} (classic): {stats}"))?;
                classics.update(&stats);
            }
        }
    }
    output::line(FOOTER)?;
    for (word, summary) in [("Native", natives), ("Classic", classics)] {
        if summary.min.count > 0 {
            output::line(&format!("\n{word} {summary}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `None` with fewer than two samples.
fn native(series: &Series) -> Option<Statistics> {
    if series.histograms.len() < 2 {
        return None;
    }
    let mut all = HashSet::new();
    let mut populated = Vec::new();
    for (_, h) in &series.histograms {
        populated.push(h.buckets.len());
        for b in &h.buckets {
            all.insert((b.boundaries, b.lower.to_bits(), b.upper.to_bits()));
        }
    }
    Some(Statistics::new(&populated, all.len()))
}

/// The histogram that a series is a bucket of, and the bucket's bound.
fn classic_key(series: &Series) -> Option<(String, f64)> {
    let mut labels = series.metric.clone();
    let bound = labels.remove("le")?;
    let name = labels
        .remove("__name__")
        .filter(|n| n.ends_with("_bucket"))?;
    let key = format!("{name}{}", print::metric(&labels));
    Some((key, float::parse(&bound).unwrap_or(0.0)))
}

/// `None` with fewer than two samples; buckets come in the order of their bounds.
fn classic(buckets: &[Series]) -> anyhow::Result<Option<Statistics>> {
    let times = buckets.first().map_or(0, |b| b.floats.len());
    if times < 2 {
        return Ok(None);
    }
    let mut populated = Vec::new();
    for at in 0..times {
        let mut count = 0;
        let mut previous: Option<(f64, f64)> = None;
        for bucket in buckets {
            // A shorter series ends the count.
            let Some(&(t, v)) = bucket.floats.get(at) else {
                break;
            };
            if previous.is_some_and(|p| p.0 != t) {
                bail!("matrix result is not time aligned");
            }
            // As promtool, in whole observations.
            count += usize::from((v - previous.map_or(0.0, |p| p.1)) as i64 != 0);
            previous = Some((t, v));
        }
        populated.push(count);
    }
    Ok(Some(Statistics::new(&populated, buckets.len())))
}
