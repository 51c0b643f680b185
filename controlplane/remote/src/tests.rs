#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::storage::{AppendError, Appendable, Appender, SeriesRef};
use bellwether_model::{
    Exemplar, FloatHistogram, Histogram, Labels, Metadata, MetricType, STALE_NAN_BITS, Span,
    stale_nan,
};
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;

mod props;

/// A storage that keeps order per series and can be told to fail.
#[derive(Default)]
struct Memory(Mutex<Stored>, SeriesCache);

#[derive(Default)]
struct Stored {
    labels: Vec<Labels>,
    samples: BTreeMap<(u64, i64), u64>,
    histograms: Vec<(u64, i64, String)>,
    exemplars: usize,
    fail_commit: bool,
    /// How often a series was named.
    named: usize,
    /// References that it does not know any more.
    dropped: BTreeSet<u64>,
}

fn write(memory: &Memory, request: &[u8], now_ms: i64) -> Result<WriteStats, RemoteWriteError> {
    super::write(memory, &memory.1, request, now_ms)
}

struct MemoryAppender<'m> {
    memory: &'m Memory,
    samples: BTreeMap<(u64, i64), u64>,
    histograms: Vec<(u64, i64, String)>,
    exemplars: usize,
}

impl Appendable for Memory {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(MemoryAppender {
            memory: self,
            samples: BTreeMap::new(),
            histograms: Vec::new(),
            exemplars: 0,
        })
    }
}

impl Appender for MemoryAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut stored = self.memory.0.lock();
        stored.named += 1;
        let known = (0..stored.labels.len())
            .find(|i| stored.labels[*i] == *labels && !stored.dropped.contains(&(*i as u64 + 1)));
        let index = match known {
            Some(index) => index,
            None => {
                stored.labels.push(labels.clone());
                stored.labels.len() - 1
            }
        };
        Ok(SeriesRef(index as u64 + 1))
    }

    fn has(&mut self, series: SeriesRef) -> bool {
        !self.memory.0.lock().dropped.contains(&series.0)
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        let stored = self.memory.0.lock();
        let last = stored
            .samples
            .iter()
            .chain(&self.samples)
            .filter(|((s, _), _)| *s == series.0)
            .map(|((_, t), v)| (*t, *v))
            .max();
        match last {
            Some((last, _)) if t < last => Err(AppendError::OutOfOrder),
            Some((last, bits)) if t == last && bits != v.to_bits() => {
                Err(AppendError::DuplicateTimestamp(None))
            }
            _ => {
                self.samples.insert((series.0, t), v.to_bits());
                Ok(())
            }
        }
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: Histogram,
    ) -> Result<(), AppendError> {
        self.histograms.push((series.0, t, format!("{h:?}")));
        Ok(())
    }

    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError> {
        self.histograms.push((series.0, t, format!("{h:?}")));
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError> {
        if exemplar.timestamp_ms == Some(0) {
            return Err(AppendError::OutOfOrderExemplar);
        }
        self.exemplars += 1;
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), AppendError> {
        let mut stored = self.memory.0.lock();
        if stored.fail_commit {
            return Err(AppendError::Wal("disk full".into()));
        }
        stored.samples.extend(self.samples);
        stored.histograms.extend(self.histograms);
        stored.exemplars += self.exemplars;
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "j")])
}

#[test]
fn a_message_made_by_hand_decodes() {
    // timeseries { labels { "a": "b" } samples { value 1.5, timestamp 1000 } }, then an unknown field 9.
    let message: &[u8] = &[
        0x0a, 0x18, // timeseries, 24 bytes
        0x0a, 0x06, 0x0a, 0x01, b'a', 0x12, 0x01, b'b', // label
        0x12, 0x0c, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, // sample: value 1.5
        0x10, 0xe8, 0x07, // timestamp 1000
        0x48, // field 9 inside the series: varint
        0x05, // ... of value 5
        0x4a, 0x02, 0xff, 0xff, // field 9 outside: two bytes
    ];
    let mut request = decode(message);
    let mut series = TimeSeries::default();
    assert!(request.next_series(&mut series).unwrap());
    assert_eq!(series.labels, [("a", "b")]);
    assert_eq!(series.samples, [SampleRecord { t: 1000, v: 1.5 }]);
    assert!(!request.next_series(&mut series).unwrap());
}

