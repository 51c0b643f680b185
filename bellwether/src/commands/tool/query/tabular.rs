//! Results as tables, CSV and sparklines.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bellwether_model::float::{plain, shortest_g};
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;

use super::answer::{LabelSet, Series, Value};
use super::print;

/// The label names of all series, the metric name first.
fn names<'a>(all: impl Iterator<Item = &'a LabelSet>) -> Vec<&'a str> {
    let names: BTreeSet<&str> = all.flat_map(|l| l.keys().map(String::as_str)).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|n| *n != "__name__");
    names
}

fn cells(labels: &LabelSet, names: &[&str]) -> Vec<String> {
    let value = |n: &&str| labels.get(*n).cloned().unwrap_or_default();
    names.iter().map(value).collect()
}

/// A table of rows under headings; columns from `right` on are aligned to the right.
fn render(headings: Vec<String>, rows: Vec<Vec<String>>, right: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings);
    table.add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i >= right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn headings(names: &[&str], more: &[&str]) -> Vec<String> {
    let all = names.iter().chain(more);
    all.map(|n| (*n).to_owned()).collect()
}

/// One row per series: of a vector its value, of a matrix what its values are like.
pub(super) fn table(value: &Value) -> String {
    match value {
        Value::Scalar(_, v) => format!("{}\n", plain(*v)),
        Value::String(_, s) => format!("{s}\n"),
        Value::Vector(all) => {
            let names = names(all.iter().map(|s| &s.metric));
            let rows = all.iter().map(|s| {
                let mut row = cells(&s.metric, &names);
                row.push(last(s));
                row
            });
            render(headings(&names, &["value"]), rows.collect(), names.len())
        }
        Value::Matrix(all) => {
            let names = names(all.iter().map(|s| &s.metric));
            let rows = all.iter().map(|s| {
                let mut row = cells(&s.metric, &names);
                row.push((s.floats.len() + s.histograms.len()).to_string());
                row.extend(extent(s));
                row.push(last(s));
                row
            });
            let more = ["samples", "min", "avg", "max", "last"];
            render(headings(&names, &more), rows.collect(), names.len())
        }
    }
}

/// The newest value.
fn last(s: &Series) -> String {
    let float = s.floats.last();
    match (float, s.histograms.last()) {
        (Some((t, v)), h) if h.is_none_or(|h| h.0 < *t) => plain(*v),
        (_, Some((_, h))) => print::histogram(h),
        _ => String::new(),
    }
}

/// Minimum, mean and maximum of the floats, NaN left out.
fn extent(s: &Series) -> [String; 3] {
    let values = || s.floats.iter().map(|p| p.1).filter(|v| !v.is_nan());
    let count = values().count();
    if count == 0 {
        return Default::default();
    }
    let mean = values().sum::<f64>() / count as f64;
    let least = values().fold(f64::INFINITY, f64::min);
    let greatest = values().fold(f64::NEG_INFINITY, f64::max);
    [least, mean, greatest].map(shortest_g)
}

pub(super) fn label_table(all: &[LabelSet]) -> String {
    let names = names(all.iter());
    let rows = all.iter().map(|l| cells(l, &names)).collect();
    render(headings(&names, &[]), rows, names.len())
}

/// A line of RFC 4180.
fn csv_line<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (i, field) in fields.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if field.contains(['"', ',', '\n', '\r']) {
            let _ = write!(out, "\"{}\"", field.replace('"', "\"\""));
        } else {
            out.push_str(field);
        }
    }
    out.push('\n');
}

pub(super) fn label_csv(all: &[LabelSet]) -> String {
    let names = names(all.iter());
    let mut out = String::new();
    csv_line(&mut out, names.iter().copied());
    for labels in all {
        csv_line(&mut out, cells(labels, &names).iter().map(String::as_str));
    }
    out
}

