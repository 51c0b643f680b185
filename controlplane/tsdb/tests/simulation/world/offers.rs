//! Transactions of random samples, and whether the engine takes them with good reason.

use std::collections::BTreeMap;

use bellwether_model::histogram::{Histogram, Span};
use bellwether_model::metadata::MetricType;
use bellwether_model::storage::{AppendError, Appendable as _};
use bellwether_model::{Exemplar, Labels, Metadata, stale_nan};

use super::{MINUTE, SERIES, T0, World};
use crate::model::{Offer, Value};

/// Half of the range of a block from the head: what is older than that comes out of order.
const HALF_BLOCK: i64 = 60 * MINUTE;

/// A histogram made of a number.
fn histogram(n: u64) -> Histogram {
    let offset = 1 + (n % 3) as i32;
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: n,
        count: 5 * n,
        sum: n as f64 * 1.5,
        positive_spans: vec![
            Span {
                offset: -2,
                length: 1,
            },
            Span { offset, length: 1 },
        ],
        positive_buckets: vec![n as i64, 2 * n as i64],
        ..Histogram::default()
    }
}

impl World {
    fn labels(&mut self) -> (u64, Labels) {
        // Names change with the hours, so that series end.
        let era = match self.random.below(2) {
            0 => String::new(),
            _ => ((self.now - T0) / (180 * MINUTE)).to_string(),
        };
        let i = self.random.below(SERIES);
        let name = format!("m{}", i % 3);
        let labels = [("__name__", name), ("era", era), ("i", i.to_string())];
        (i, Labels::from_pairs(labels))
    }

    pub(crate) fn append(&mut self) {
        let db = self.db();
        let newest = match self.dangers.late {
            true => db.stats().head_max_time,
            false => i64::MAX,
        };
        let mut app = db.appender();
        let mut pending: Vec<Offer> = Vec::new();
        let mut taken: BTreeMap<String, i64> = BTreeMap::new();
        let turn = self.random.below(5);
        for _ in 0..1 + self.random.below(60) {
            let (i, labels) = self.labels();
            let text = labels.to_string();
            let late = match (self.dangers.late, self.random.below(12)) {
                (false, 0) => self.random.below(200) as i64 * MINUTE,
                (true, 0..4) => self.random.below(500) as i64 * MINUTE,
                _ => 0,
            };
            let t = self.now - late + self.random.below(5) as i64;
            let series = app.series(&labels).unwrap();
            let ends = self.dangers.stale && i % 5 != turn && self.endings.below(3) == 0;
            let (value, verdict) = if ends {
                let v = stale_nan();
                (Value::Float(v.to_bits()), app.append(series, t, v))
            } else if i % 5 == turn {
                let n = 1 + self.random.below(40);
                (
                    Value::Histogram(n),
                    app.append_histogram(series, t, histogram(n)),
                )
            } else {
                let bits = match self.random.below(6) {
                    0 => self.random.next(),
                    n => (n as f64 * 2.5).to_bits(),
                };
                (
                    Value::Float(bits),
                    app.append(series, t, f64::from_bits(bits)),
                )
            };
            if self.is_taken(&text, (t, value), verdict, newest) {
                let before = taken.get(&text).copied().unwrap_or(i64::MIN);
                if self.is_kept(&text, t, newest, before) {
                    pending.push((text.clone(), t, value));
                }
                taken.insert(text, before.max(t));
            }
            if self.random.below(20) == 0 {
                let metadata = Metadata {
                    kind: MetricType::Counter,
                    help: format!("help {}", self.random.below(3)),
                    ..Metadata::default()
                };
                app.update_metadata(series, &metadata).unwrap();
                let exemplar = Exemplar {
                    labels: Labels::from_pairs([("trace_id", t.to_string())]),
                    value: 1.0,
                    timestamp_ms: Some(t),
                };
                // Older than the newest one: refused, which is no concern here.
                let _ = app.append_exemplar(series, exemplar);
            }
        }
        if self.random.below(12) == 0 {
            app.rollback();
            return;
        }
        let done = app.commit();
        if let Err(e) = &done {
            assert!(matches!(e, AppendError::Wal(_)), "{e}");
        }
        if !self.disk.is_dead() {
            self.observe();
        }
        let outcome = self.outcome(done.is_ok());
        self.tell(|| format!("append {} at {}: {outcome:?}", pending.len(), self.now));
        match self.dangers.late {
            true => {
                let horizon = newest.max(self.blocks_until);
                self.model.commit_any_order(pending, outcome, horizon);
            }
            false => self.model.commit(pending, outcome),
        }
    }

    /// Whether a sample was taken, and that it was or was not with good reason. `newest` is the head's newest time.
    fn is_taken(
        &self,
        series: &str,
        (t, value): (i64, Value),
        verdict: Result<(), AppendError>,
        newest: i64,
    ) -> bool {
        let (lo, hi) = self.model.newest(series);
        let floor = self.late_floor(newest);
        match (verdict, floor) {
            (Ok(()), Some(floor)) => {
                let in_order = t >= newest.saturating_sub(HALF_BLOCK) && t >= lo;
                assert!(t >= floor || in_order, "too old and taken: {t} < {floor}");
                return true;
            }
            (Ok(()), None) => {
                assert!(t >= lo, "an old sample was taken: {series} at {t} < {lo}");
                let known = self.model.value(series, t);
                let same = t != lo || t != hi || known.is_none_or(|k| k == value);
                assert!(same, "two values were taken: {series} at {t}");
                return true;
            }
            (Err(AppendError::TooOld), Some(floor)) => {
                assert!(t < floor, "refused within the window: {t} >= {floor}");
            }
            (Err(AppendError::DuplicateTimestamp(_)), _) => {
                let known = floor.is_none() || lo <= t;
                assert!(known && t <= hi, "a good sample was refused");
            }
            (Err(AppendError::OutOfOrder), None) => assert!(t <= hi, "a good sample was refused"),
            (Err(AppendError::OutOfBounds), None) => {
                assert!(t < self.now, "a good sample was refused");
            }
            (Err(e), _) => panic!("{e}"),
        }
        false
    }

    /// Whether the commit will keep a sample that was taken, after others of its series in the same transaction up to
    /// the time `before`.
    fn is_kept(&self, series: &str, t: i64, newest: i64, before: i64) -> bool {
        match self.late_floor(newest) {
            Some(floor) => t >= floor || t >= before,
            // Only the first of a time, and later ones.
            None => t > before && t > self.model.newest(series).0,
        }
    }

    /// With a window, the oldest time that may come late.
    fn late_floor(&self, newest: i64) -> Option<i64> {
        let window = self.options.out_of_order_window.as_millis() as i64;
        self.dangers.late.then(|| newest.saturating_sub(window))
    }
}
