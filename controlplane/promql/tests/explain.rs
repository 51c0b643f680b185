//! Plans and what their nodes cost.

#![allow(clippy::unwrap_used)]

use bellwether_model::Labels;
use bellwether_model::storage::Appendable;
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{Engine, EngineOptions, PlanNode, QueryOptions, QueryTimes, Value};

fn storage() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut appender = storage.appender();
    for i in 0..3i64 {
        let labels = Labels::from_pairs([("__name__", "m_total"), ("i", &i.to_string())]);
        let series = appender.series(&labels).unwrap();
        for t in 0..10 {
            appender
                .append(series, t * 60_000, (t * (i + 1)) as f64)
                .unwrap();
        }
    }
    appender.commit().unwrap();
    storage
}

const RANGE: QueryTimes = QueryTimes::Range {
    start: 300_000,
    end: 540_000,
    step: 60_000,
};

fn outline(nodes: &[PlanNode]) -> Vec<String> {
    nodes
        .iter()
        .map(|n| format!("{}{} x{}", "  ".repeat(n.depth), n.text, n.steps))
        .collect()
}

#[test]
fn a_plan_names_its_nodes() {
    let engine = Engine::new(EngineOptions::default());
    let expr = engine
        .parse("sum by (i) (rate(m_total{i!=\"9\"}[2m] offset 1m)) / scalar(max(m_total @ 60)) > 2")
        .unwrap();
    let nodes = engine.explain(&expr, RANGE).unwrap();
    assert_eq!(
        outline(&nodes),
        [
            "/ by all labels, then > by all labels x5",
            "  sum by (i) x5",
            "    rate() x5",
            "      window [2m] of {i!=\"9\", __name__=\"m_total\"} offset 1m x5",
            "  the same at every step x5",
            "    scalar() x1",
            "      max x1",
            "        select {__name__=\"m_total\"} @ 60.000 x1",
            "  2 x5",
        ]
        .map(|l| l.replace(" by all labels", ""))
    );
    assert!(nodes.iter().all(|n| n.cost.is_none()));
    let inner = engine.parse("max_over_time(m_total[3m:30s])").unwrap();
    assert_eq!(
        outline(&engine.explain(&inner, QueryTimes::Instant(0)).unwrap()),
        [
            "max_over_time() x1",
            "  sub-query [3m:30s] x1",
            "    select {__name__=\"m_total\"} x6",
        ]
    );
}

#[test]
fn running_counts_series_and_samples() {
    let engine = Engine::new(EngineOptions::default());
    let storage = storage();
    let options = QueryOptions::default();
    let expr = engine.parse("sum(rate(m_total[2m]))").unwrap();
    let (nodes, result) = engine.analyze(&storage, &expr, RANGE, &options).unwrap();
    let plain = engine.range_expr(&storage, &expr, (300_000, 540_000), 60_000, &options);
    assert_eq!(result.value, plain.unwrap().value);
    let costs: Vec<(u64, u64)> = nodes
        .iter()
        .map(|n| n.cost.map_or((0, 0), |c| (c.series, c.samples)))
        .collect();
    // One sum, three rates, windows of two samples.
    assert_eq!(costs, [(1, 5), (3, 15), (3, 30)]);
    let Value::Matrix(series) = result.value else {
        panic!("a matrix expected");
    };
    assert_eq!(series.len(), 1);
    assert!(nodes[0].cost.unwrap().time >= nodes[1].cost.unwrap().time);
}
