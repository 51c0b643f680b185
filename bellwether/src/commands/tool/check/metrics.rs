//! `bellwether tool check metrics`.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::families::{self, Family};
use super::{LINT_ERROR, lint};
use crate::commands::tool::output;

#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Show how many series each metric has.
    #[arg(long)]
    extended: bool,
    /// What to look for: all, or none.
    #[arg(long, value_name = "CHECKS", default_value = "all")]
    lint: String,
}

pub(super) fn run(args: &MetricsArgs) -> anyhow::Result<ExitCode> {
    let lints = args.lint != "none";
    if !lints && !args.extended {
        output::tell(
            "error: at least one of --extended or linting must be enabled\n\
             Use --extended for cardinality analysis, or remove --lint=none to enable linting",
        );
        return Ok(ExitCode::FAILURE);
    }
    let mut page = Vec::new();
    std::io::stdin().read_to_end(&mut page)?;
    let families = match families::read(&page) {
        Ok(families) => families,
        Err(error) => {
            let what = if lints {
                "error while linting:"
            } else {
                "error while parsing text to metric families:"
            };
            output::tell(&format!("{what} {error}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let problems = if lints {
        lint::lint(&families)
    } else {
        Vec::new()
    };
    let mut errors = std::io::stderr().lock();
    for (metric, text) in &problems {
        writeln!(errors, "{metric} {text}")?;
    }
    if args.extended {
        output::put(&table(families.iter()))?;
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(LINT_ERROR)
    })
}

/// Metrics by falling number of series.
fn table<'a>(families: impl Iterator<Item = (&'a String, &'a Family)>) -> String {
    let mut counts: Vec<(&str, usize)> = families
        .map(|(name, family)| (name.as_str(), family.cardinality()))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mut rows = vec![["Metric", "Cardinality", "Percentage"].map(str::to_owned)];
    rows.extend(counts.iter().map(|(name, count)| {
        let share = 100.0 * *count as f64 / total as f64;
        [
            (*name).to_owned(),
            count.to_string(),
            format!("{share:.2}%"),
        ]
    }));
    rows.push(["Total".to_owned(), total.to_string(), "100%".to_owned()]);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0) + 4
    };
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 3]| {
        let cells = row.iter().zip(widths);
        cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect::<String>()
            + "\n"
    };
    rows.iter().map(line).collect()
}
