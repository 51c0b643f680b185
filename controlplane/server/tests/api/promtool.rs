//! `promtool` as a client: what it prints of this server is what it prints of the real one.

use std::path::{Path, PathBuf};

use crate::support::{
    WRITE_HEADERS, Written, reference, send, start, start_reference, text, write_histograms,
    write_request,
};

/// Output of promtool and whether it succeeded. Lines that say how long it took are left out.
async fn run(promtool: &Path, dir: &Path, args: Vec<String>) -> (bool, Vec<String>) {
    let (promtool, dir) = (promtool.to_owned(), dir.to_owned());
    tokio::task::spawn_blocking(move || {
        let output = std::process::Command::new(promtool)
            .args(args)
            .current_dir(dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (output.status.success(), lines)
    })
    .await
    .unwrap()
}

fn data(base: i64) -> Vec<Vec<u8>> {
    let floats = |labels: &[(&str, &str)], f: fn(i64) -> f64| {
        let samples = (0..40).map(|i| (base + i * 15_000, f(i))).collect();
        write_request(&[Written { labels, samples }])
    };
    let times: Vec<i64> = (0..40).map(|i| base + i * 15_000).collect();
    let bucket = |le| [("__name__", "lat_bucket"), ("le", le)];
    vec![
        floats(&[("__name__", "up"), ("job", "api")], |_| 1.0),
        floats(&[("__name__", "up"), ("job", "db")], |i| (i % 2) as f64),
        floats(&bucket("1.0"), |i| i as f64),
        floats(&bucket("2.0"), |i| 2.0 * i as f64),
        floats(&bucket("+Inf"), |i| 3.0 * i as f64),
        write_histograms(&[("__name__", "native"), ("job", "api")], &times),
    ]
}

#[tokio::test]
async fn promtool_prints_the_same() {
    let Some(promtool) = reference("promtool") else {
        return;
    };
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=native-histograms",
    ];
    let Some(theirs) = start_reference("", &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    let base = (now / 60 * 60 - 900) * 1000;
    for body in data(base) {
        for address in [ours.address, theirs.address] {
            let answer = send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
    }
    let (start_s, end_s) = (
        (base / 1000).to_string(),
        (base / 1000 + 39 * 15).to_string(),
    );
    let commands: &[&[&str]] = &[
        &["query", "instant", "--time=T", "URL", "sum by (job) (up)"],
        &["query", "instant", "--time=T", "-o", "json", "URL", "up"],
        &[
            "query", "instant", "--time=T", "-o", "json", "URL", "native",
        ],
        &["query", "instant", "--time=T", "URL", "up{"],
        &["query", "instant", "--time=T", "URL", "rate(up[1m])"],
        &[
            "query",
            "range",
            "--start=S",
            "--end=T",
            "--step=1m",
            "URL",
            "up",
        ],
        &[
            "query",
            "range",
            "--start=S",
            "--end=T",
            "--step=1m",
            "-o",
            "json",
            "URL",
            "lat_bucket",
        ],
        &[
            "query",
            "range",
            "--start=S",
            "--end=T",
            "--step=1ms",
            "URL",
            "up",
        ],
        &[
            "query",
            "series",
            "--match=up",
            "--match=native",
            "--start=S",
            "--end=T",
            "URL",
        ],
        &["query", "series", "URL"],
        &["query", "labels", "--start=S", "--end=T", "URL", "job"],
        &["query", "labels", "--match=up{job=\"db\"}", "URL", "job"],
        &["query", "labels", "URL", "nothing"],
        &[
            "query",
            "analyze",
            "--server=URL",
            "--type=histogram",
            "--match=native",
            "--duration=10m",
            "--time=T",
        ],
        &[
            "query",
            "analyze",
            "--server=URL",
            "--type=histogram",
            "--match=lat_bucket",
            "--duration=10m",
            "--time=T",
        ],
        &[
            "query",
            "analyze",
            "--server=URL",
            "--type=histogram",
            "--match=nothing",
            "--duration=10m",
            "--time=T",
        ],
        &["check", "healthy", "--url=URL"],
        &["check", "ready", "--url=URL"],
        &["promql", "--experimental", "format", "sum(up)"],
    ];
    let mut differences = Vec::new();
    for command in commands {
        let mut outputs = Vec::new();
        for address in [ours.address, theirs.address] {
            let url = format!("http://{address}");
            let fill = |arg: &&str| {
                arg.replace("URL", &url)
                    .replace("=T", &format!("={end_s}"))
                    .replace("=S", &format!("={start_s}"))
            };
            let output = run(&promtool, dir.path(), command.iter().map(fill).collect()).await;
            let hide = |line: &String| line.replace(&address.to_string(), "ADDRESS");
            outputs.push((output.0, output.1.iter().map(hide).collect::<Vec<_>>()));
        }
        if outputs[0] != outputs[1] {
            differences.push(format!(
                "{command:?}\n  ours   {:?}\n  theirs {:?}",
                outputs[0], outputs[1]
            ));
        }
    }
    ours.stop().await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A support bundle has our metrics; profiles of the Go runtime do not exist here.
#[tokio::test]
async fn promtool_collects_metrics_for_debugging() {
    let Some(promtool) = reference("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let url = format!("http://{}", ours.address);
    let args = ["debug", "metrics", &url].map(str::to_owned).to_vec();
    let (success, lines) = run(&promtool, dir.path(), args).await;
    ours.stop().await.unwrap();
    assert!(success, "{lines:?}");
    let bundle: PathBuf = dir.path().join("debug.tar.gz");
    let mut tar = Vec::new();
    let file = std::fs::File::open(bundle).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut tar).unwrap();
    let text = String::from_utf8_lossy(&tar);
    assert!(
        text.contains("prometheus_tsdb_head_series"),
        "{}",
        text.len()
    );
}
