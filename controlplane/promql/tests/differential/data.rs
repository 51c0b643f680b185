//! The series that both engines have: counters with resets, gauges, odd values, gaps, stale markers, classic and
//! native histograms of several layouts, floats and histograms in one series.

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use bellwether_model::{FloatHistogram, Labels, Span, stale_nan};

use crate::random::Random;

/// Milliseconds since the epoch of the first sample.
pub(crate) const START: i64 = 1_700_000_000_000;
/// Samples of a series without gaps.
pub(crate) const SAMPLES: i64 = 90;
/// Milliseconds between samples.
pub(crate) const INTERVAL: i64 = 30_000;

#[derive(Clone)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(FloatHistogram),
}

pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<(i64, Sample)>,
}

struct Builder {
    random: Random,
    series: Vec<Series>,
}

/// The data of a seed.
pub(crate) fn generate(seed: u64) -> Vec<Series> {
    let mut builder = Builder {
        random: Random::new(seed),
        series: Vec::new(),
    };
    for job in ["api", "db"] {
        for instance in ["a", "b", "c"] {
            let labels = [("job", job), ("instance", instance)];
            builder.counter("c_total", &labels);
            builder.gauge(
                "g",
                &[
                    labels[0],
                    labels[1],
                    ("zone", if instance == "a" { "z0" } else { "z1" }),
                ],
            );
            builder.native("h", &labels, instance == "c");
        }
        builder.classic("lat", job);
        builder.custom(
            "ch",
            job,
            if job == "api" {
                &[0.5, 1.0, 5.0]
            } else {
                &[1.0, 5.0, 10.0, 20.0]
            },
        );
        builder.gauges_of_histograms("gh", job);
        builder.info(job);
    }
    builder.odd();
    builder.short();
    builder.mixed();
    builder.negative();
    builder.clash();
    // In the order of our results, so that Prometheus, which reads series in the order in which they were created, has
    // the same one.
    builder.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    builder.series
}

