//! `bellwether tool tsdb dump` and `dump-openmetrics`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use bellwether_exposition::push_label_value;
use bellwether_model::float::shortest_g;
use bellwether_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name, quote};
use bellwether_model::{Labels, Matcher, is_stale_nan};
use bellwether_tsdb::{ReadOnlyDb, SampleValue};
use clap::{Args, ValueEnum};

use super::DirArgs;

#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Accepted for promtool's command lines. promtool makes a directory there; nothing is written here.
    #[arg(long, value_name = "DIR")]
    sandbox_dir_root: Option<PathBuf>,
    /// Oldest time to print, in milliseconds since the Unix epoch.
    #[arg(long, value_name = "MS", default_value_t = i64::MIN, allow_hyphen_values = true)]
    min_time: i64,
    /// Newest time to print, in milliseconds since the Unix epoch.
    #[arg(long, value_name = "MS", default_value_t = i64::MAX, allow_hyphen_values = true)]
    max_time: i64,
    /// Series selector; several select what any of them selects.
    #[arg(
        long = "match",
        value_name = "SELECTOR",
        default_value = "{__name__=~'(?s:.*)'}"
    )]
    selectors: Vec<String>,
    #[command(flatten)]
    dir: DirArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// What is printed.
    #[arg(long, value_enum, default_value_t = DumpFormat::Prom)]
    format: DumpFormat,
    #[command(flatten)]
    selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DumpOpenmetricsArgs {
    /// What is printed.
    #[arg(long, value_enum, default_value_t = OpenmetricsFormat::Prom)]
    format: OpenmetricsFormat,
    #[command(flatten)]
    selection: SelectionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// A line per sample: labels, value, milliseconds. As promtool prints it, which leaves out the first one or
    /// two samples of a series with native histograms and all behind a change of kind that it does not expect.
    Prom,
    /// The same with every sample.
    Full,
    /// A line per series: its labels as a JSON object.
    Seriesjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpenmetricsFormat {
    /// As promtool prints it: without the floats behind a native histogram, with staleness markers as NaN, and
    /// with names unquoted that OpenMetrics wants in quotes.
    Prom,
    /// Every float that is no staleness marker, in valid OpenMetrics.
    Full,
}

type Samples<'a> = &'a [(i64, SampleValue)];

pub(super) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let mut left_out = 0;
    each(
        &args.selection,
        |out, labels, samples| match args.format {
            DumpFormat::Prom => {
                left_out += promtool_lines(out, labels, samples)?;
                Ok(())
            }
            DumpFormat::Full => lines(out, labels, samples),
            DumpFormat::Seriesjson => {
                let pairs: BTreeMap<&str, &str> =
                    labels.iter().map(|l| (l.name, l.value)).collect();
                Ok(writeln!(out, "{}", serde_json::to_string(&pairs)?)?)
            }
        },
        "",
    )?;
    warn_about(left_out, "samples beside native histograms are left out");
    Ok(())
}

pub(super) fn run_openmetrics(args: &DumpOpenmetricsArgs) -> anyhow::Result<()> {
    let full = args.format == OpenmetricsFormat::Full;
    let mut odd = Oddities::default();
    each(
        &args.selection,
        |out, labels, samples| match full {
            true => openmetrics_lines(out, labels, samples),
            false => promtool_openmetrics_lines(out, labels, samples, &mut odd),
        },
        "# EOF\n",
    )?;
    warn_about(
        odd.floats,
        "float samples behind a native histogram are left out",
    );
    warn_about(odd.markers, "staleness markers are printed as NaN");
    warn_about(
        odd.names,
        "series have names that are not valid without quotes",
    );
    Ok(())
}

/// Tells on standard error where promtool's output is not what is stored.
fn warn_about(count: u64, what: &str) {
    if count > 0 {
        tracing::warn!("{count} {what}, as by promtool; use --format=full for all as it is");
    }
}