/// One line per sample: labels, time in seconds, value.
pub(super) fn csv(value: &Value) -> String {
    let mut out = String::new();
    let all = match value {
        Value::Vector(all) | Value::Matrix(all) => all,
        Value::Scalar(t, v) => return format!("timestamp,value\n{},{}\n", plain(*t), plain(*v)),
        Value::String(t, s) => {
            out.push_str("timestamp,value\n");
            csv_line(&mut out, [plain(*t).as_str(), s].into_iter());
            return out;
        }
    };
    let names = names(all.iter().map(|s| &s.metric));
    let more = ["timestamp", "value"];
    csv_line(&mut out, names.iter().copied().chain(more));
    for s in all {
        let floats = s.floats.iter().map(|(t, v)| (*t, plain(*v)));
        let histograms = s.histograms.iter().map(|(t, h)| (*t, print::histogram(h)));
        let mut points: Vec<(f64, String)> = floats.chain(histograms).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (t, text) in points {
            let mut fields = cells(&s.metric, &names);
            fields.extend([plain(t), text]);
            csv_line(&mut out, fields.iter().map(String::as_str));
        }
    }
    out
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Characters of a sparkline.
const WIDTH: usize = 60;

/// One line per series, over the time that the answer covers.
pub(super) fn sparklines(value: &Value) -> String {
    let (Value::Vector(all) | Value::Matrix(all)) = value else {
        return table(value);
    };
    let times = || all.iter().flat_map(|s| s.floats.iter().map(|p| p.0));
    let (start, end) = (
        times().fold(f64::INFINITY, f64::min),
        times().fold(f64::NEG_INFINITY, f64::max),
    );
    let mut rows = Vec::new();
    for s in all {
        let [least, _, greatest] = extent(s);
        rows.push(vec![
            print::metric(&s.metric),
            sparkline(&s.floats, start, end),
            least,
            greatest,
            last(s),
        ]);
    }
    let mut out = render(
        ["series", "", "min", "max", "last"]
            .map(str::to_owned)
            .to_vec(),
        rows,
        2,
    );
    if start.is_finite() {
        let _ = writeln!(out, "\nfrom {} to {}", clock(start), clock(end));
    }
    out
}

fn clock(seconds: f64) -> String {
    Timestamp::from_millisecond((seconds * 1000.0) as i64)
        .map_or_else(|_| plain(seconds), |t| t.to_string())
}

/// The values' means in equal parts of the time, as bars between the least and the greatest.
fn sparkline(points: &[(f64, f64)], start: f64, end: f64) -> String {
    let width = points.len().clamp(1, WIDTH);
    let mut sums = vec![(0.0, 0.0); width];
    for (t, v) in points.iter().filter(|(_, v)| v.is_finite()) {
        let part = if end > start {
            (t - start) / (end - start)
        } else {
            0.0
        };
        let at = ((part * width as f64) as usize).min(width - 1);
        sums[at].0 += v;
        sums[at].1 += 1.0;
    }
    let means: Vec<Option<f64>> = sums
        .iter()
        .map(|(sum, n)| (*n > 0.0).then(|| sum / n))
        .collect();
    let known = || means.iter().flatten().copied();
    let least = known().fold(f64::INFINITY, f64::min);
    let greatest = known().fold(f64::NEG_INFINITY, f64::max);
    let bar = |v: f64| {
        let part = if greatest > least {
            (v - least) / (greatest - least)
        } else {
            0.0
        };
        BARS[((part * 8.0) as usize).min(7)]
    };
    means.iter().map(|m| m.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_follow_the_values() {
        let points: Vec<(f64, f64)> = (0..8).map(|i| (f64::from(i), f64::from(i))).collect();
        assert_eq!(sparkline(&points, 0.0, 7.0), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[(0.0, 5.0)], 0.0, 0.0), "▁");
        // Gaps stay empty.
        assert_eq!(sparkline(&[(0.0, 1.0), (9.0, f64::NAN)], 0.0, 9.0), "▁ ");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let mut out = String::new();
        csv_line(&mut out, ["a", "b,c", "d\"e"].into_iter());
        assert_eq!(out, "a,\"b,c\",\"d\"\"e\"\n");
    }
}
