//! Tables of many questions: Bellwether's figures and their relation to those of the others.

use comfy_table::{CellAlignment, Table, presets};

use super::measure::Cost;
use crate::server::Kind;

/// A figure of a question.
struct Figure {
    name: &'static str,
    /// From seconds or bytes to what is printed.
    scale: f64,
    decimals: usize,
    get: fn(&Cost) -> f64,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "CPU ms",
        scale: 1e3,
        decimals: 2,
        get: |c| c.cpu,
    },
    Figure {
        name: "p50 ms",
        scale: 1e3,
        decimals: 2,
        get: |c| c.p50,
    },
    Figure {
        name: "p95 ms",
        scale: 1e3,
        decimals: 2,
        get: |c| c.p95,
    },
    Figure {
        name: "MiB",
        scale: 1.0 / 1048576.0,
        decimals: 2,
        get: |c| c.memory,
    },
];

/// The costs of questions of one span, a list for each server.
pub(crate) struct QueryTable {
    pub(crate) title: String,
    pub(crate) names: Vec<&'static str>,
    pub(crate) costs: Vec<(Kind, Vec<Cost>)>,
}

impl QueryTable {
    /// Prints figures and shares, and the geometric means of the shares.
    pub(crate) fn print(&self) {
        println!("\n{}", self.title);
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let (own, others) = self.split();
        let mut head = vec![String::new()];
        for figure in &FIGURES {
            head.push(figure.name.to_owned());
            head.extend(
                others
                    .iter()
                    .map(|(kind, _)| format!("of {}", short(*kind))),
            );
        }
        let columns = head.len();
        table.set_header(head);
        let mut logs = vec![(0.0, 0.0); columns];
        for (row, name) in self.names.iter().enumerate() {
            let mut cells = vec![(*name).to_owned()];
            for figure in &FIGURES {
                let mine = (figure.get)(&own[row]);
                cells.push(number(mine * figure.scale, figure.decimals));
                for (_, costs) in &others {
                    let share = mine / (figure.get)(&costs[row]);
                    if share.is_finite() && share > 0.0 {
                        let log = &mut logs[cells.len()];
                        *log = (log.0 + share.ln(), log.1 + 1.0);
                    }
                    cells.push(number(share, 2));
                }
            }
            table.add_row(cells);
        }
        let mut means = vec!["geometric mean".to_owned()];
        for (sum, count) in &logs[1..] {
            means.push(if *count > 0.0 {
                number((sum / count).exp(), 3)
            } else {
                String::new()
            });
        }
        table.add_row(means);
        for column in 1..columns {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("{table}");
    }

    /// Bellwether's costs, or those of the first server without it, and the others'.
    fn split(&self) -> (&[Cost], Vec<&(Kind, Vec<Cost>)>) {
        let at = self
            .costs
            .iter()
            .position(|(kind, _)| *kind == Kind::Bellwether)
            .unwrap_or(0);
        let own = self.costs.get(at).map_or(&[][..], |(_, costs)| costs);
        let others = self.costs.iter().enumerate();
        (
            own,
            others.filter(|(i, _)| *i != at).map(|(_, c)| c).collect(),
        )
    }
}

fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::Bellwether => "B",
        Kind::Prometheus => "P",
        Kind::Victoria => "VM",
    }
}

fn number(v: f64, decimals: usize) -> String {
    if v.is_nan() {
        "-".to_owned()
    } else {
        format!("{v:.decimals$}")
    }
}
