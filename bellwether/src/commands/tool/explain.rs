//! `bellwether tool promql explain`: the plan of a query, and what each of its nodes costs on a data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bellwether_promql::{
    Engine, EngineOptions, NodeCost, ParseOptions, PlanNode, QueryOptions, QueryTimes, Value,
};
use bellwether_tsdb::ReadOnlyDb;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;

use super::{output, query};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// PromQL expression.
    expr: String,
    /// Run the query on this data directory, which may be that of a running server, and show what each node costs.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Evaluation time of an instant query (RFC 3339 or Unix timestamp); now by default.
    #[arg(long, conflicts_with_all = ["start", "end", "step"])]
    time: Option<String>,
    /// Start time of a range query.
    #[arg(long)]
    start: Option<String>,
    /// End time of a range query.
    #[arg(long)]
    end: Option<String>,
    /// Step of a range query (duration).
    #[arg(long)]
    step: Option<String>,
}

impl ExplainArgs {
    fn times(&self) -> anyhow::Result<QueryTimes> {
        let (start, end, step) = (
            self.start.as_deref(),
            self.end.as_deref(),
            self.step.as_deref(),
        );
        if start.is_none() && end.is_none() && step.is_none() {
            let at = query::time(self.time.as_deref(), "evaluation time")?;
            let now = || Timestamp::now().as_millisecond();
            return Ok(QueryTimes::Instant(at.unwrap_or_else(now)));
        }
        let (start, end, step) = query::range(start, end, step)?;
        Ok(QueryTimes::Range { start, end, step })
    }
}

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let engine = Engine::new(EngineOptions {
        parse: ParseOptions::all(),
        ..EngineOptions::default()
    });
    let expr = match engine.parse(&args.expr) {
        Ok(expr) => expr,
        Err(e) => bail!("{e}"),
    };
    let times = args.times()?;
    let Some(dir) = &args.data else {
        output::put(&table(&engine.explain(&expr, times)?, false))?;
        return Ok(ExitCode::SUCCESS);
    };
    let db = ReadOnlyDb::open(dir, i64::MAX).with_context(|| format!("open {}", dir.display()))?;
    let (nodes, result) = engine.analyze(&db, &expr, times, &QueryOptions::default())?;
    output::put(&table(&nodes, true))?;
    let series = match &result.value {
        Value::Vector(all) => all.len(),
        Value::Matrix(all) => all.len(),
        Value::Scalar { .. } | Value::String { .. } => 1,
    };
    output::line(&format!(
        "\nresult: {} of {series} series; {} series selected, {} samples looked at, at most {} held at a time",
        result.value.type_name(),
        result.stats.series,
        result.stats.total_samples,
        result.stats.peak_samples
    ))?;
    let (warnings, infos) = result.annotations.render(&args.expr, 0);
    for text in warnings.iter().chain(&infos) {
        output::line(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One line per node. Of times, the first is with all that is below, the second without.
fn table(nodes: &[PlanNode], costs: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut headings = vec!["node", "steps"];
    if costs {
        headings.extend(["series", "samples", "time", "own time"]);
    }
    table.set_header(headings);
    for (at, node) in nodes.iter().enumerate() {
        let mut row = vec![
            format!("{}{}", "  ".repeat(node.depth), node.text),
            node.steps.to_string(),
        ];
        if costs {
            row.extend(cost_cells(nodes, at));
        }
        table.add_row(row);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn cost_cells(nodes: &[PlanNode], at: usize) -> [String; 4] {
    let Some(cost) = nodes[at].cost else {
        return ["-"; 4].map(str::to_owned);
    };
    let counts = [cost.series.to_string(), cost.samples.to_string()];
    let [series, samples] = counts;
    if cost.time.is_zero() {
        return [series, samples, "-".to_owned(), "-".to_owned()];
    }
    let own = cost.time.saturating_sub(below(nodes, at).time);
    let millis = |t: std::time::Duration| format!("{:.3} ms", t.as_secs_f64() * 1e3);
    [series, samples, millis(cost.time), millis(own)]
}

/// The summed costs of the nodes right below one; those of a node that has none are those below it.
fn below(nodes: &[PlanNode], at: usize) -> NodeCost {
    let depth = nodes[at].depth;
    let mut sum = NodeCost::default();
    for (i, node) in nodes.iter().enumerate().skip(at + 1) {
        if node.depth <= depth {
            break;
        }
        if node.depth == depth + 1 {
            sum.time += match node.cost {
                Some(cost) if !cost.time.is_zero() => cost.time,
                _ => below(nodes, i).time,
            };
        }
    }
    sum
}
