//! Remote read: our answers byte for byte like Prometheus' own, and the real Prometheus reading from us.

use crate::support::{
    Running, WRITE_HEADERS, Written, eventually, field, get, send, start, start_reference, text,
    varint, write_histograms, write_request,
};

const CONFIG: &str = "global: {external_labels: {cluster: c1, zone: z}}\n";

fn base_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    // A boundary of a block falls into the data, a chunk of every series ends at it; and all data is in the past.
    let newest = now - 400 * 7;
    (newest / 7200 * 7200 - 120) * 1000
}

/// Floats (some of them markers and infinities), histograms, a series with a label named as an external one.
fn data(base: i64) -> Vec<Vec<u8>> {
    let floats = |labels: &[(&str, &str)], f: fn(i64) -> f64| {
        // More than one chunk holds.
        let samples = (0..400).map(|i| (base + i * 7_000, f(i))).collect();
        write_request(&[Written { labels, samples }])
    };
    let times: Vec<i64> = (0..40).map(|i| base + i * 15_000).collect();
    vec![
        floats(&[("__name__", "up"), ("job", "a")], |i| i as f64 * 0.5),
        floats(&[("__name__", "up"), ("job", "b")], |i| match i % 60 {
            0 => f64::from_bits(0x7ff0_0000_0000_0002),
            1 => f64::INFINITY,
            // One value: Prometheus also cuts a chunk at 1024 bytes.
            _ => -2.5,
        }),
        floats(&[("__name__", "up"), ("job", "c"), ("zone", "own")], |_| {
            1.0
        }),
        write_histograms(&[("__name__", "native"), ("job", "a")], &times),
    ]
}

/// Type, name and value of a matcher.
type Matcher<'a> = (u64, &'a str, &'a str);

fn query(start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, t) in [(0x08, start), (0x10, end)] {
        out.push(key);
        varint(&mut out, t.cast_unsigned());
    }
    for (kind, name, value) in matchers {
        let mut matcher = vec![0x08];
        varint(&mut matcher, *kind);
        field(&mut matcher, 2, name.as_bytes());
        field(&mut matcher, 3, value.as_bytes());
        field(&mut out, 3, &matcher);
    }
    out
}

fn request(queries: &[Vec<u8>], accepted: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for query in queries {
        field(&mut out, 1, query);
    }
    for kind in accepted {
        out.push(0x10);
        varint(&mut out, *kind);
    }
    snap::raw::Encoder::new().compress_vec(&out).unwrap()
}

/// The fields of a message that hold bytes: number and content.
fn parts(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut out = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message);
        match key & 7 {
            0 => {
                let n = take_varint(&mut message);
                out.push((key >> 3, n.to_string().into_bytes()));
            }
            2 => {
                let len = take_varint(&mut message) as usize;
                out.push((key >> 3, message[..len].to_vec()));
                message = &message[len..];
            }
            other => panic!("wire type {other}"),
        }
    }
    out
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

/// The messages of a streamed answer, without their lengths and checksums.
fn frames(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !body.is_empty() {
        let len = take_varint(&mut body) as usize;
        out.push(body[4..4 + len].to_vec());
        body = &body[4 + len..];
    }
    out
}

async fn two_servers() -> Option<(Running, crate::support::Reference, i64, tempfile::TempDir)> {
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=native-histograms",
        "--storage.remote.read-sample-limit=900",
        "--storage.remote.read-max-bytes-in-frame=100",
    ];
    let theirs = start_reference(CONFIG, &flags).await?;
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(CONFIG), &dir.path().join("data"), |s| {
        s.remote_read.sample_limit = 900;
        s.remote_read.bytes_in_frame_max = 100;
    })
    .await;
    let base = base_ms();
    for body in data(base) {
        for address in [ours.address, theirs.address] {
            let written = send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
            assert_eq!(written.status, 204, "{written:?}");
        }
    }
    Some((ours, theirs, base, dir))
}

