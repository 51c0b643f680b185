//! A query on its way: its evaluation, and what is written down of it.

use std::sync::Arc;
use std::time::Duration;

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

/// Samples of a query by step.
pub(super) fn by_step(kind: &QueryKind, result: &QueryResult) -> PerStep {
    match *kind {
        QueryKind::Instant(t) => vec![(t, result.stats.total_samples)],
        QueryKind::Range { start, end, step } => {
            let times = std::iter::successors(Some(start), |t| t.checked_add(step));
            let times = times.take_while(|t| *t <= end);
            times.zip(result.samples_by_step.iter().copied()).collect()
        }
    }
}
