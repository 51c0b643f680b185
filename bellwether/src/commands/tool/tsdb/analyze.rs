//! `bellwether tool tsdb analyze`.

use std::fmt::Write as _;

use bellwether_tsdb::{BlockAnalysis, ChunkAnalysis, ReadOnlyDb};
use clap::Args;

use super::DirArgs;
use crate::commands::print;
use crate::commands::tool::go_text;

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// How many items to show in each list.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Look into the chunks too.
    #[arg(long)]
    extended: bool,
    /// Series selector to analyze.
    #[arg(long = "match", value_name = "SELECTOR")]
    selector: Option<String>,
    #[command(flatten)]
    dir: DirArgs,
    /// Block to analyze [default: the one that was made last].
    #[arg(value_name = "BLOCK ID")]
    block: Option<String>,
}

pub(super) fn run(args: &AnalyzeArgs) -> anyhow::Result<()> {
    let matchers = match &args.selector {
        Some(text) => super::selector(text)?,
        None => Vec::new(),
    };
    let db = ReadOnlyDb::open_blocks(&args.dir.dir)?;
    let block = args.block.as_deref();
    let meta = db.block_meta(block)?;
    let figures = db.analyze(block, &matchers)?;
    let mut out = format!(
        "Block ID: {}\nDuration: {}\nTotal Series: {}\n",
        meta.ulid,
        go_text::duration_ms(meta.max_time.saturating_sub(meta.min_time)),
        meta.stats.num_series
    );
    if let Some(text) = &args.selector {
        out.push_str(&format!("Matcher: {text}\n"));
    }
    write_figures(&mut out, &figures, args.selector.is_some(), args.limit)?;
    if args.extended {
        write_chunks(&mut out, &db.analyze_chunks(block, &matchers)?)?;
    }
    print(&out);
    Ok(())
}

fn write_figures(
    out: &mut String,
    figures: &BlockAnalysis,
    matched: bool,
    limit: usize,
) -> std::fmt::Result {
    writeln!(out, "Label names: {}", figures.label_names)?;
    if matched {
        writeln!(out, "Matched series: {}", figures.series)?;
    }
    writeln!(
        out,
        "Postings (unique label pairs): {}",
        figures.label_pairs
    )?;
    writeln!(
        out,
        "Postings entries (total label pairs): {}",
        figures.labels
    )?;
    for (title, list) in [
        (
            "Label pairs most involved in churning",
            &figures.churning_pairs,
        ),
        (
            "Label names most involved in churning",
            &figures.churning_names,
        ),
        ("Most common label pairs", &figures.common_pairs),
        (
            "Label names with highest cumulative label value length",
            &figures.longest_values,
        ),
        ("Highest cardinality labels", &figures.most_values),
        ("Highest cardinality metric names", &figures.largest_metrics),
    ] {
        writeln!(out, "\n{title}:")?;
        for (figure, text) in list.iter().take(limit) {
            writeln!(out, "{figure} {text}")?;
        }
    }
    Ok(())
}

fn write_chunks(out: &mut String, chunks: &ChunkAnalysis) -> std::fmt::Result {
    out.push_str("\nCompaction analysis:\n\n");
    let total = (chunks.float_samples.len() + chunks.histogram_samples.len()) as u64;
    for (what, values) in [
        ("samples per float chunk", &chunks.float_samples),
        ("bytes per float chunk", &chunks.float_bytes),
        ("samples per histogram chunk", &chunks.histogram_samples),
        ("bytes per histogram chunk", &chunks.histogram_bytes),
        ("buckets per histogram chunk", &chunks.histogram_buckets),
    ] {
        distribution(out, what, values, total)?;
    }
    Ok(())
}

/// A bar chart of values in ranges of a power of ten; a bar is one sign per percent of all chunks.
fn distribution(out: &mut String, what: &str, values: &[u64], total: u64) -> std::fmt::Result {
    let (Some(min), Some(max)) = (values.iter().min().copied(), values.iter().max().copied())
    else {
        return writeln!(out, "{what}: N/A\n");
    };
    let step = step(min, max);
    let start = min - min % step;
    let end = max - max % step + step;
    let mut counts = vec![0u64; ((end - start) / step + 1) as usize];
    for v in values {
        counts[((v - start) / step) as usize] += 1;
    }
    let average = values.iter().sum::<u64>() / values.len() as u64;
    writeln!(out, "{what} (min/avg/max): {min}/{average}/{max}")?;
    let digits = |n: u64| n.to_string().len();
    let (left, right) = (digits(end), digits(end + step));
    let wide = digits(counts.iter().max().copied().unwrap_or(0));
    for (i, count) in counts.iter().enumerate() {
        let low = i as u64 * step + start;
        let bar = "#".repeat((100 * count / total.max(1)) as usize);
        let (first, last) = (low + 1, low + step);
        writeln!(out, "[{first:left$}, {last:right$}]: {count:wide$} {bar}")?;
    }
    writeln!(out)
}

/// Ten, or the power of ten above a tenth of the span, at most 100,000.
fn step(min: u64, max: u64) -> u64 {
    let wanted = (max - min) / 10;
    let mut step = 10;
    while step < wanted && step <= 10_000 {
        step *= 10;
    }
    step
}
