//! Samples as the body of a remote write 1.0 request: protobuf in snappy.

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::{FloatHistogram, Span};

use crate::data::{Sample, Series};

/// Bodies in the order they have to be sent. Within a request Prometheus stores the floats of a series before its
/// histograms, so each request has one kind per series.
pub(crate) fn requests(series: &[Series]) -> Vec<Vec<u8>> {
    let runs: Vec<Vec<&[(i64, Sample)]>> = series
        .iter()
        .map(|s| {
            let same = |a: &(i64, Sample), b: &(i64, Sample)| {
                matches!(a.1, Sample::Float(_)) == matches!(b.1, Sample::Float(_))
            };
            s.samples.chunk_by(same).collect()
        })
        .collect();
    let longest = runs.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .map(|n| {
            let mut out = Vec::new();
            for (s, runs) in series.iter().zip(&runs) {
                if let Some(run) = runs.get(n) {
                    message(&mut out, 1, &time_series(s, run));
                }
            }
            snap::raw::Encoder::new().compress_vec(&out).unwrap()
        })
        .collect()
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn message(out: &mut Vec<u8>, field: u64, body: &[u8]) {
    key(out, field, 2);
    varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn double(out: &mut Vec<u8>, field: u64, v: f64) {
    key(out, field, 1);
    out.extend_from_slice(&v.to_bits().to_le_bytes());
}

fn number(out: &mut Vec<u8>, field: u64, v: u64) {
    key(out, field, 0);
    varint(out, v);
}

fn zigzag(v: i32) -> u64 {
    u64::from(((v << 1) ^ (v >> 31)) as u32)
}

fn packed(out: &mut Vec<u8>, field: u64, values: &[f64]) {
    let body: Vec<u8> = values
        .iter()
        .flat_map(|v| v.to_bits().to_le_bytes())
        .collect();
    message(out, field, &body);
}

fn spans(out: &mut Vec<u8>, field: u64, spans: &[Span]) {
    for span in spans {
        let mut body = Vec::new();
        number(&mut body, 1, zigzag(span.offset));
        number(&mut body, 2, u64::from(span.length));
        message(out, field, &body);
    }
}

fn time_series(series: &Series, run: &[(i64, Sample)]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in &series.labels {
        let mut body = Vec::new();
        message(&mut body, 1, label.name.as_bytes());
        message(&mut body, 2, label.value.as_bytes());
        message(&mut out, 1, &body);
    }
    for (t, sample) in run {
        match sample {
            Sample::Float(v) => {
                let mut body = Vec::new();
                double(&mut body, 1, *v);
                number(&mut body, 2, *t as u64);
                message(&mut out, 2, &body);
            }
            Sample::Histogram(h) => message(&mut out, 4, &histogram(*t, h)),
        }
    }
    out
}

fn histogram(t: i64, h: &FloatHistogram) -> Vec<u8> {
    let mut out = Vec::new();
    double(&mut out, 2, h.count);
    double(&mut out, 3, h.sum);
    number(&mut out, 4, zigzag(h.schema));
    double(&mut out, 5, h.zero_threshold);
    double(&mut out, 7, h.zero_count);
    spans(&mut out, 8, &h.negative_spans);
    packed(&mut out, 10, &h.negative_buckets);
    spans(&mut out, 11, &h.positive_spans);
    packed(&mut out, 13, &h.positive_buckets);
    let hint = match h.reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    number(&mut out, 14, hint);
    number(&mut out, 15, t as u64);
    packed(&mut out, 16, &h.custom_values);
    out
}
