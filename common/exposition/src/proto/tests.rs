#![allow(clippy::unwrap_used)]

use bellwether_model::histogram::{CounterResetHint, Span};
use bellwether_model::{Exemplar, Histogram, Labels, MetricType};

use super::*;

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 & 127 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// A length-delimited field.
fn bytes(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [
        varint(number << 3 | 2),
        varint(value.len() as u64),
        value.to_vec(),
    ]
    .concat()
}

fn uint(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn label(name: &str, value: &str) -> Vec<u8> {
    bytes(1, [bytes(1, name), bytes(2, value)].concat())
}

/// A family without metrics would be `family(name, kind, &[])`; the length stands before it.
fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [bytes(1, name), bytes(2, "Help."), uint(3, kind)].concat();
    for metric in metrics {
        body.extend(bytes(4, metric));
    }
    [varint(body.len() as u64), body].concat()
}

const OPTIONS: ProtoOptions = ProtoOptions {
    native: true,
    always_classic: false,
};

type Sample = (String, ProtoValue, Option<i64>, Vec<Exemplar>);

fn samples(page: &[u8], options: ProtoOptions) -> Result<Vec<Sample>, ProtoError> {
    let mut reader = ProtoReader::new(page);
    let mut out = Vec::new();
    while let Some(family) = reader.next_family()? {
        family.each_sample(options, |s| {
            out.push((s.series.to_owned(), s.value, s.timestamp_ms, s.exemplars));
            Ok::<(), ProtoError>(())
        })?;
    }
    Ok(out)
}

fn floats(page: &[u8], options: ProtoOptions) -> Vec<(String, f64)> {
    let float = |s: Sample| match s.1 {
        ProtoValue::Float(value) => (s.0, value),
        other => panic!("{other:?}"),
    };
    samples(page, options)
        .unwrap()
        .into_iter()
        .map(float)
        .collect()
}

