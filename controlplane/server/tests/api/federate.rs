//! Federation as protobuf next to the real Prometheus, read back by the parser of scraped pages.

use std::net::SocketAddr;

use bellwether_exposition::{ProtoError, ProtoOptions, ProtoReader};

use crate::otlp::now_s;
use crate::support::{
    WRITE_HEADERS, Written, field, label_fields, send, start, start_reference, text, varint,
    write_histograms, write_request,
};

const ACCEPT: (&str, &str) = (
    "accept",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
);

/// One sample of a histogram with bounds of its own.
fn custom_histogram(labels: &[(&str, &str)], t: i64) -> Vec<u8> {
    let mut h = vec![0x08];
    varint(&mut h, 6);
    h.push(0x19);
    h.extend_from_slice(&7.5f64.to_le_bytes());
    // Schema -53, zig-zag coded.
    h.push(0x20);
    varint(&mut h, 105);
    field(&mut h, 11, &[0x08, 0x00, 0x10, 0x03]);
    // 1, 2 and 3 as differences.
    field(&mut h, 12, &[2, 2, 2]);
    h.push(0x78);
    varint(&mut h, t.cast_unsigned());
    let bounds: Vec<u8> = [0.5f64, 2.5].iter().flat_map(|b| b.to_le_bytes()).collect();
    // Field 16 has a key of two bytes.
    h.extend_from_slice(&[0x82, 0x01]);
    varint(&mut h, bounds.len() as u64);
    h.extend_from_slice(&bounds);
    let mut message = label_fields(labels);
    field(&mut message, 4, &h);
    let mut request = Vec::new();
    field(&mut request, 1, &message);
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

/// Families and samples of the page, and its content type.
async fn page(address: SocketAddr, path: &'static str) -> (Vec<String>, String) {
    let answer = send(address, "GET", path, &[ACCEPT], Vec::new()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut rows = Vec::new();
    let mut reader = ProtoReader::new(&answer.bytes);
    while let Some(family) = reader.next_family().unwrap() {
        rows.push(format!("{} {}", family.name, family.kind.as_str()));
        let options = ProtoOptions {
            native: true,
            always_classic: true,
        };
        let result = family.each_sample(options, |sample| {
            let (series, value) = (sample.series, sample.value);
            rows.push(format!("  {series} {value:?} {:?}", sample.timestamp_ms));
            Ok::<_, ProtoError>(())
        });
        result.unwrap();
    }
    (rows, answer.header("content-type"))
}

#[tokio::test]
async fn protobuf_pages_hold_what_those_of_prometheus_hold() {
    let config = "global: {external_labels: {cluster: c1}}\n";
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=native-histograms",
    ];
    let Some(theirs) = start_reference(config, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(config), &dir.path().join("data"), |_| {}).await;
    let t = now_s() as i64 * 1000 - 30_000;
    let float = |labels: &[(&str, &str)], v| {
        let samples = vec![(t, v)];
        write_request(&[Written { labels, samples }])
    };
    let bodies = [
        float(
            &[("__name__", "up"), ("instance", "a:1"), ("job", "f")],
            1.0,
        ),
        float(&[("__name__", "up"), ("job", "f")], f64::NAN),
        float(&[("__name__", "up"), ("cluster", "own"), ("job", "f")], 0.0),
        float(
            &[("__name__", "dotted.name"), ("é", "q\"\\\n"), ("job", "f")],
            -1.5,
        ),
        write_histograms(&[("__name__", "native"), ("job", "f")], &[t]),
        // A name may have samples of both kinds.
        write_histograms(&[("__name__", "up"), ("instance", "z"), ("job", "f")], &[t]),
        custom_histogram(&[("__name__", "custom"), ("job", "f")], t),
    ];
    for body in bodies {
        for address in [ours.address, theirs.address] {
            let sent = send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
            assert_eq!(sent.status, 204, "{}", sent.body);
        }
    }
    let path = "/federate?match[]=%7Bjob=%22f%22,__name__!=%22custom%22%7D";
    let (rows, content_type) = page(ours.address, path).await;
    let (mut wanted, their_type) = page(theirs.address, path).await;
    assert_eq!(content_type, their_type);
    // Samples of one name come in no particular order.
    let mut sorted = rows.clone();
    sorted.sort();
    wanted.sort();
    assert_eq!(sorted, wanted);
    let shown = |part: &str| rows.iter().any(|row| row.contains(part));
    assert!(shown(&format!(
        r#"  up{{instance="a:1",job="f",cluster="c1"}} Float(1.0) Some({t})"#
    )));
    assert!(shown("native histogram"), "{rows:#?}");
    assert!(shown("FloatHistogram(FloatHistogram"), "{rows:#?}");
    // Newer versions than 3.5 make classic histograms of those with bounds of their own.
    let (rows, _) = page(ours.address, "/federate?match[]=custom").await;
    let labels = r#"job="f",cluster="c1",instance="""#;
    assert_eq!(
        rows,
        [
            "custom histogram".to_owned(),
            format!("  custom_count{{{labels}}} Float(6.0) Some({t})"),
            format!("  custom_sum{{{labels}}} Float(7.5) Some({t})"),
            format!(r#"  custom_bucket{{{labels},le="0.5"}} Float(1.0) Some({t})"#),
            format!(r#"  custom_bucket{{{labels},le="2.5"}} Float(3.0) Some({t})"#),
            format!(r#"  custom_bucket{{{labels},le="+Inf"}} Float(6.0) Some({t})"#),
        ]
    );
    let nothing = "/federate?match[]=nothing";
    assert_eq!(
        page(ours.address, nothing).await,
        page(theirs.address, nothing).await
    );
    ours.stop().await.unwrap();
}