#[test]
fn negative_times_and_unpacked_repeated_fields_decode() {
    // histogram { positive_deltas 1, -1 (not packed), timestamp -1 }
    let mut histogram = vec![0x60, 0x02, 0x60, 0x01, 0x78];
    histogram.extend([0xff; 9]);
    histogram.push(0x01);
    let mut series = vec![0x22, histogram.len() as u8];
    series.extend(histogram);
    let mut message = vec![0x0a, series.len() as u8];
    message.extend(series);
    let mut request = decode(&message);
    let mut series = TimeSeries::default();
    assert!(request.next_series(&mut series).unwrap());
    let HistogramRecord::Integer(t, h) = &series.histograms[0] else {
        panic!("float")
    };
    assert_eq!((*t, h.positive_buckets.as_slice()), (-1, &[1, -1][..]));
}

#[test]
fn broken_messages_are_refused_with_their_place() {
    for (message, want) in [
        (&[0x0a][..], "unexpected end of message at byte 1"),
        (&[0x0a, 5, 1], "unexpected end of message at byte 2"),
        (&[0x0b], "illegal wire type 3 at byte 0"),
        (
            &[0x08, 1],
            "wrong wire type 0 for field 1 of WriteRequest at byte 1",
        ),
        (
            &[0x0a, 5, 0x0a, 3, 0x0a, 1, 0xff],
            "invalid UTF-8 in label name at byte 6",
        ),
        (&[0x80; 12], "varint too long at byte 10"),
    ] {
        let error = decode(message)
            .next_series(&mut TimeSeries::default())
            .unwrap_err();
        assert_eq!(error.to_string(), want, "{message:?}");
        let memory = Memory::default();
        let error = write(&memory, message, 0).unwrap_err();
        assert_eq!(error.status(), 400);
        assert_eq!(error.to_string(), format!("proto: {want}"));
    }
}

#[test]
fn snappy_is_checked_before_memory_is_taken() {
    let body = encode_floats([(labels("a"), 1, 2.0)]);
    let message = decompress(&body, 1 << 20).unwrap();
    assert_eq!(
        message,
        RequestBuilder::new()
            .series(&labels("a"), &[(1, 2.0)])
            .encode()
    );
    let error = decompress(&body, 3).unwrap_err();
    assert_eq!(error.status(), 413);
    for bad in [&b""[..], b"\xff\xff\xff\xff\x0f", b"not snappy at all"] {
        assert_eq!(
            decompress(bad, 1 << 40).unwrap_err().status(),
            400,
            "{bad:?}"
        );
    }
}