#[test]
fn simple_types() {
    let exemplar = [
        label("t", "1"),
        double(2, 0.5),
        bytes(3, [uint(1, 7), uint(2, 500_000_000)].concat()),
    ]
    .concat();
    let counter = [
        label("x", "a\"b"),
        bytes(3, [double(1, 5.0), bytes(2, exemplar)].concat()),
    ]
    .concat();
    let gauge = [bytes(2, double(1, -2.5)), uint(6, 1_700_000_000_000)].concat();
    let untyped = bytes(5, double(1, f64::INFINITY));
    let page = [
        family("c_total", 0, &[counter]),
        family("g.dot", 1, &[gauge, label("é y", "z")]),
        family("u", 3, &[untyped]),
        family("empty", 1, &[]),
    ]
    .concat();
    let got = samples(&page, OPTIONS).unwrap();
    let texts: Vec<_> = got.iter().map(|s| (s.0.as_str(), &s.1, s.2)).collect();
    assert_eq!(
        texts,
        [
            (r#"c_total{x="a\"b"}"#, &ProtoValue::Float(5.0), None),
            (
                r#"{"g.dot"}"#,
                &ProtoValue::Float(-2.5),
                Some(1_700_000_000_000)
            ),
            (r#"{"g.dot","é y"="z"}"#, &ProtoValue::Float(0.0), None),
            ("u", &ProtoValue::Float(f64::INFINITY), None),
        ]
    );
    assert_eq!(
        got[0].3,
        [Exemplar {
            labels: Labels::from_pairs([("t", "1")]),
            value: 0.5,
            timestamp_ms: Some(7500),
        }]
    );
    for (series, ..) in &got {
        assert!(crate::parse_series(series.as_bytes()).is_ok(), "{series}");
    }
}

#[test]
fn families_say_what_they_are() {
    let unit = |name, kind, unit| {
        let body = [bytes(1, name), uint(3, kind), bytes(5, unit)].concat();
        let page = [varint(body.len() as u64), body].concat();
        let mut reader = ProtoReader::new(&page);
        reader
            .next_family()
            .map(|f| f.map(|f| (f.name.to_owned(), f.kind, f.unit.to_owned())))
    };
    assert_eq!(
        unit("a_seconds_total", 0, "seconds"),
        Ok(Some((
            "a_seconds_total".into(),
            MetricType::Counter,
            "seconds".into()
        )))
    );
    assert!(unit("a_seconds", 5, "seconds").is_ok());
    assert!(unit("a", 4, "").is_ok());
    for (name, kind) in [("a", 1), ("seconds", 1), ("a_seconds_total", 1)] {
        let error = unit(name, kind, "seconds").unwrap_err();
        assert_eq!(
            error.message,
            format!("unit \"seconds\" not a suffix of metric {name:?}")
        );
    }
    assert_eq!(
        unit("a", 9, "").unwrap_err().message,
        "unknown metric type 9"
    );
}

#[test]
fn summaries_and_classic_histograms() {
    let quantile = |q, v| bytes(3, [double(1, q), double(2, v)].concat());
    let summary = bytes(
        4,
        [
            uint(1, 3),
            double(2, 4.5),
            quantile(0.5, 1.5),
            quantile(1.0, 2.0),
        ]
        .concat(),
    );
    let bucket = |n, le| bytes(3, [uint(1, n), double(2, le)].concat());
    let open = bytes(
        7,
        [uint(1, 6), double(2, 7.5), bucket(1, 0.5), bucket(3, 1.0)].concat(),
    );
    let closed = bytes(
        7,
        [uint(1, 6), double(2, 7.5), bucket(6, f64::INFINITY)].concat(),
    );
    let page = [
        family("s", 2, &[summary]),
        family("h", 4, &[open]),
        family("k", 5, &[closed]),
    ]
    .concat();
    let expected = [
        ("s_count", 3.0),
        ("s_sum", 4.5),
        (r#"s{quantile="0.5"}"#, 1.5),
        (r#"s{quantile="1.0"}"#, 2.0),
        ("h_count", 6.0),
        ("h_sum", 7.5),
        (r#"h_bucket{le="0.5"}"#, 1.0),
        (r#"h_bucket{le="1.0"}"#, 3.0),
        (r#"h_bucket{le="+Inf"}"#, 6.0),
        ("k_count", 6.0),
        ("k_sum", 7.5),
        (r#"k_bucket{le="+Inf"}"#, 6.0),
    ];
    let got = floats(&page, OPTIONS);
    let got: Vec<_> = got.iter().map(|(s, v)| (s.as_str(), *v)).collect();
    assert_eq!(got, expected);
}

/// Buckets 0 and 1 with 2 observations each, 2 in the zero bucket, one classic bucket with an exemplar.
fn both() -> Vec<u8> {
    let span = |offset, length| [uint(1, zigzag(offset)), uint(2, length)].concat();
    let exemplar = [label("t", "c"), double(2, 0.4), bytes(3, uint(1, 1))].concat();
    let bucket = [uint(1, 1), double(2, 0.5), bytes(3, exemplar)].concat();
    let deltas = [varint(zigzag(2)), varint(zigzag(0))].concat();
    [
        uint(1, 6),
        double(2, 7.5),
        bytes(3, bucket),
        uint(5, zigzag(1)),
        double(6, 0.001),
        uint(7, 2),
        bytes(12, span(-3, 0)),
        bytes(12, span(3, 2)),
        bytes(13, deltas),
    ]
    .concat()
}

#[test]
fn native_histograms() {
    let native = |reset_hint| {
        ProtoValue::Histogram(Histogram {
            reset_hint,
            schema: 1,
            zero_threshold: 0.001,
            zero_count: 2,
            count: 6,
            sum: 7.5,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![2, 0],
            ..Histogram::default()
        })
    };
    let page = [
        family("h", 4, &[bytes(7, both())]),
        family("g", 5, &[bytes(7, both())]),
    ]
    .concat();
    let got = samples(&page, OPTIONS).unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].0, "h");
    assert_eq!(got[0].1, native(CounterResetHint::Unknown));
    assert_eq!(got[1].1, native(CounterResetHint::Gauge));
    // Without exemplars of its own it takes those of its classic buckets.
    assert_eq!(got[0].3[0].value, 0.4);
    let with_classic = ProtoOptions {
        always_classic: true,
        ..OPTIONS
    };
    let names: Vec<_> = samples(&page, with_classic)
        .unwrap()
        .into_iter()
        .take(5)
        .map(|s| s.0)
        .collect();
    assert_eq!(
        names,
        [
            "h",
            "h_count",
            "h_sum",
            r#"h_bucket{le="0.5"}"#,
            r#"h_bucket{le="+Inf"}"#
        ]
    );
    let classic_only = ProtoOptions {
        native: false,
        ..OPTIONS
    };
    assert_eq!(floats(&page, classic_only).len(), 8);
    // Floats, and the bare span by which a client marks a native histogram that is still empty.
    let float = [double(4, 1.5), double(14, 1.5), bytes(12, uint(2, 1))].concat();
    let empty = bytes(12, []);
    let page = [
        family("f", 4, &[bytes(7, float)]),
        family("e", 4, &[bytes(7, empty)]),
    ]
    .concat();
    let got = samples(&page, OPTIONS).unwrap();
    match &got[0].1 {
        ProtoValue::FloatHistogram(h) => {
            assert_eq!((h.count, &h.positive_buckets[..]), (1.5, &[1.5][..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(got[1].1, ProtoValue::Histogram(Histogram::default()));
}

#[test]
fn broken_pages_name_the_place() {
    let page = family("g", 1, &[bytes(2, double(1, 1.0))]);
    for cut in 1..page.len() {
        let error = samples(&page[..cut], OPTIONS).unwrap_err();
        assert!(error.offset <= cut, "{cut}: {error}");
    }
    assert_eq!(samples(&[], OPTIONS), Ok(Vec::new()));
    let error = samples(b"a 1\n", OPTIONS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "protobuf: 97 bytes should follow, 3 are left (byte 1)"
    );
    assert!(samples(&[0xff; 11], OPTIONS).is_err());
    // Wrong types, a group, a name that is not UTF-8.
    for body in [
        uint(1, 1),
        uint(2, 1),
        bytes(3, "x"),
        vec![0x0b],
        bytes(1, [0xff]),
    ] {
        let page = [varint(body.len() as u64), body].concat();
        assert!(samples(&page, OPTIONS).is_err());
    }
    // What came after the broken family is not read.
    let mut reader = ProtoReader::new(&[1, 0x0b, 0]);
    assert!(reader.next_family().is_err());
    assert!(matches!(reader.next_family(), Ok(None)));
}

proptest::proptest! {
    #[test]
    fn nothing_panics(page: Vec<u8>) {
        let _ = samples(&page, OPTIONS);
        let framed = [varint(page.len() as u64), page].concat();
        let _ = samples(&framed, OPTIONS);
    }
}
