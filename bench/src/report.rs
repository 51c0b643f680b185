//! Tables on the screen.

use comfy_table::{CellAlignment, Table, presets};

use crate::server::Kind;

/// Figures of one case, one row for each server.
pub(crate) struct Report {
    title: String,
    columns: Vec<Column>,
    rows: Vec<(Kind, Vec<f64>)>,
}

/// A figure's name and how it is printed.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) decimals: usize,
    /// Whether the other servers' figures are set in relation to Bellwether's.
    pub(crate) ratio: bool,
}

pub(crate) const fn plain(name: &'static str, decimals: usize) -> Column {
    Column {
        name,
        decimals,
        ratio: false,
    }
}

pub(crate) const fn compared(name: &'static str, decimals: usize) -> Column {
    Column {
        name,
        decimals,
        ratio: true,
    }
}

impl Report {
    pub(crate) fn new(title: impl Into<String>, columns: &[Column]) -> Self {
        Self {
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a server's figures, in the order of the columns.
    pub(crate) fn add(&mut self, kind: Kind, figures: &[f64]) {
        self.rows.push((kind, figures.to_vec()));
    }

    /// Prints the table; `x0.25` behind a figure of Bellwether's is its share of the other server's.
    pub(crate) fn print(&self) {
        println!("\n{}", self.title);
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let mut head = vec!["server".to_owned()];
        for column in &self.columns {
            head.push(column.name.to_owned());
            if column.ratio {
                head.push("Bellwether's share".to_owned());
            }
        }
        let width = head.len();
        table.set_header(head);
        let ours = self.rows.iter().find(|(kind, _)| *kind == Kind::Bellwether);
        for (kind, figures) in &self.rows {
            let mut cells = vec![kind.to_string()];
            for (i, (column, figure)) in self.columns.iter().zip(figures).enumerate() {
                cells.push(if figure.is_nan() {
                    "-".to_owned()
                } else {
                    format!("{figure:.*}", column.decimals)
                });
                if column.ratio {
                    cells.push(match ours {
                        Some((_, own)) if *kind != Kind::Bellwether && *figure > 0.0 => {
                            format!("{:.2}", own[i] / figure)
                        }
                        _ => String::new(),
                    });
                }
            }
            table.add_row(cells);
        }
        for column in 1..width {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("{table}");
    }
}