#[test]
fn good_samples_are_stored_next_to_refused_ones() {
    let memory = Memory::default();
    let mut first = RequestBuilder::new();
    first.series(&labels("a"), &[(1000, 1.0), (2000, 2.0)]);
    let stats = write(&memory, &first.encode(), 10_000).unwrap();
    assert_eq!(stats.samples, 2);
    // The newest sample again is a silent success.
    let mut again = RequestBuilder::new();
    again.series(&labels("a"), &[(2000, 2.0)]);
    assert_eq!(write(&memory, &again.encode(), 10_000).unwrap().refused, 0);
    let mut second = RequestBuilder::new();
    second
        .series(&labels("a"), &[(1500, 1.0), (2000, 3.0), (3000, 4.0)])
        .series(&labels("b"), &[(1, 5.0), (10_000 + MAX_AHEAD_MS + 1, 6.0)]);
    let error = write(&memory, &second.encode(), 10_000).unwrap_err();
    assert_eq!(error.status(), 400);
    assert_eq!(error.to_string(), "out of order sample (3 samples refused)");
    let RemoteWriteError::Refused { stats, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((stats.samples, stats.refused), (2, 3));
    let stored = memory.0.lock();
    assert_eq!(stored.samples.get(&(1, 3000)), Some(&4f64.to_bits()));
    assert_eq!(stored.samples.get(&(2, 1)), Some(&5f64.to_bits()));
    assert_eq!(stored.samples.len(), 4);
}

#[test]
fn a_known_series_is_not_named_again_unless_storage_dropped_it() {
    let memory = Memory::default();
    let send = |t: i64, names: &[&str]| {
        let mut request = RequestBuilder::new();
        for name in names {
            request.series(&labels(name), &[(t, 1.0)]);
        }
        assert_eq!(
            write(&memory, &request.encode(), t).unwrap().samples,
            names.len() as u64
        );
        memory.0.lock().named
    };
    assert_eq!(send(1, &["a", "b"]), 2);
    assert_eq!(send(2, &["b", "a", "c"]), 3);
    memory.0.lock().dropped.insert(1);
    assert_eq!(send(3, &["a", "b"]), 4);
    assert_eq!(send(4, &["a", "b"]), 4);
    let stored = memory.0.lock();
    let samples: Vec<_> = stored.samples.keys().copied().collect();
    let wanted = [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (2, 3),
        (2, 4),
        (3, 2),
        (4, 3),
        (4, 4),
    ];
    assert_eq!(samples, wanted);
    assert_eq!(stored.labels[3], labels("a"));
}

#[test]
fn labels_behind_a_sample_count_too() {
    fn label(name: &str, value: &str) -> Vec<u8> {
        let mut out = vec![0x0a, (name.len() + value.len() + 4) as u8];
        out.extend([0x0a, name.len() as u8]);
        out.extend(name.as_bytes());
        out.extend([0x12, value.len() as u8]);
        out.extend(value.as_bytes());
        out
    }
    let sample = [0x12, 0x02, 0x10, 0x05];
    let message = |parts: &[&[u8]]| {
        let series = parts.concat();
        [&[0x0a, series.len() as u8], series.as_slice()].concat()
    };
    let (name, more) = (label("__name__", "a"), label("b", "1"));
    let memory = Memory::default();
    for _ in 0..2 {
        assert!(write(&memory, &message(&[&name, &sample]), 9).is_ok());
        assert!(write(&memory, &message(&[&name, &sample, &more]), 9).is_ok());
    }
    let stored = memory.0.lock();
    let both = Labels::from_pairs([("__name__", "a"), ("b", "1")]);
    assert_eq!(
        stored.labels,
        [Labels::from_pairs([("__name__", "a")]), both]
    );
    let series: Vec<_> = stored.samples.keys().copied().collect();
    assert_eq!(series, [(1, 5), (2, 5)]);
}

#[test]
fn too_far_in_the_future() {
    let mut request = RequestBuilder::new();
    request.series(&labels("a"), &[(MAX_AHEAD_MS + 1, 1.0)]);
    let error = write(&Memory::default(), &request.encode(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "out of bounds: timestamp is too far in the future"
    );
    assert!(write(&Memory::default(), &request.encode(), 1).is_ok());
}

#[test]
fn invalid_label_sets_are_left_out_and_the_rest_succeeds() {
    let memory = Memory::default();
    let mut request = RequestBuilder::new();
    for pairs in [
        &[][..],
        &[("job", "x")],
        &[("__name__", "")],
        &[("__name__", "a"), ("b", "1"), ("b", "2")],
        &[("__name__", "a"), ("", "2")],
    ] {
        request.raw_series(pairs.iter().copied(), &[(1, 1.0)], &[], &[]);
    }
    // Unsorted labels and empty values are put right.
    request.raw_series(
        [("z", "1"), ("__name__", "a"), ("e", "")],
        &[(1, 1.0)],
        &[],
        &[],
    );
    let stats = write(&memory, &request.encode(), 0).unwrap();
    assert_eq!((stats.invalid_series, stats.samples), (5, 1));
    assert_eq!(
        memory.0.lock().labels[0].to_string(),
        r#"{__name__="a", z="1"}"#
    );
}

#[test]
fn a_failing_log_is_a_500_and_exemplars_never_fail() {
    let exemplar = |t| Exemplar {
        labels: Labels::from_pairs([("trace_id", "x")]),
        value: 1.0,
        timestamp_ms: Some(t),
    };
    let too_long = Exemplar {
        labels: Labels::from_pairs([("trace_id", "é".repeat(121).as_str())]),
        ..exemplar(6)
    };
    let mut request = RequestBuilder::new();
    request.series_with(
        &labels("a"),
        &[(1, stale_nan())],
        &[exemplar(5), exemplar(0), too_long],
        &[],
    );
    let memory = Memory::default();
    let stats = write(&memory, &request.encode(), 0).unwrap();
    assert_eq!(stats.exemplars, 1);
    assert_eq!(memory.0.lock().samples[&(1, 1)], STALE_NAN_BITS);
    memory.0.lock().fail_commit = true;
    let error = write(&memory, &request.encode(), 0).unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (500, "write-ahead log: disk full")
    );
}

#[test]
fn metadata_is_read() {
    let sent = MetricMetadata {
        family: "a",
        kind: MetricType::Summary,
        help: "h",
        unit: "s",
    };
    let mut request = RequestBuilder::new();
    request.metadata(&sent).series(&labels("a"), &[(1, 1.0)]);
    let message = request.encode();
    let mut read = decode(&message);
    let mut series = TimeSeries::default();
    while read.next_series(&mut series).unwrap() {}
    assert_eq!(read.metadata(), [sent]);
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    proptest::collection::vec(
        (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length }),
        0..4,
    )
}

fn hint() -> impl Strategy<Value = CounterResetHint> {
    prop_oneof![
        Just(CounterResetHint::Unknown),
        Just(CounterResetHint::Reset),
        Just(CounterResetHint::NotReset),
        Just(CounterResetHint::Gauge),
    ]
}