impl Builder {
    /// The times of a series. Some have gaps, some are not on the grid.
    fn times(&mut self) -> Vec<i64> {
        let gap = self.random.one_in(3).then(|| {
            let from = self.random.below(60) as i64;
            from..from + 12 + self.random.below(10) as i64
        });
        let jitter = self.random.one_in(2);
        (0..SAMPLES)
            .filter(|i| gap.as_ref().is_none_or(|g| !g.contains(i)))
            .map(|i| {
                let late = if jitter {
                    self.random.below(4000) as i64
                } else {
                    0
                };
                START + i * INTERVAL + late
            })
            .collect()
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], samples: Vec<(i64, Sample)>) {
        let mut pairs = vec![("__name__", name)];
        pairs.extend_from_slice(labels);
        self.series.push(Series {
            labels: Labels::from_pairs(pairs),
            samples,
        });
    }

    fn counter(&mut self, name: &str, labels: &[(&str, &str)]) {
        let mut total = self.random.below(40) as f64;
        let mut samples = Vec::new();
        for t in self.times() {
            total = if self.random.one_in(25) {
                self.random.below(3) as f64
            } else {
                total + self.random.below(17) as f64 / 4.0
            };
            let v = if self.random.one_in(60) {
                stale_nan()
            } else {
                total
            };
            samples.push((t, Sample::Float(v)));
        }
        self.add(name, labels, samples);
    }

    fn gauge(&mut self, name: &str, labels: &[(&str, &str)]) {
        let times = self.times();
        let samples = times
            .into_iter()
            .map(|t| {
                (
                    t,
                    Sample::Float((self.random.below(80) as f64 - 40.0) * 0.1),
                )
            })
            .collect();
        self.add(name, labels, samples);
    }

    fn odd(&mut self) {
        let values = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1e300,
            -1e300,
            1e-300,
            0.1,
            1.0,
            1e17,
        ];
        for kind in ["x", "y"] {
            let times = self.times();
            let samples = times
                .into_iter()
                .map(|t| {
                    (
                        t,
                        Sample::Float(values[self.random.below(values.len() as u64) as usize]),
                    )
                })
                .collect();
            self.add("odd", &[("kind", kind)], samples);
        }
    }

    /// Series that come and go, ended by stale markers.
    fn short(&mut self) {
        for i in 0..4i64 {
            let mut samples: Vec<(i64, Sample)> = (i * 18..i * 18 + 15)
                .map(|n| (START + n * INTERVAL, Sample::Float(n as f64)))
                .collect();
            samples.push((START + (i * 18 + 15) * INTERVAL, Sample::Float(stale_nan())));
            self.add("short", &[("part", &i.to_string())], samples);
        }
    }

    fn classic(&mut self, name: &str, job: &str) {
        let bounds = ["0.1", "0.5", "1.0", "2.5", "10.0", "+Inf"];
        let mut counts = [0.0; 6];
        let mut sum = 0.0;
        let times = self.times();
        let mut columns: Vec<Vec<(i64, Sample)>> = vec![Vec::new(); 8];
        for t in times {
            for _ in 0..self.random.below(5) {
                let bucket = self.random.below(6) as usize;
                sum += bucket as f64 * 0.7;
                for count in &mut counts[bucket..] {
                    *count += 1.0;
                }
            }
            for (column, count) in columns.iter_mut().zip(counts) {
                // Now and then a bucket is less than the one below it.
                let v = if self.random.one_in(40) {
                    count * 0.5
                } else {
                    count
                };
                column.push((t, Sample::Float(v)));
            }
            columns[6].push((t, Sample::Float(sum)));
            columns[7].push((t, Sample::Float(counts[5])));
        }
        for (bound, column) in bounds.iter().zip(&columns) {
            self.add(
                &format!("{name}_bucket"),
                &[("job", job), ("le", bound)],
                column.clone(),
            );
        }
        self.add(&format!("{name}_sum"), &[("job", job)], columns[6].clone());
        self.add(
            &format!("{name}_count"),
            &[("job", job)],
            columns[7].clone(),
        );
    }

    /// A counter histogram with exponential buckets; `coarser` lowers the resolution halfway.
    fn native(&mut self, name: &str, labels: &[(&str, &str)], coarser: bool) {
        let schema = self.random.below(4) as i32;
        let mut counts = [0.0f64; 9];
        let mut samples = Vec::new();
        let mut sum = 0.0;
        let times = self.times();
        let half = times.len() / 2;
        for (n, t) in times.into_iter().enumerate() {
            if self.random.one_in(30) {
                counts = [0.0; 9];
                sum = 0.0;
            }
            for count in &mut counts {
                let more = self.random.below(4) as f64;
                *count += more;
                sum += more * 1.3;
            }
            if self.random.one_in(70) {
                let stale = FloatHistogram {
                    sum: stale_nan(),
                    ..FloatHistogram::default()
                };
                samples.push((t, Sample::Histogram(stale)));
                continue;
            }
            let schema = if coarser && n > half {
                schema - 1
            } else {
                schema
            };
            samples.push((t, Sample::Histogram(exponential(schema, &counts, sum))));
        }
        self.add(name, labels, samples);
    }

    fn custom(&mut self, name: &str, job: &str, bounds: &[f64]) {
        let mut counts = vec![0.0f64; bounds.len() + 1];
        let mut samples = Vec::new();
        let mut sum = 0.0;
        for t in self.times() {
            if self.random.one_in(30) {
                counts.fill(0.0);
                sum = 0.0;
            }
            for count in &mut counts {
                let more = self.random.below(3) as f64;
                *count += more;
                sum += more * 2.1;
            }
            samples.push((t, Sample::Histogram(custom(bounds, &counts, sum))));
        }
        self.add(name, &[("job", job)], samples);
    }

    fn gauges_of_histograms(&mut self, name: &str, job: &str) {
        let times = self.times();
        let mut samples = Vec::new();
        for t in times {
            let mut counts = [0.0; 9];
            for count in &mut counts {
                *count = self.random.below(5) as f64;
            }
            let mut h = exponential(1, &counts, self.random.below(100) as f64 * 0.3);
            h.reset_hint = CounterResetHint::Gauge;
            samples.push((t, Sample::Histogram(h)));
        }
        self.add(name, &[("job", job)], samples);
    }

    /// Floats and histograms in turns.
    fn mixed(&mut self) {
        for kind in ["x", "y"] {
            let mut samples = Vec::new();
            let mut counts = [1.0; 9];
            for (n, t) in self.times().into_iter().enumerate() {
                for count in &mut counts {
                    *count += self.random.below(2) as f64;
                }
                samples.push(if n / 20 % 2 == 0 {
                    (t, Sample::Float(n as f64))
                } else {
                    (t, Sample::Histogram(exponential(0, &counts, n as f64)))
                });
            }
            self.add("mix", &[("kind", kind)], samples);
        }
    }

    /// A histogram with negative buckets only.
    fn negative(&mut self) {
        let mut samples = Vec::new();
        let mut counts = [1.0f64, 2.0, 0.0, 3.0];
        for t in self.times() {
            counts[self.random.below(4) as usize] += 1.0;
            let total: f64 = counts.iter().sum();
            samples.push((
                t,
                Sample::Histogram(FloatHistogram {
                    schema: 0,
                    count: total + 1.0,
                    sum: -3.0 * total,
                    zero_count: 1.0,
                    zero_threshold: 0.01,
                    negative_spans: vec![Span {
                        offset: 0,
                        length: 4,
                    }],
                    negative_buckets: counts.to_vec(),
                    ..FloatHistogram::default()
                }),
            ));
        }
        self.add("neg", &[("job", "api")], samples);
    }

    /// A native histogram with the name and labels of a classic one.
    fn clash(&mut self) {
        let samples = (20..40i64)
            .map(|n| {
                let h = exponential(0, &[n as f64; 9], n as f64);
                (START + n * INTERVAL, Sample::Histogram(h))
            })
            .collect();
        self.add("lat_bucket", &[("job", "db")], samples);
    }

    fn info(&mut self, job: &str) {
        for instance in ["a", "b"] {
            let samples = self
                .times()
                .into_iter()
                .map(|t| (t, Sample::Float(1.0)))
                .collect();
            let labels = [("job", job), ("instance", instance), ("version", "1.2")];
            self.add("target_info", &labels, samples);
        }
    }
}

/// Three negative buckets, the zero bucket and five positive ones.
fn exponential(schema: i32, counts: &[f64; 9], sum: f64) -> FloatHistogram {
    FloatHistogram {
        schema,
        count: counts.iter().sum(),
        sum,
        zero_count: counts[3],
        zero_threshold: 0.001,
        negative_spans: vec![Span {
            offset: 1,
            length: 3,
        }],
        negative_buckets: counts[..3].to_vec(),
        positive_spans: vec![
            Span {
                offset: -1,
                length: 2,
            },
            Span {
                offset: 3,
                length: 3,
            },
        ],
        positive_buckets: counts[4..].to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], counts: &[f64], sum: f64) -> FloatHistogram {
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: counts.iter().sum(),
        sum,
        custom_values: bounds.to_vec(),
        positive_spans: vec![Span {
            offset: 0,
            length: counts.len() as u32,
        }],
        positive_buckets: counts.to_vec(),
        ..FloatHistogram::default()
    }
}
