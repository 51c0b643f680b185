//! Remote write 2.0 next to the real Prometheus.

use std::collections::BTreeMap;

use crate::support::{
    Answer, Reference, Running, field, get, send, start, start_reference, text, varint,
};

pub(crate) const V2: (&str, &str) = (
    "content-type",
    "application/x-protobuf;proto=io.prometheus.write.v2.Request",
);
pub(crate) const SNAPPY: (&str, &str) = ("content-encoding", "snappy");

/// A request of version 2 under construction.
#[derive(Default)]
pub(crate) struct Request {
    symbols: Vec<String>,
    series: Vec<Vec<u8>>,
}

impl Request {
    fn symbol(&mut self, text: &str) -> u64 {
        if self.symbols.is_empty() {
            self.symbols.push(String::new());
        }
        let at = self.symbols.iter().position(|s| s == text);
        at.unwrap_or_else(|| {
            self.symbols.push(text.to_owned());
            self.symbols.len() - 1
        }) as u64
    }

    fn refs(&mut self, labels: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in labels {
            for text in [name, value] {
                let reference = self.symbol(text);
                varint(&mut out, reference);
            }
        }
        out
    }

    /// A series with samples (time, value, start time), exemplars (trace, time, value) and further fields.
    pub(crate) fn add(
        &mut self,
        labels: &[(&str, &str)],
        samples: &[(i64, f64, i64)],
        exemplars: &[(&str, i64, f64)],
        more: &[u8],
    ) -> &mut Self {
        let mut out = Vec::new();
        let refs = self.refs(labels);
        field(&mut out, 1, &refs);
        for (t, v, start) in samples {
            let mut sample = vec![0x09];
            sample.extend_from_slice(&v.to_le_bytes());
            for (key, t) in [(0x10, t), (0x18, start)] {
                sample.push(key);
                varint(&mut sample, t.cast_unsigned());
            }
            field(&mut out, 2, &sample);
        }
        for (trace, t, v) in exemplars {
            let mut exemplar = Vec::new();
            let refs = self.refs(&[("trace_id", trace)]);
            field(&mut exemplar, 1, &refs);
            exemplar.push(0x11);
            exemplar.extend_from_slice(&v.to_le_bytes());
            exemplar.push(0x18);
            varint(&mut exemplar, t.cast_unsigned());
            field(&mut out, 4, &exemplar);
        }
        let (help, unit) = (self.symbol("Help."), self.symbol("seconds"));
        let mut metadata = vec![0x08, 1, 0x18];
        varint(&mut metadata, help);
        metadata.push(0x20);
        varint(&mut metadata, unit);
        field(&mut out, 5, &metadata);
        out.extend_from_slice(more);
        self.series.push(out);
        self
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for symbol in &self.symbols {
            field(&mut out, 4, symbol.as_bytes());
        }
        for series in &self.series {
            field(&mut out, 5, series);
        }
        snap::raw::Encoder::new().compress_vec(&out).unwrap()
    }
}

fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

/// An integer histogram with one bucket.
fn native(t: i64, count: u64) -> Vec<u8> {
    let mut h = vec![0x08];
    varint(&mut h, count);
    h.push(0x19);
    h.extend_from_slice(&2.5f64.to_le_bytes());
    field(&mut h, 11, &[0x08, 0x02, 0x10, 0x01]);
    field(&mut h, 12, &[6]);
    h.push(0x78);
    varint(&mut h, t.cast_unsigned());
    let mut out = Vec::new();
    field(&mut out, 3, &h);
    out
}

/// What a sender looks at.
fn outcome(answer: &Answer, with_text: bool) -> (u16, BTreeMap<&'static str, String>, String) {
    let names = [
        "x-prometheus-remote-write-samples-written",
        "x-prometheus-remote-write-histograms-written",
        "x-prometheus-remote-write-exemplars-written",
    ];
    // Without a message that decodes, 3.5 sends no counts and 3.14 sends zeros.
    let count = |n| {
        let text = answer.header(n);
        if text.is_empty() {
            "0".to_owned()
        } else {
            text
        }
    };
    (
        answer.status,
        names.map(|n| (n, count(n))).into(),
        if with_text {
            answer.body.clone()
        } else {
            String::new()
        },
    )
}

async fn two_servers() -> Option<(Running, Reference, tempfile::TempDir)> {
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=native-histograms,exemplar-storage",
    ];
    let theirs = start_reference("", &flags).await?;
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    Some((ours, theirs, dir))
}

