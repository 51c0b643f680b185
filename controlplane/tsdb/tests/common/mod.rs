//! Helpers of the behaviour tests: dumps in promtool's form, reference programs, conformance data.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram};
use bellwether_model::storage::{Queryable, SampleBuffer};
use bellwether_model::{Matcher, Span};
use bellwether_tsdb::{Clock, Db, DbOptions};
use std::sync::Arc;

/// A bucket as promtool prints it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// A sample's value, comparable with what promtool prints (which does not tell NaNs apart).
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(f64),
    Histogram {
        count: f64,
        sum: f64,
        buckets: Vec<Bucket>,
    },
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (
                Self::Histogram {
                    count,
                    sum,
                    buckets,
                },
                Self::Histogram {
                    count: c,
                    sum: s,
                    buckets: b,
                },
            ) => {
                close(*count, *c)
                    && close(*sum, *s)
                    && buckets.len() == b.len()
                    && buckets.iter().zip(b).all(|(x, y)| {
                        close(x.lower, y.lower)
                            && close(x.upper, y.upper)
                            && close(x.count, y.count)
                    })
            }
            _ => false,
        }
    }
}

/// Samples by series text and time.
pub(crate) type Dump = BTreeMap<String, BTreeMap<i64, Value>>;

/// Parses what `promtool tsdb dump` prints.
pub(crate) fn parse_dump(text: &str) -> Dump {
    let mut dump = Dump::new();
    for line in text.lines().filter(|l| l.starts_with('{')) {
        let (rest, t) = line.rsplit_once(' ').unwrap();
        let t: i64 = t.parse().unwrap();
        let (labels, value) = match rest.rfind(" {count:") {
            Some(at) => (&rest[..at], parse_histogram(&rest[at + 2..rest.len() - 1])),
            None => {
                let (labels, v) = rest.rsplit_once(' ').unwrap();
                (labels, Value::Float(v.parse().unwrap()))
            }
        };
        dump.entry(labels.to_owned()).or_default().insert(t, value);
    }
    dump
}

fn parse_histogram(text: &str) -> Value {
    let (mut count, mut sum, mut buckets) = (0.0, 0.0, Vec::new());
    for part in text.split(", ") {
        let (key, value) = part.rsplit_once(':').unwrap();
        let value: f64 = value.parse().unwrap();
        match key {
            "count" => count = value,
            "sum" => sum = value,
            bounds => {
                let (lower, upper) = bounds[1..bounds.len() - 1].split_once(',').unwrap();
                buckets.push(Bucket {
                    lower: lower.parse().unwrap(),
                    upper: upper.parse().unwrap(),
                    count: value,
                });
            }
        }
    }
    Value::Histogram {
        count,
        sum,
        buckets,
    }
}

fn bucket_list(h: &FloatHistogram) -> Vec<Bucket> {
    let bound = |i: i64| -> f64 {
        if h.schema == CUSTOM_BUCKETS_SCHEMA {
            match i {
                ..0 => f64::NEG_INFINITY,
                i => h
                    .custom_values
                    .get(i as usize)
                    .copied()
                    .unwrap_or(f64::INFINITY),
            }
        } else {
            2f64.powf(i as f64 * 2f64.powi(-h.schema))
        }
    };
    let side = |spans: &[Span], counts: &[f64]| {
        let mut out = Vec::new();
        let mut index = 0i64;
        let mut counts = counts.iter();
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                out.push((bound(index - 1), bound(index), *counts.next().unwrap()));
                index += 1;
            }
        }
        out
    };
    let mut out: Vec<Bucket> = side(&h.negative_spans, &h.negative_buckets)
        .into_iter()
        .rev()
        .map(|(l, u, count)| Bucket {
            lower: -u,
            upper: -l,
            count,
        })
        .collect();
    if h.zero_count > 0.0 {
        out.push(Bucket {
            lower: -h.zero_threshold,
            upper: h.zero_threshold,
            count: h.zero_count,
        });
    }
    let positive = side(&h.positive_spans, &h.positive_buckets);
    out.extend(positive.into_iter().map(|(lower, upper, count)| Bucket {
        lower,
        upper,
        count,
    }));
    out.retain(|b| b.count != 0.0);
    out
}

