//! What stands in a query more than once is evaluated once, and nobody can tell but by the time it takes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bellwether_model::storage::{
    Appendable, Querier, Queryable, Series, SeriesStream, StorageError,
};
use bellwether_model::{Labels, Matcher};
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{Engine, EngineOptions, QueryError, QueryOptions, QueryResult};

/// Counts how often series are selected.
struct Counting {
    storage: MemoryStorage,
    selects: Arc<AtomicUsize>,
}

struct CountingQuerier {
    querier: Box<dyn Querier>,
    selects: Arc<AtomicUsize>,
}

impl Queryable for Counting {
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(CountingQuerier {
            querier: self.storage.querier(mint, maxt)?,
            selects: Arc::clone(&self.selects),
        }))
    }
}

impl Querier for CountingQuerier {
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        self.selects.fetch_add(1, Ordering::Relaxed);
        self.querier.select(sorted, matchers)
    }

    fn stream<'a>(
        &'a self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<SeriesStream<'a>, StorageError> {
        self.selects.fetch_add(1, Ordering::Relaxed);
        self.querier.stream(sorted, matchers)
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        self.querier.label_names(matchers)
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        self.querier.label_values(name, matchers)
    }
}

/// Gauges whose name is not a counter's, so that rates say so.
fn storage() -> Counting {
    let storage = MemoryStorage::new();
    let mut appender = storage.appender();
    for name in ["m", "n_total"] {
        for i in 0..6 {
            let labels = Labels::from_pairs([("__name__", name), ("i", &i.to_string())]);
            let reference = appender.series(&labels).unwrap();
            for t in 0..100 {
                let v = (t * (i + 1)) as f64;
                appender.append(reference, t * 1000, v).unwrap();
            }
        }
    }
    appender.commit().unwrap();
    Counting {
        storage,
        selects: Arc::default(),
    }
}

fn range(storage: &Counting, text: &str, max_samples: usize) -> Result<QueryResult, QueryError> {
    let engine = Engine::new(EngineOptions {
        max_samples,
        ..EngineOptions::default()
    });
    engine.range(storage, text, 0, 90_000, 1000, &QueryOptions::default())
}

/// The result and the number of selections.
fn run(text: &str) -> (QueryResult, usize) {
    let storage = storage();
    let result = range(&storage, text, 1_000_000).unwrap();
    (result, storage.selects.load(Ordering::Relaxed))
}

/// Pairs of a query and another of the same meaning and length in which nothing is written twice, because `{i!="x"}` is
/// as good as `{i!="y"}`, with the selections of each.
const PAIRS: &[(&str, &str, usize, usize)] = &[
    (r#"m{i!="x"} + m{i!="x"}"#, r#"m{i!="x"} + m{i!="y"}"#, 1, 2),
    (
        r#"sum(rate(m{i!="x"}[5s])) / (sum(rate(m{i!="x"}[5s])) + sum by (i) (m))"#,
        r#"sum(rate(m{i!="x"}[5s])) / (sum(rate(m{i!="y"}[5s])) + sum by (i) (m))"#,
        2,
        3,
    ),
    // The places differ by more than a shift.
    (
        r#"sum(rate(m{i!="x"}[5s])) + sum( rate ( m{i!="x"}[5s] ) ) + sum(rate(m{i!="x"}[5s]))"#,
        r#"sum(rate(m{i!="x"}[5s])) + sum( rate ( m{i!="y"}[5s] ) ) + sum(rate(m{i!="z"}[5s]))"#,
        1,
        3,
    ),
    // Series by series into two aggregations: not held.
    (
        r#"sum(rate(m{i!="x"}[5s])) / count(rate(m{i!="x"}[5s]))"#,
        r#"sum(rate(m{i!="x"}[5s])) / count(rate(m{i!="y"}[5s]))"#,
        2,
        2,
    ),
    // Another grid is another evaluation.
    (
        r#"max_over_time(sum(m{i!="x"})[9s:3s]) - max_over_time(sum(m{i!="x"})[9s:3s]) - sum(m{i!="x"})"#,
        r#"max_over_time(sum(m{i!="x"})[9s:3s]) - max_over_time(sum(m{i!="y"})[9s:3s]) - sum(m{i!="z"})"#,
        2,
        3,
    ),
    (
        r#"topk(2, m{i!="x"}) or topk(2, m{i!="x"}) or topk(3, m{i!="x"})"#,
        r#"topk(2, m{i!="x"}) or topk(2, m{i!="y"}) or topk(3, m{i!="z"})"#,
        2,
        3,
    ),
    (
        r#"scalar(sum(m{i!="x"})) + sum(m{i!="x"})"#,
        r#"scalar(sum(m{i!="x"})) + sum(m{i!="y"})"#,
        1,
        2,
    ),
    (
        r#"sum(m{i!="x"} @ 9) + sum(m{i!="x"} @ 9) + sum(m{i!="x"})"#,
        r#"sum(m{i!="x"} @ 9) + sum(m{i!="y"} @ 9) + sum(m{i!="z"})"#,
        2,
        3,
    ),
    (
        r#"-m{i!="x"} < bool -m{i!="x"}"#,
        r#"-m{i!="x"} < bool -m{i!="y"}"#,
        1,
        2,
    ),
];

#[test]
fn shared_and_separate_evaluations_have_the_same_result() {
    for (shared, separate, few, many) in PAIRS {
        let ((a, selects), (b, more)) = (run(shared), run(separate));
        assert_eq!((selects, more), (*few, *many), "{shared}");
        assert_eq!(
            format!("{:?}", a.value),
            format!("{:?}", b.value),
            "{shared}"
        );
        assert_eq!(
            a.annotations.render(shared, 0),
            b.annotations.render(separate, 0),
            "{shared}"
        );
        assert_eq!(a.stats, b.stats, "{shared}");
    }
}

#[test]
fn annotations_name_the_last_place() {
    let text = "sum(rate(m[5s])) +\n  sum(rate( m[5s]))";
    let (result, selects) = run(text);
    assert_eq!(selects, 1);
    let (_, infos) = result.annotations.render(text, 0);
    assert_eq!(infos.len(), 1);
    assert!(infos[0].ends_with("(2:13)"), "{infos:?}");
}

#[test]
fn the_sample_limit_is_the_same() {
    for (shared, separate, ..) in PAIRS {
        let storage = storage();
        let least = |text: &str| {
            (1..20_000)
                .step_by(7)
                .find(|limit| range(&storage, text, *limit).is_ok())
        };
        assert_eq!(least(shared), least(separate), "{shared}");
    }
}
