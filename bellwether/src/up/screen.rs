//! What `up` prints: a table once, then a short live line on a terminal, or plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::print;

/// A part of the stack as the table shows it.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// `collector qa`
    pub(super) name: String,
    /// Where people reach it.
    pub(super) url: String,
    /// Answers 200 when it is ready.
    pub(super) ready_url: String,
}

/// Standard output.
pub(super) struct Screen {
    status: Option<ProgressBar>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let status = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { status }
    }

    /// Whether a live line can be shown.
    pub(super) fn is_terminal(&self) -> bool {
        self.status.is_some()
    }

    /// A line that stays.
    pub(super) fn line(&self, text: &str) {
        match &self.status {
            Some(bar) if !bar.is_finished() => bar.suspend(|| print(&format!("{text}\n"))),
            _ => print(&format!("{text}\n")),
        }
    }

    /// Replaces the live line; nothing without a terminal.
    pub(super) fn status(&self, text: String) {
        if let Some(bar) = &self.status {
            bar.set_message(text);
            bar.tick();
        }
    }

    /// Removes the live line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.status {
            bar.finish_and_clear();
        }
    }

    /// The table of components with the time each needed to be ready.
    pub(super) fn table(&self, rows: &[(Component, Result<Duration, String>)]) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(["component", "URL", "ready"]);
        for (component, ready) in rows {
            let ready = match ready {
                Ok(after) => format!("{} ms", after.as_millis()),
                Err(_) => "not ready".to_owned(),
            };
            table.add_row([
                component.name.as_str(),
                component.url.as_str(),
                ready.as_str(),
            ]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.line(&table.to_string());
    }
}