/// Everything that a storage has, in the same form.
pub(crate) fn dump(db: &dyn Queryable, mint: i64, maxt: i64) -> Dump {
    let querier = db.querier(mint, maxt).unwrap();
    let all = Matcher::new(bellwether_model::MatchOp::Regex, "__name__", ".*").unwrap();
    let mut out = Dump::new();
    let mut buffer = SampleBuffer::default();
    for series in querier.select(true, &[all]).unwrap() {
        buffer.clear();
        series.read(mint, maxt, &mut buffer).unwrap();
        if buffer.is_empty() {
            continue;
        }
        assert!(
            buffer.timestamps.windows(2).all(|w| w[0] < w[1]),
            "not in time order"
        );
        let samples = out.entry(series.labels().to_string()).or_default();
        for (i, t) in buffer.timestamps.iter().enumerate() {
            let value = match buffer.histogram(i) {
                None => Value::Float(buffer.values[i]),
                Some(h) => Value::Histogram {
                    count: h.count,
                    sum: h.sum,
                    buckets: bucket_list(h),
                },
            };
            samples.insert(*t, value);
        }
    }
    out
}

/// Panics with the first difference.
pub(crate) fn assert_same(got: &Dump, wanted: &Dump) {
    let names = |d: &Dump| d.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(wanted), "other series");
    for (series, samples) in wanted {
        let ours = &got[series];
        for (t, v) in samples {
            assert_eq!(ours.get(t), Some(v), "{series} at {t}");
        }
        for t in ours.keys() {
            assert!(
                samples.contains_key(t),
                "{series} has a sample too many at {t}"
            );
        }
    }
}

/// Panics with the first difference to what promtool printed. `promtool tsdb dump` (3.5) has three loops,
/// for floats, float histograms and integer histograms, and each swallows the sample on which it stops: it
/// never shows the first one or two samples of a histogram series, nor what follows in a mixed one.
pub(crate) fn assert_same_as_promtool(got: &Dump, wanted: &Dump) {
    let mut got = got.clone();
    for (series, samples) in &mut got {
        let is_float = |v: &Value| matches!(v, Value::Float(_));
        let shown = wanted.get(series);
        if samples.values().all(is_float) {
            continue;
        }
        let mixed = samples.values().any(is_float);
        let total = samples.len();
        let first = shown
            .and_then(|s| s.keys().next())
            .copied()
            .unwrap_or(i64::MAX);
        let hidden = samples.range(..first).count();
        assert!(
            mixed || total <= 2 || hidden <= 2,
            "{series}: {hidden} samples more than promtool"
        );
        samples.retain(|t, _| {
            if mixed {
                shown.is_some_and(|s| s.contains_key(t))
            } else {
                *t >= first
            }
        });
    }
    got.retain(|_, samples| !samples.is_empty());
    assert_same(&got, wanted);
}

/// The conformance folder, or nothing with a loud word.
pub(crate) fn conformance(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/tsdb")
        .join(part);
    if !path.exists() {
        eprintln!("SKIPPED: no conformance data at {}", path.display());
        return None;
    }
    Some(path)
}

/// A reference program, or nothing with a loud word.
pub(crate) fn reference(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .into_iter()
        .chain(std::env::var_os("PATH"));
    for list in dirs {
        for dir in std::env::split_paths(&list) {
            let path = dir.join(name);
            if path.is_file() {
                return Some(path);
            }
        }
    }
    eprintln!("SKIPPED: no {name} in BELLWETHER_REFERENCE_BIN or PATH");
    None
}

/// What `promtool tsdb dump` says about a data directory.
pub(crate) fn promtool_dump(promtool: &Path, dir: &Path) -> Dump {
    let out = Command::new(promtool)
        .args(["tsdb", "dump", "--sandbox-dir-root"])
        .arg(dir.parent().unwrap())
        .arg(dir)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "promtool: {errors}");
    for word in ["corrupt", "unknown series", "Unknown series", "invalid"] {
        assert!(!errors.contains(word), "promtool complains: {errors}");
    }
    parse_dump(&String::from_utf8_lossy(&out.stdout))
}

/// Copies a directory; the conformance data is read-only.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// A clock that stands still.
pub(crate) fn fixed_clock(t: i64) -> Clock {
    Arc::new(move || t)
}

/// Options with everything kept.
pub(crate) fn options() -> DbOptions {
    DbOptions {
        retention: std::time::Duration::ZERO,
        // Every round of maintenance moves chunks to a file.
        head_chunk_file_bytes: 1,
        ..DbOptions::default()
    }
}

/// Opens a database.
pub(crate) fn open(dir: &Path) -> Arc<Db> {
    Db::open(dir, options()).unwrap()
}