/// Calls `write` for every series of the selection, then prints `end`.
fn each(
    args: &SelectionArgs,
    mut write: impl FnMut(&mut dyn Write, &Labels, Samples<'_>) -> anyhow::Result<()>,
    end: &str,
) -> anyhow::Result<()> {
    let selectors = args
        .selectors
        .iter()
        .map(|text| super::selector(text))
        .collect::<anyhow::Result<Vec<Vec<Matcher>>>>()?;
    let db = ReadOnlyDb::open(&args.dir.dir, args.max_time)?;
    super::to_stdout(|out| {
        db.each_series(
            args.min_time,
            args.max_time,
            &selectors,
            |labels, samples| write(out, labels, samples),
        )?;
        Ok(out.write_all(end.as_bytes())?)
    })
}

fn lines(out: &mut dyn Write, labels: &Labels, samples: Samples<'_>) -> anyhow::Result<()> {
    let labels = labels.to_string();
    for (t, value) in samples {
        line(out, &labels, *t, value)?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, labels: &str, t: i64, value: &SampleValue) -> anyhow::Result<()> {
    match value {
        SampleValue::Float(v) => writeln!(out, "{labels} {} {t}", shortest_g(*v))?,
        SampleValue::Histogram(h) => writeln!(out, "{labels} {h} {t}")?,
        SampleValue::FloatHistogram(h) => writeln!(out, "{labels} {h} {t}")?,
    }
    Ok(())
}

/// As promtool 3.5: one loop each for floats, float histograms and integer histograms, and the sample on which
/// a loop stops is lost. Returns how many samples are not printed.
fn promtool_lines(
    out: &mut dyn Write,
    labels: &Labels,
    samples: Samples<'_>,
) -> anyhow::Result<u64> {
    let kinds: [fn(&SampleValue) -> bool; 3] = [
        |v| matches!(v, SampleValue::Float(_)),
        |v| matches!(v, SampleValue::FloatHistogram(_)),
        |v| matches!(v, SampleValue::Histogram(_)),
    ];
    let labels = labels.to_string();
    let mut left = samples.len() as u64;
    let mut rest = samples.iter();
    for is_kind in kinds {
        for (t, value) in rest.by_ref() {
            if !is_kind(value) {
                break;
            }
            line(out, &labels, *t, value)?;
            left -= 1;
        }
    }
    Ok(left)
}

fn openmetrics_lines(
    out: &mut dyn Write,
    labels: &Labels,
    samples: Samples<'_>,
) -> anyhow::Result<()> {
    let series = openmetrics_series(labels);
    for (t, value) in samples {
        match value {
            SampleValue::Float(v) if !is_stale_nan(*v) => {
                let sign = if *t < 0 { "-" } else { "" };
                let (seconds, millis) = (t.unsigned_abs() / 1000, t.unsigned_abs() % 1000);
                writeln!(
                    out,
                    "{series} {} {sign}{seconds}.{millis:03}",
                    shortest_g(*v)
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where promtool's OpenMetrics is not what is stored.
#[derive(Default)]
struct Oddities {
    floats: u64,
    markers: u64,
    names: u64,
}

fn promtool_openmetrics_lines(
    out: &mut dyn Write,
    labels: &Labels,
    samples: Samples<'_>,
    odd: &mut Oddities,
) -> anyhow::Result<()> {
    let name = labels.value(METRIC_NAME);
    let others = labels.iter().filter(|l| l.name != METRIC_NAME);
    let pairs: Vec<String> = others
        .clone()
        .map(|l| format!("{}={}", l.name, quote(l.value)))
        .collect();
    let series = format!("{name}{{{}}}", pairs.join(","));
    let valid = is_legacy_metric_name(name) && others.clone().all(|l| is_legacy_label_name(l.name));
    odd.names += u64::from(!valid);
    let is_float = |s: &&(i64, SampleValue)| matches!(s.1, SampleValue::Float(_));
    let shown = samples.iter().take_while(is_float).count();
    odd.floats += samples[shown..].iter().filter(is_float).count() as u64;
    for (t, value) in &samples[..shown] {
        if let SampleValue::Float(v) = value {
            odd.markers += u64::from(is_stale_nan(*v));
            writeln!(out, "{series} {} {:.3}", shortest_g(*v), *t as f64 / 1000.0)?;
        }
    }
    Ok(())
}

/// Name and labels, with quotes around names that are not of the old character set.
fn openmetrics_series(labels: &Labels) -> String {
    let mut out = String::new();
    let name = labels.value(METRIC_NAME);
    let quoted = |out: &mut String, text: &str| {
        out.push('"');
        push_label_value(out, text);
        out.push('"');
    };
    let mut separator = "";
    if name.is_empty() || is_legacy_metric_name(name) {
        out.push_str(name);
        out.push('{');
    } else {
        out.push('{');
        quoted(&mut out, name);
        separator = ",";
    }
    for label in labels.iter().filter(|l| l.name != METRIC_NAME) {
        out.push_str(separator);
        separator = ",";
        if is_legacy_label_name(label.name) {
            out.push_str(label.name);
        } else {
            quoted(&mut out, label.name);
        }
        out.push('=');
        quoted(&mut out, label.value);
    }
    out.push('}');
    out
}
