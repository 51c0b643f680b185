//! Strings with bytes that are no UTF-8, next to the real Prometheus.

use crate::support::{WRITE_HEADERS, without_newer_members};
use crate::support::{Written, get, send, start, start_reference, text, write_request};

/// Expressions, escaped for a URL: `%5C` is a backslash, `%FF` a byte that is no UTF-8.
const EXPRESSIONS: &[&str] = &[
    "%22%FF%22",
    "%22%5Cxff%22",
    "%22a%5Cxff%5Cxfeb%22",
    "%27%5C377%27",
    "%60%FF%60",
    "%60%5Cxff%60",
    "%22%EF%BF%BD%22",
    "%22%5CuFFFD%22",
    "%22%5Cud800%22",
    "up%7Ba=%22%5Cxff%22%7D",
    "up%7Ba!=%22%5Cxff%22%7D",
    "up%7Ba=~%22%5Cxff%22%7D",
    "up%7Ba!~%22b%5Cxff%2B%22%7D",
    "up%7Ba=%22%FF%22%7D",
    "up%FF",
    "%FF",
    "up%7B%FF=%22a%22%7D",
    "%7B%22%5Cxff%22%7D",
    "%7B%22%5Cxff%22=%22a%22,__name__=%22up%22%7D",
    "sum%20by%20(%22%5Cxff%22)%20(up)",
    "up%20%2B%20on%20(%22%5Cxff%22)%20up",
    "label_replace(up,%22%5Cxff%22,%22x%22,%22job%22,%22.*%22)",
    "label_replace(up,%22x%22,%22%5Cxff%22,%22job%22,%22.*%22)",
    "label_replace(up,%22x%22,%22x%22,%22%5Cxff%22,%22.*%22)",
    "label_replace(up,%22x%22,%22x%22,%22job%22,%22%5Cxff%22)",
    "label_join(up,%22%5Cxff%22,%22x%22,%22job%22)",
    "label_join(up,%22x%22,%22%5Cxff%22,%22job%22,%22job%22)",
    "count_values(%22%5Cxff%22,up)",
    "up%20%23%20%FF",
];

#[tokio::test]
async fn bytes_that_are_no_utf8_are_answered_as_by_prometheus() {
    let flags = ["--web.enable-remote-write-receiver"];
    let Some(theirs) = start_reference("", &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let t = crate::otlp::now_s() as i64 - 30;
    let body = write_request(&[Written {
        labels: &[("__name__", "up"), ("a", "b"), ("job", "j")],
        samples: vec![(t * 1000, 1.0)],
    }]);
    for address in [ours.address, theirs.address] {
        send(
            address,
            "POST",
            "/api/v1/write",
            WRITE_HEADERS,
            body.clone(),
        )
        .await;
    }
    let mut differences = Vec::new();
    for expression in EXPRESSIONS {
        for path in [
            format!("/api/v1/query?query={expression}&time={t}"),
            format!("/api/v1/format_query?query={expression}"),
            format!("/api/v1/parse_query?query={expression}"),
            format!("/api/v1/series?match[]={expression}"),
        ] {
            let (a, b) = (
                get(ours.address, &path).await,
                get(theirs.address, &path).await,
            );
            let (mut x, mut y) = (a.json(), b.json());
            without_newer_members(&mut x);
            without_newer_members(&mut y);
            if path.contains("format_query") && (a.status, b.status) == (200, 200) {
                // Our syntax tree has U+FFFD in place of what is no text.
                for answer in [&mut x, &mut y] {
                    *answer = answer.to_string().replace("\\\\xff", "\u{fffd}").into();
                }
            }
            if (a.status, &x) != (b.status, &y) {
                differences.push(format!(
                    "{path}\n  ours   {} {x}\n  theirs {} {y}",
                    a.status, b.status
                ));
            }
        }
    }
    ours.stop().await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
