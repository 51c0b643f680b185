//! The query log (`global.query_log_file`): a JSON object per query, in Prometheus' form.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use bellwether_promql::QueryStats;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::queries::{PerStep, QueryKind, QueryTimes};

/// Who asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// Empty when unknown.
    pub(crate) client_ip: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// File and name of the group of the rule that asked; then there is no client.
    pub(crate) rule_group: Option<(String, String)>,
}

/// An open log.
pub(crate) struct QueryLog {
    file: Mutex<File>,
}

/// What is told of a query.
pub(crate) struct LoggedQuery<'a> {
    pub(crate) text: &'a str,
    pub(crate) kind: &'a QueryKind,
    pub(crate) times: QueryTimes,
    pub(crate) stats: QueryStats,
    pub(crate) per_step: Option<&'a PerStep>,
    /// `None` when it succeeded.
    pub(crate) error: Option<String>,
    pub(crate) origin: &'a Origin,
}

impl QueryLog {
    /// Opens a file, to write behind what is there. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Writes a line. Blocks on the disk; what cannot be written is told in the server's own log.
    pub(crate) fn write(&self, query: &LoggedQuery<'_>) {
        let mut line = line(query).to_string();
        line.push('\n');
        if let Err(error) = self.file.lock().write_all(line.as_bytes()) {
            tracing::warn!(%error, "cannot log a query");
        }
    }
}

fn line(query: &LoggedQuery<'_>) -> Value {
    let (start, end, step) = match *query.kind {
        QueryKind::Instant(t) => (t, t, 0),
        QueryKind::Range { start, end, step } => (start, end, step),
    };
    let mut line = json!({
        "time": jiff::Timestamp::now().to_string(),
        "level": "INFO",
        "source": "query_log.rs",
        "msg": "promql query logged",
        "params": {
            "query": query.text,
            "start": date(start),
            "end": date(end),
            "step": step / 1000,
        },
        "stats": query.times.to_json(query.stats, query.per_step.unwrap_or(&PerStep::new())),
        // There is no tracing.
        "spanID": "0000000000000000",
        "traceID": "00000000000000000000000000000000",
    });
    match &query.origin.rule_group {
        Some((file, name)) => line["ruleGroup"] = json!({ "file": file, "name": name }),
        None => {
            line["httpRequest"] = json!({
                "clientIP": query.origin.client_ip,
                "method": query.origin.method,
                "path": query.origin.path,
            });
        }
    }
    if let Some(error) = &query.error {
        line["error"] = error.as_str().into();
    }
    line
}

/// RFC 3339 with milliseconds, always three digits.
fn date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_have_milliseconds() {
        assert_eq!(date(5500), "1970-01-01T00:00:05.500Z");
        assert_eq!(date(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
    }
}