#[tokio::test]
async fn version_two_is_taken_and_refused_as_by_prometheus() {
    let Some((ours, theirs, _dir)) = two_servers().await else {
        return;
    };
    let t = now_ms() / 1000 * 1000 - 600_000;
    let name = |n: &'static str| ("__name__", n);
    let with = |build: &dyn Fn(&mut Request)| {
        let mut request = Request::default();
        build(&mut request);
        request.body()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "floats, exemplars, histograms",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t, 1.0, t - 5), (t + 1000, 2.0, t - 5)],
                    &[("t1", t, 1.0), ("t2", t + 1, 2.0)],
                    &[],
                )
                .add(&[name("h"), ("job", "x")], &[], &[], &native(t, 3));
            }),
        ),
        (
            "the same again",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t + 1000, 2.0, 0)],
                    &[("t2", t + 1, 2.0)],
                    &[],
                );
            }),
        ),
        (
            "another value and an older sample beside a good one",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t + 1000, 3.0, 0), (t, 1.0, 0), (t + 2000, 3.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "an old exemplar",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t + 3000, 3.0, 0)],
                    &[("t0", t - 1, 2.0)],
                    &[],
                );
            }),
        ),
        (
            "far ahead",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t + 9_999_000, 3.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "far back",
            with(&|r| {
                r.add(
                    &[name("a_total"), ("job", "x")],
                    &[(t - 99_999_000, 3.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "no name",
            with(&|r| {
                r.add(&[("job", "x")], &[(t, 1.0, 0)], &[], &[]).add(
                    &[name("b")],
                    &[(t, 1.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "an empty label name",
            with(&|r| {
                r.add(&[name("b"), ("", "x")], &[(t, 1.0, 0)], &[], &[]);
            }),
        ),
        (
            "a label twice",
            with(&|r| {
                r.add(
                    &[name("b"), ("x y", "1"), ("x y", "2")],
                    &[(t, 1.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "unsorted and empty labels",
            with(&|r| {
                r.add(
                    &[("z", "1"), ("b", ""), name("c")],
                    &[(t, 1.0, 0)],
                    &[],
                    &[],
                );
            }),
        ),
        (
            "a reference beyond the table",
            with(&|r| {
                r.add(&[name("d")], &[(t, 1.0, 0)], &[], &[0x08, 1, 0x08, 99]);
            }),
        ),
        (
            "an odd number of references",
            with(&|r| {
                r.add(&[name("d")], &[(t, 1.0, 0)], &[], &[0x08, 1]);
            }),
        ),
        (
            "metadata beyond the table",
            with(&|r| {
                r.add(&[name("d")], &[(t, 1.0, 0)], &[], &[0x2a, 2, 0x18, 99]);
            }),
        ),
        (
            "a bad histogram",
            with(&|r| {
                r.add(&[name("h"), ("job", "x")], &[], &[], &native(t + 1000, 2));
            }),
        ),
        (
            "no samples",
            with(&|r| {
                r.add(&[name("e")], &[], &[], &[]);
            }),
        ),
        ("nothing", with(&|_| {})),
        (
            "no protobuf",
            snap::raw::Encoder::new()
                .compress_vec(b"\xff\xff\xff")
                .unwrap(),
        ),
        ("no snappy", b"zzz".to_vec()),
    ];
    // 3.5 takes a series without samples, answers a bad histogram with 500, and panics over references that point
    // nowhere; 3.14 answers all of them with 400.
    let newer = [
        "no samples",
        "a bad histogram",
        "a reference beyond the table",
        "an odd number of references",
        "metadata beyond the table",
    ];
    // Texts of Go's decoders.
    let own_words = ["no protobuf", "no snappy"];
    let mut differences = Vec::new();
    for (case, body) in &cases {
        let a = send(
            ours.address,
            "POST",
            "/api/v1/write",
            &[V2, SNAPPY],
            body.clone(),
        )
        .await;
        let b = send(
            theirs.address,
            "POST",
            "/api/v1/write",
            &[V2, SNAPPY],
            body.clone(),
        )
        .await;
        let with_text = !own_words.contains(case);
        if newer.contains(case) {
            assert_eq!(a.status, 400, "{case}: {a:?}");
            continue;
        }
        if outcome(&a, with_text) != outcome(&b, with_text) {
            differences.push(format!("{case}\n  ours   {a:?}\n  theirs {b:?}"));
        }
    }
    for path in [
        format!("/api/v1/query?query=a_total[1h]&time={}", t / 1000 + 60),
        format!("/api/v1/query?query=h&time={}", t / 1000 + 60),
        format!("/api/v1/query?query=c&time={}", t / 1000 + 60),
        "/api/v1/query_exemplars?query=a_total".to_owned(),
        "/api/v1/label/__name__/values?match[]=%7Bjob=%22x%22%7D".to_owned(),
    ] {
        let (a, b) = (
            get(ours.address, &path).await,
            get(theirs.address, &path).await,
        );
        if a.json() != b.json() {
            differences.push(format!("{path}\n  ours   {}\n  theirs {}", a.body, b.body));
        }
    }
    ours.stop().await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn content_types_choose_the_version() {
    let Some((ours, theirs, _dir)) = two_servers().await else {
        return;
    };
    let body = snap::raw::Encoder::new().compress_vec(b"").unwrap();
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[V2],
        &[("content-type", "application/x-protobuf")],
        &[(
            "content-type",
            "application/x-protobuf;proto=prometheus.WriteRequest",
        )],
        &[("content-type", "application/x-protobuf;proto=nope")],
        &[("content-type", "application/x-protobuf;proto")],
        &[("content-type", "application/json")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[V2, ("content-encoding", "gzip")],
    ];
    for headers in cases {
        let a = send(ours.address, "POST", "/api/v1/write", headers, body.clone()).await;
        let b = send(
            theirs.address,
            "POST",
            "/api/v1/write",
            headers,
            body.clone(),
        )
        .await;
        // Worded otherwise since 3.6.
        let theirs = b
            .body
            .replace("unknown remote write", "unknown type for remote write");
        assert_eq!((a.status, a.body), (b.status, theirs), "{headers:?}");
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn messages_can_be_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.web.write_messages = vec![bellwether_server::WriteMessage::V2];
    })
    .await;
    let body = snap::raw::Encoder::new().compress_vec(b"").unwrap();
    let v1 = send(
        ours.address,
        "POST",
        "/api/v1/write",
        &[SNAPPY],
        body.clone(),
    )
    .await;
    assert_eq!(v1.status, 415);
    assert_eq!(
        v1.body,
        "prometheus.WriteRequest protobuf message is not accepted by this server; only accepts io.prometheus.write.v2.Request\n"
    );
    let v2 = send(ours.address, "POST", "/api/v1/write", &[V2, SNAPPY], body).await;
    assert_eq!(v2.status, 204);
    ours.stop().await.unwrap();
}
