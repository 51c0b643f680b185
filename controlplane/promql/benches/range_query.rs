//! Range queries over 1,300 series with 24 hours of samples at 15 s, a step of 5 minutes.
//!
//! `cargo bench -p bellwether-promql` prints the best and the median time of each query.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use bellwether_model::storage::{Querier, Queryable, SampleBuffer, Series, StorageError};
use bellwether_model::{Labels, Matcher};
use bellwether_promql::{Engine, EngineOptions, QueryOptions, Value};

const SERIES: usize = 1300;
const SAMPLES: i64 = 24 * 3600 / 15;

/// A series whose samples are computed, so that the engine is measured and not a storage.
struct Synthetic {
    labels: Labels,
    slope: f64,
}

impl Series for Synthetic {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        for i in 0..SAMPLES {
            let t = i * 15_000;
            if (mint..=maxt).contains(&t) {
                // A reset every 1,000 samples.
                out.push_float(t, (i % 1000) as f64 * self.slope);
            }
        }
        Ok(())
    }
}

struct Storage(Vec<Arc<dyn Series>>);

impl Queryable for Storage {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl Querier for Storage {
    fn select(&self, _: bool, _: &[Matcher]) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        Ok(self.0.clone())
    }

    fn label_names(&self, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

fn main() {
    let series = (0..SERIES).map(|i| {
        let labels = Labels::from_pairs([
            ("__name__", "requests_total".to_owned()),
            ("instance", format!("host-{:04}", i / 10)),
            ("job", format!("job-{}", i % 13)),
            ("path", format!("/p/{}", i % 10)),
        ]);
        Arc::new(Synthetic {
            labels,
            slope: 1.0 + i as f64 / 7.0,
        }) as Arc<dyn Series>
    });
    let storage = Storage(series.collect());
    let engine = Engine::new(EngineOptions::default());
    let day = 24 * 3_600_000;
    for text in [
        "requests_total",
        "sum by (job) (rate(requests_total[5m]))",
        "sum by (job) (rate(requests_total[1h]))",
        "max by (job) (max_over_time(requests_total[1h]))",
        "avg by (job) (avg_over_time(requests_total[10m]))",
        "sum by (job) (stddev_over_time(requests_total[10m]))",
        "quantile by (job) (0.9, rate(requests_total[5m]))",
        "topk(5, rate(requests_total[5m]))",
        "rate(requests_total[5m]) / on (instance, job, path) requests_total",
    ] {
        let mut times: Vec<f64> = (0..7)
            .map(|_| {
                let start = Instant::now();
                let result = engine
                    .range(&storage, text, 0, day, 300_000, &QueryOptions::default())
                    .unwrap();
                let Value::Matrix(series) = result.value else {
                    panic!("not a matrix");
                };
                assert!(!series.is_empty());
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{text}: best {:.1} ms, median {:.1} ms",
            times[0],
            times[times.len() / 2]
        );
    }
}