/// Any finite value: `PartialEq` of histograms cannot compare NaN.
fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("NaN", |v| !v.is_nan())
}

fn integer_histogram() -> impl Strategy<Value = HistogramRecord> {
    (
        (
            any::<i64>(),
            hint(),
            any::<i32>(),
            finite(),
            any::<u64>(),
            any::<u64>(),
            finite(),
        ),
        (spans(), spans()),
        (
            proptest::collection::vec(any::<i64>(), 0..5),
            proptest::collection::vec(any::<i64>(), 0..5),
            proptest::collection::vec(finite(), 0..5),
        ),
    )
        .prop_map(
            |((t, hint, schema, threshold, zero, count, sum), spans, buckets)| {
                HistogramRecord::Integer(
                    t,
                    Box::new(Histogram {
                        reset_hint: hint,
                        schema,
                        zero_threshold: threshold,
                        zero_count: zero,
                        count,
                        sum,
                        positive_spans: spans.0,
                        negative_spans: spans.1,
                        positive_buckets: buckets.0,
                        negative_buckets: buckets.1,
                        custom_values: buckets.2,
                    }),
                )
            },
        )
}

fn float_histogram() -> impl Strategy<Value = HistogramRecord> {
    (
        (
            any::<i64>(),
            hint(),
            any::<i32>(),
            finite(),
            finite(),
            finite(),
            finite(),
        ),
        (spans(), spans()),
        (
            proptest::collection::vec(finite(), 0..5),
            proptest::collection::vec(finite(), 0..5),
            proptest::collection::vec(finite(), 0..5),
        ),
    )
        .prop_map(
            |((t, hint, schema, threshold, zero, count, sum), spans, buckets)| {
                HistogramRecord::Float(
                    t,
                    Box::new(FloatHistogram {
                        reset_hint: hint,
                        schema,
                        zero_threshold: threshold,
                        zero_count: zero,
                        count,
                        sum,
                        positive_spans: spans.0,
                        negative_spans: spans.1,
                        positive_buckets: buckets.0,
                        negative_buckets: buckets.1,
                        custom_values: buckets.2,
                    }),
                )
            },
        )
}

proptest! {
    #[test]
    fn series_round_trip(
        pairs in proptest::collection::btree_map(".{1,8}", ".{1,8}", 0..5),
        samples in proptest::collection::vec((any::<i64>(), prop_oneof![any::<u64>(), Just(STALE_NAN_BITS)]), 0..5),
        histograms in proptest::collection::vec(prop_oneof![integer_histogram(), float_histogram()], 0..3),
        exemplar in proptest::option::of((finite(), any::<i64>())),
    ) {
        let samples: Vec<(i64, f64)> = samples.into_iter().map(|(t, bits)| (t, f64::from_bits(bits))).collect();
        let exemplars: Vec<Exemplar> = exemplar
            .iter()
            .map(|(value, t)| Exemplar { labels: Labels::from_pairs([("a", "b")]), value: *value, timestamp_ms: Some(*t) })
            .collect();
        let mut builder = RequestBuilder::new();
        builder.series_with(&Labels::from_pairs(&pairs), &samples, &exemplars, &histograms);
        let message = builder.encode();
        let mut request = decode(&message);
        let mut series = TimeSeries::default();
        prop_assert!(request.next_series(&mut series).unwrap());
        let got: Vec<(String, String)> = series.labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        prop_assert_eq!(got, pairs.into_iter().collect::<Vec<_>>());
        let want: Vec<SampleRecord> = samples.iter().map(|(t, v)| SampleRecord { t: *t, v: *v }).collect();
        prop_assert_eq!(&series.samples, &want);
        prop_assert_eq!(&series.histograms, &histograms);
        let got: Vec<(f64, i64)> = series.exemplars.iter().map(|e| (e.value, e.timestamp_ms)).collect();
        prop_assert_eq!(got, exemplar.into_iter().collect::<Vec<_>>());
        prop_assert!(!request.next_series(&mut series).unwrap());
    }

    #[test]
    fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = write(&Memory::default(), &message, 0);
        let _ = decompress(&message, 1 << 16);
    }

    /// A good message with one byte changed either decodes or is refused.
    #[test]
    fn no_damaged_message_panics(at in 0usize..200, byte in any::<u8>(), h in integer_histogram(), f in float_histogram()) {
        let mut builder = RequestBuilder::new();
        builder.series_with(&labels("a"), &[(1, 2.0)], &[], &[h, f]);
        let mut message = builder.encode();
        let at = at % message.len();
        message[at] = byte;
        let _ = write(&Memory::default(), &message, 0);
    }
}