#[tokio::test]
async fn samples_and_chunks_are_those_of_prometheus() {
    let Some((ours, theirs, base, _dir)) = two_servers().await else {
        return;
    };
    let (all, name) = ((base, base + 10_000_000), (0, "__name__", "up"));
    let queries = [
        query(all.0, all.1, &[(0, "__name__", "up"), (0, "job", "a")]),
        // Both ends belong to the range; neither is at the edge of a chunk.
        query(base + 150_000, base + 600_000, &[name, (0, "job", "b")]),
        query(
            all.0,
            all.1,
            &[name, (0, "cluster", "c1"), (2, "job", "a|b")],
        ),
        query(all.0, all.1, &[name, (0, "zone", "z"), (0, "job", "c")]),
        query(all.0, all.1, &[name, (0, "zone", "own")]),
        query(all.0, all.1, &[(0, "__name__", "native")]),
        query(
            base + 30_000,
            base + 300_000,
            &[(1, "__name__", "up"), (3, "job", "b.*")],
        ),
        query(all.1, all.0, &[name]),
        query(0, 1, &[name]),
    ];
    for query in &queries {
        let mut answers = Vec::new();
        for kind in [0, 1] {
            let body = request(std::slice::from_ref(query), &[kind]);
            for address in [ours.address, theirs.address] {
                let answer = send(address, "POST", "/api/v1/read", &[], body.clone()).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answers.push(answer);
            }
        }
        let samples = |body: &[u8]| {
            let message = snap::raw::Decoder::new().decompress_vec(body).unwrap();
            let results = parts(&message);
            assert_eq!(results.len(), 1);
            let mut series = parts(&results[0].1);
            series.sort();
            series
        };
        assert_eq!(samples(&answers[0].bytes), samples(&answers[1].bytes));
        assert_eq!(frames(&answers[2].bytes), frames(&answers[3].bytes));
        for (a, b) in [(0, 1), (2, 3)] {
            for name in ["content-type", "content-encoding"] {
                assert_eq!(answers[a].header(name), answers[b].header(name));
            }
        }
    }
    // Several queries in one request.
    let body = request(&queries[..2], &[7, 1, 0]);
    let a = send(ours.address, "POST", "/api/v1/read", &[], body.clone()).await;
    let b = send(theirs.address, "POST", "/api/v1/read", &[], body).await;
    assert_eq!(frames(&a.bytes), frames(&b.bytes));
    assert!(frames(&a.bytes).len() > 2, "a series is split");
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn bad_read_requests_are_refused_alike() {
    let Some((ours, theirs, base, _dir)) = two_servers().await else {
        return;
    };
    let all = |matchers: &[Matcher<'_>]| query(base, base + 10_000_000, matchers);
    let cases = [
        ("POST", Vec::new()),
        ("POST", b"no snappy".to_vec()),
        (
            "POST",
            snap::raw::Encoder::new()
                .compress_vec(b"\xff\xff\xff")
                .unwrap(),
        ),
        ("POST", request(&[all(&[(2, "__name__", "(")])], &[])),
        ("POST", request(&[all(&[(9, "__name__", "a")])], &[])),
        ("POST", request(&[all(&[(0, "__name__", "up")])], &[7])),
        // More than the limit of 900 samples.
        ("POST", request(&[all(&[(0, "__name__", "up")])], &[0])),
        ("POST", request(&[], &[])),
        ("GET", Vec::new()),
        ("PUT", Vec::new()),
    ];
    for (i, (method, body)) in cases.into_iter().enumerate() {
        let a = send(ours.address, method, "/api/v1/read", &[], body.clone()).await;
        let b = send(theirs.address, method, "/api/v1/read", &[], body).await;
        assert_eq!(a.status, b.status, "case {i}: {a:?} {b:?}");
        assert_eq!(
            a.header("content-type"),
            b.header("content-type"),
            "case {i}"
        );
        // Texts of Go's protobuf decoder and regular expressions are its own.
        if !matches!(i, 2 | 3) {
            assert_eq!(a.bytes, b.bytes, "case {i}: {} {}", a.body, b.body);
        }
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn prometheus_reads_from_this_server() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.remote_read.bytes_in_frame_max = 500;
    })
    .await;
    let base = base_ms();
    for body in data(base) {
        send(ours.address, "POST", "/api/v1/write", WRITE_HEADERS, body).await;
    }
    let config = format!(
        "remote_read: [{{url: 'http://{}/api/v1/read', read_recent: true}}]\n",
        ours.address
    );
    let flags = ["--enable-feature=native-histograms"];
    let Some(theirs) = start_reference(&config, &flags).await else {
        return;
    };
    let (start_s, end_s) = (base / 1000, base / 1000 + 600);
    for expr in [
        "up",
        "rate(up[2m])",
        "sum%20by%20(job)%20(up%20offset%201m)",
        "native",
        "histogram_count(rate(native[3m]))",
        "up%7Bzone=%22own%22%7D",
    ] {
        let path = format!("/api/v1/query_range?query={expr}&start={start_s}&end={end_s}&step=30");
        eventually(expr, || async {
            let (a, b) = (
                get(ours.address, &path).await,
                get(theirs.address, &path).await,
            );
            assert_eq!(a.status, 200, "{a:?}");
            let rows = |answer: &serde_json::Value| {
                answer["data"]["result"].as_array().map_or(0, Vec::len)
            };
            assert!(rows(&a.json()) > 0);
            a.json()["data"] == b.json()["data"]
        })
        .await;
    }
    ours.stop().await.unwrap();
}

/// The protocol has no way to ask for labels, and the remote system is away.
#[tokio::test]
async fn labels_come_with_a_warning_where_a_remote_system_takes_part() {
    let remote =
        |name: &str| format!("- {{url: 'http://127.0.0.1:1/', name: {name}, read_recent: true}}\n");
    let config = format!("remote_read:\n{}{}", remote("a"), remote("b"));
    let flags = ["--web.enable-remote-write-receiver"];
    let Some(theirs) = start_reference(&config, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(&config), &dir.path().join("data"), |_| {}).await;
    let samples = vec![(base_ms(), 1.0), (base_ms() + 15_000, 2.0)];
    let labels: &[(&str, &str)] = &[("__name__", "up"), ("job", "a")];
    let body = write_request(&[Written { labels, samples }]);
    for address in [ours.address, theirs.address] {
        let body = body.clone();
        let written = send(address, "POST", "/api/v1/write", WRITE_HEADERS, body).await;
        assert_eq!(written.status, 204, "{written:?}");
    }
    for path in [
        "/api/v1/labels",
        "/api/v1/labels?match[]=up&match[]=down",
        "/api/v1/labels?limit=1",
        "/api/v1/label/job/values",
        "/api/v1/label/none/values?match[]=up",
    ] {
        let a = get(ours.address, path).await.json();
        let b = get(theirs.address, path).await.json();
        let sorted = |answer: &serde_json::Value| {
            let mut warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
            warnings.sort_by_key(ToString::to_string);
            warnings
        };
        assert_eq!(a["data"], b["data"], "{path}: {a} {b}");
        assert_eq!(sorted(&a), sorted(&b), "{path}");
        assert!(sorted(&a).contains(&"not implemented".into()), "{path}");
    }
    // Why an address cannot be reached each program says in its own words. For one selector alone Prometheus does not
    // warn: it asks for warnings before it has looked.
    let path = "/api/v1/series?match[]=up&match[]=down";
    let a = get(ours.address, path).await.json();
    let b = get(theirs.address, path).await.json();
    assert_eq!(a["data"], b["data"]);
    for answer in [a, b] {
        let warnings = answer["warnings"].to_string();
        assert!(warnings.contains("remote_read: "), "{warnings}");
    }
    ours.stop().await.unwrap();
}
