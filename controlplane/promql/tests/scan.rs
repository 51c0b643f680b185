//! A storage whose series are read one after the other gives the same answers, warnings and statistics as one that hands
//! out series.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bellwether_model::histogram::{FloatHistogram, Span};
use bellwether_model::storage::{Querier, Queryable, SampleBuffer, Series, StorageError};
use bellwether_model::{Labels, Matcher, stale_nan};
use bellwether_promql::{Engine, EngineOptions, Point, QueryOptions, QueryStats, Value};
use proptest::prelude::*;

const STEP: i64 = 15_000;
const NOW: i64 = 40 * STEP;

struct Stored {
    labels: Labels,
    samples: SampleBuffer,
}

impl Series for Stored {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        for (i, t) in self.samples.timestamps.iter().enumerate() {
            if !(mint..=maxt).contains(t) {
                continue;
            }
            match self.samples.histogram(i) {
                Some(h) => out.push_histogram(*t, Arc::clone(h)),
                None => out.push_float(*t, self.samples.values[i]),
            }
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Storage {
    series: Vec<Arc<Stored>>,
    scans: bool,
}

impl Queryable for Storage {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Storage {
    fn select(&self, _: bool, all: &[Matcher]) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        let series = self.series.iter();
        let matching = series.filter(|s| all.iter().all(|m| m.matches(s.labels.value(&m.name))));
        Ok(matching.map(|s| Arc::clone(s) as _).collect())
    }

    fn has_scan(&self) -> bool {
        self.scans
    }

    fn label_names(&self, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

/// What a sample is: nothing, a float or a histogram.
#[derive(Clone, Debug)]
enum Sample {
    None,
    Float(f64),
    Histogram(f64),
}

fn histogram(count: f64) -> Arc<FloatHistogram> {
    Arc::new(FloatHistogram {
        count,
        sum: count * 2.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        2 => Just(Sample::None),
        20 => (0u32..2000).prop_map(|v| Sample::Float(f64::from(v) / 7.0)),
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(-1e308), Just(stale_nan()), Just(-0.0),
        ].prop_map(Sample::Float),
        1 => (1u32..50).prop_map(|n| Sample::Histogram(f64::from(n))),
    ]
}

/// Mostly floats only.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let floats = (0u32..2000).prop_map(|v| Sample::Float(f64::from(v)));
    prop_oneof![
        3 => proptest::collection::vec(floats, 0..41),
        2 => proptest::collection::vec(sample(), 0..41),
        1 => proptest::collection::vec((1u32..50).prop_map(|n| Sample::Histogram(f64::from(n))), 0..41),
    ]
}

fn stored(labels: Labels, samples: &[Sample]) -> Arc<Stored> {
    let mut buffer = SampleBuffer::default();
    for (i, sample) in samples.iter().enumerate() {
        // The last one is the newest.
        let t = NOW - (samples.len() - i) as i64 * STEP + 7;
        match sample {
            Sample::None => {}
            Sample::Float(v) => buffer.push_float(t, *v),
            Sample::Histogram(count) => buffer.push_histogram(t, histogram(*count)),
        }
    }
    Arc::new(Stored {
        labels,
        samples: buffer,
    })
}

/// Labels in their order and values bit for bit, or the error; warnings; statistics.
type Answer = (
    Result<Vec<(String, String)>, String>,
    Vec<String>,
    QueryStats,
);

fn ask(storage: &Storage, text: &str, max_samples: usize) -> Answer {
    let engine = Engine::new(EngineOptions {
        max_samples,
        ..EngineOptions::default()
    });
    let result = match engine.instant(storage, text, NOW, &QueryOptions::default()) {
        Ok(result) => result,
        Err(error) => return (Err(error.to_string()), Vec::new(), QueryStats::default()),
    };
    let Value::Vector(vector) = result.value else {
        panic!("not a vector");
    };
    let elements = vector.iter().map(|sample| {
        let value = match &sample.point {
            Point::Float(v) if v.is_nan() => "NaN".to_owned(),
            Point::Float(v) => format!("{:x}", v.to_bits()),
            Point::Histogram(h) => format!("{h:?}"),
        };
        (sample.labels.to_string(), value)
    });
    let (mut told, infos) = result.annotations.render(text, 0);
    told.extend(infos);
    (Ok(elements.collect()), told, result.stats)
}

const FUNCTIONS: [&str; 8] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "avg_over_time",
    "max_over_time",
    "sum_over_time",
    "last_over_time",
];
const AGGREGATIONS: [&str; 9] = [
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "sum",
];
const GROUPINGS: [&str; 6] = [
    "",
    "by (a)",
    "by (a, b)",
    "without (a)",
    "by (__name__)",
    "by (missing)",
];
const SELECTORS: [&str; 5] = [
    "x_total[2m]",
    "x[5m]",
    "{__name__=~\"x.*\"}[1m]",
    "x_total[2m] offset 1m",
    "x_total[2m] @ 300",
];

proptest! {
    #[test]
    fn scans_answer_as_series_do(
        series in proptest::collection::vec((0u8..3, 0u8..5, 0u8..40, samples()), 0..40),
        (function, aggregation, grouping, selector) in any::<[prop::sample::Index; 4]>()
            .prop_map(|[f, a, g, s]| (*f.get(&FUNCTIONS), *a.get(&AGGREGATIONS), *g.get(&GROUPINGS), *s.get(&SELECTORS))),
        typed in prop_oneof![6 => Just(false), 1 => Just(true)],
        max_samples in prop_oneof![6 => Just(50_000_000), 1 => 1usize..100],
    ) {
        let mut all: Vec<Arc<Stored>> = Vec::new();
        for (a, b, c, samples) in &series {
            let name = if c % 8 == 0 { "x" } else { "x_total" };
            let kind = if typed && c % 5 == 0 { "counter" } else { "" };
            let labels = Labels::from_pairs([
                ("__name__", name),
                ("__type__", kind),
                ("a", &a.to_string()),
                ("b", &b.to_string()),
                ("c", &(c / 2).to_string()),
            ]);
            if all.iter().all(|s| s.labels != labels) {
                all.push(stored(labels, samples));
            }
        }
        let query = format!("{aggregation} {grouping} ({function}({selector}))");
        let storage = |scans| Storage { series: all.clone(), scans };
        let (scanned, selected) = (ask(&storage(true), &query, max_samples), ask(&storage(false), &query, max_samples));
        prop_assert_eq!(scanned, selected, "{}", query);
    }
}

#[test]
fn series_that_only_differ_in_type_are_refused_however_they_are_read() {
    let one = |kind| {
        let labels = Labels::from_pairs([("__name__", "x_total"), ("__type__", kind)]);
        stored(labels, &[Sample::Float(1.0), Sample::Float(2.0)])
    };
    let series = vec![one(""), one("counter")];
    for scans in [true, false] {
        let storage = Storage {
            series: series.clone(),
            scans,
        };
        let answer = ask(&storage, "sum(rate(x_total[5m]))", 1000);
        assert_eq!(
            answer.0,
            Err("vector cannot contain metrics with the same labelset".to_owned())
        );
    }
}
