//! Limits, cancellation and extreme expressions.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::Appendable;
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{Engine, EngineOptions, QueryError, QueryOptions, QueryResult, Value};

fn storage(series: usize, samples: i64) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut appender = storage.appender();
    for i in 0..series {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
        let reference = appender.series(&labels).unwrap();
        for t in 0..samples {
            appender.append(reference, t * 1000, t as f64).unwrap();
        }
    }
    appender.commit().unwrap();
    storage
}

fn engine(max_samples: usize) -> Engine {
    Engine::new(EngineOptions {
        max_samples,
        ..EngineOptions::default()
    })
}

fn range(engine: &Engine, storage: &MemoryStorage, text: &str) -> Result<QueryResult, QueryError> {
    engine.range(storage, text, 0, 99_000, 1000, &QueryOptions::default())
}

#[test]
fn the_sample_limit_counts_what_is_held() {
    let storage = storage(10, 100);
    for (text, needs) in [
        ("m", 1000),
        ("sum(m)", 1000),
        ("rate(m[10s])", 10 * 98),
        ("m + m", 2000),
    ] {
        let all = range(&engine(needs * 2), &storage, text).unwrap();
        assert!(
            all.stats.peak_samples >= needs as u64,
            "{text}: {:?}",
            all.stats
        );
        let error = range(&engine(needs - 1), &storage, text).unwrap_err();
        assert!(
            matches!(error, QueryError::TooManySamples),
            "{text}: {error}"
        );
        assert_eq!(
            error.to_string(),
            "query processing would load too many samples into memory in query execution"
        );
    }
}

#[test]
fn a_cancelled_query_ends() {
    let storage = storage(1, 10);
    let options = QueryOptions {
        cancel: Some(Arc::new(AtomicBool::new(true))),
        ..QueryOptions::default()
    };
    let error = engine(1000)
        .instant(&storage, "m", 0, &options)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "query was canceled in expression evaluation"
    );
    assert_eq!(error.error_type(), "canceled");
}

#[test]
fn a_query_without_time_left_ends() {
    let storage = storage(1, 10);
    let options = QueryOptions {
        timeout: Some(Duration::ZERO),
        ..QueryOptions::default()
    };
    let error = engine(1000)
        .instant(&storage, "m", 0, &options)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "query timed out in expression evaluation"
    );
    assert_eq!(error.error_type(), "timeout");
}

#[test]
fn impossible_ranges_are_bad_data() {
    let (engine, storage) = (engine(1000), storage(1, 10));
    let options = QueryOptions::default();
    for (text, start, end, step, message) in [
        (
            "m",
            0,
            10,
            0,
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        ("m", 10, 0, 1, "end timestamp must not be before start time"),
        (
            "m[5m]",
            0,
            10,
            1,
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        (
            "\"x\"",
            0,
            10,
            1,
            "invalid expression type \"string\" for range query, must be Scalar or instant Vector",
        ),
    ] {
        let error = engine
            .range(&storage, text, start, end, step, &options)
            .unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.error_type(), "bad_data");
    }
}

/// Columns have room for every step, so their number has a limit too.
#[test]
fn absurd_resolutions_end_with_the_sample_limit() {
    let storage = storage(3, 10);
    for text in [
        "max_over_time(vector(1)[100y:1ms])",
        "sum(max_over_time(m[100y:1ms]))",
        "m[200y:1ms]",
    ] {
        let error = engine(100_000)
            .instant(&storage, text, 9000, &QueryOptions::default())
            .unwrap_err();
        assert!(
            matches!(error, QueryError::TooManySamples),
            "{text}: {error}"
        );
    }
}

/// Times at the ends of what an integer holds give no result rather than a panic.
#[test]
fn extreme_times_are_harmless() {
    let storage = storage(1, 10);
    let mut texts = Vec::new();
    for modifier in [
        "@ 9.2e15",
        "@ -9.2e15",
        "offset 290y",
        "offset -290y",
        "@ 9e15 offset -290y",
        "@ -9e15 offset 290y",
    ] {
        texts.push(format!("m {modifier}"));
        texts.push(format!("rate(m[290y] {modifier})"));
        texts.push(format!("m[290y] {modifier}"));
        texts.push(format!("timestamp(m {modifier})"));
        texts.push(format!("max_over_time(m[5m:1m] {modifier})"));
        texts.push(format!("predict_linear(m[5m] {modifier}, 1e300)"));
    }
    for text in texts {
        for t in [0, i64::MAX, i64::MIN, i64::MAX - 1000, i64::MIN + 1000] {
            let result = engine(100_000).instant(&storage, &text, t, &QueryOptions::default());
            assert!(
                result.is_ok() || matches!(result, Err(QueryError::Parse(_))),
                "{text}: {result:?}"
            );
        }
    }
}

/// Evaluation has to stay within the stack of a small thread, whatever the parser lets through.
#[test]
fn long_and_deep_expressions_need_no_stack() {
    let chain = format!("m{}", " + 1".repeat(30_000));
    let nested = format!("{}m{}", "abs(".repeat(120), ")".repeat(120));
    let sums = format!("{}m{}", "sum(-".repeat(60), ")".repeat(60));
    let subqueries = format!("{}m{}", "max_over_time(".repeat(40), "[2s:1s])".repeat(40));
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let (engine, storage) = (engine(1_000_000), storage(1, 10));
            for (text, expected) in [
                (&chain, 30_009.0),
                (&nested, 9.0),
                (&sums, 9.0),
                (&subqueries, 9.0),
            ] {
                let result = engine
                    .instant(&storage, text, 9000, &QueryOptions::default())
                    .unwrap();
                let Value::Vector(samples) = result.value else {
                    panic!("not a vector");
                };
                assert_eq!(samples[0].point, bellwether_promql::Point::Float(expected));
            }
        })
        .unwrap()
        .join()
        .unwrap();
}
