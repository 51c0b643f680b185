//! A query on its way: its evaluation, and what is written down of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_promql::{Engine, QueryError, QueryOptions, QueryResult};
use bellwether_remote::reader::Fanout;

use super::{PerStep, QueryKind, QueryTimes};
use crate::query_log::{LoggedQuery, Origin, QueryLog};

/// A query that has its slot.
pub(super) struct Admitted {
    pub(super) text: String,
    pub(super) kind: QueryKind,
    pub(super) lookback_ms: Option<i64>,
    /// What is left of its time.
    pub(super) limit: Duration,
    pub(super) engine: Arc<Engine>,
    pub(super) storage: Arc<Fanout>,
}

impl Admitted {
    pub(super) fn evaluate(&self, options: &QueryOptions) -> Result<QueryResult, QueryError> {
        let (engine, storage) = (&self.engine, &*self.storage);
        match self.kind {
            QueryKind::Instant(t) => engine.instant(storage, &self.text, t, options),
            QueryKind::Range { start, end, step } => {
                engine.range(storage, &self.text, start, end, step, options)
            }
        }
    }
}

/// What is written down of a query.
pub(super) struct Records {
    pub(super) log: Option<Arc<QueryLog>>,
    pub(super) origin: Origin,
    /// Samples by step are counted.
    pub(super) per_step: bool,
    pub(super) queued: Duration,
}

impl Records {
    pub(super) fn log(
        &self,
        query: &Admitted,
        result: &Result<QueryResult, QueryError>,
        per_step: Option<&PerStep>,
        evaluated: Duration,
    ) {
        // Prometheus logs what it executes: not what does not parse.
        let executed = !matches!(result, Err(QueryError::Parse(_) | QueryError::BadData(_)));
        let Some(log) = self.log.as_ref().filter(|_| executed) else {
            return;
        };
        log.write(&LoggedQuery {
            text: &query.text,
            kind: &query.kind,
            times: QueryTimes {
                queued: self.queued,
                evaluated,
            },
            stats: result.as_ref().map(|r| r.stats).unwrap_or_default(),
            per_step,
            error: result.as_ref().err().map(ToString::to_string),
            origin: &self.origin,
        });
    }
}

/// Samples by step. A step's number is that of an instant query at its time, by definition, and that is how it is
/// found out: asking for it costs a second evaluation.
pub(super) fn by_step(
    kind: &QueryKind,
    total: u64,
    deadline: Instant,
    instant: impl Fn(i64) -> Result<QueryResult, QueryError>,
) -> Result<PerStep, QueryError> {
    let (start, end, step) = match *kind {
        QueryKind::Instant(t) => return Ok(vec![(t, total)]),
        QueryKind::Range { start, end, step } => (start, end, step),
    };
    let times = std::iter::successors(Some(start), |t| t.checked_add(step));
    times
        .take_while(|t| *t <= end)
        .map(|t| {
            if Instant::now() >= deadline {
                return Err(QueryError::Timeout("expression evaluation"));
            }
            Ok((t, instant(t)?.stats.total_samples))
        })
        .collect()
}
