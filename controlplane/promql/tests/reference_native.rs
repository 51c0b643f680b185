//! Compares results on native histograms with `promtool test rules` of Prometheus 3.5: our results are written as
//! the expectations of a unit test, which has to pass, to the last digit. What changed after 3.5 is left out: means and
//! sums of many histograms (now compensated), reset hints of differences. So are results with NaN, which
//! promtool never takes as equal.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use bellwether_model::FloatHistogram;
use bellwether_model::float::{plain, shortest_g};
use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use bellwether_promql::testlang::load;
use bellwether_promql::testlang::script::{Command as Script, parse};
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{Engine, EngineOptions, ParseOptions, Point, QueryOptions, Value};

const SERIES: &[(&str, &str)] = &[
    (
        "h{a=\"one\"}",
        "{{schema:0 sum:5 count:4 z_bucket:1 z_bucket_w:0.001 buckets:[1 2]}}+{{schema:0 sum:2.5 count:3 buckets:[1 1 1]}}x20",
    ),
    (
        "h{a=\"two\"}",
        "{{schema:1 sum:1 count:3 buckets:[1 1 1] offset:-1 n_buckets:[0 2] n_offset:1}}+{{schema:1 sum:0.3 count:2 buckets:[1 0 1] offset:-1}}x9 {{schema:1 sum:1 count:2 buckets:[1 1]}}+{{schema:1 sum:1 count:2 buckets:[1 1]}}x9",
    ),
    (
        "h{a=\"gap\"}",
        "{{schema:3 sum:7 count:5 buckets:[1 0 0 4] offset:-20}}x3 _x4 {{schema:3 sum:9 count:9 buckets:[3 2 0 4] offset:-20}}x8",
    ),
    (
        "g{a=\"one\"}",
        "{{schema:0 sum:5 count:4 buckets:[1 2 1] counter_reset_hint:gauge}} {{schema:0 sum:-5 count:2 buckets:[1 0 1] counter_reset_hint:gauge}}x10 {{schema:2 sum:8 count:12 z_bucket:3 z_bucket_w:0.1 buckets:[1 0 1 5 2] counter_reset_hint:gauge}}x8",
    ),
    (
        "g{a=\"two\"}",
        "{{schema:2 sum:8 count:12 z_bucket:3 z_bucket_w:0.5 buckets:[1 0 1 5 2] offset:-2 counter_reset_hint:gauge}}x20",
    ),
    (
        "c{a=\"one\"}",
        "{{schema:-53 sum:5 count:10 custom_values:[1 5 10] buckets:[1 4 3 2]}}+{{schema:-53 sum:2 count:3 custom_values:[1 5 10] buckets:[1 0 1 1]}}x20",
    ),
    (
        "c{a=\"two\"}",
        "{{schema:-53 sum:1 count:4 custom_values:[1 5 10] buckets:[0 4]}}x8 {{schema:-53 sum:0 count:1 custom_values:[1 5 10] buckets:[1]}}x11",
    ),
    (
        "m{a=\"mixed\"}",
        "1 2 3 {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x3 4 5 {{schema:0 sum:6 count:5 buckets:[2 2 1]}}x10",
    ),
    (
        "n{a=\"neg\"}",
        "{{schema:0 sum:-15 count:10 n_buckets:[3 4 3]}}x20",
    ),
    (
        "n{a=\"both\"}",
        "{{schema:0 sum:2 count:16 z_bucket:2 z_bucket_w:0.01 buckets:[2 3 2] n_buckets:[3 3 1]}}x20",
    ),
    ("f", "1+1x20"),
];

const EXPRESSIONS: &str = r#"
h
g
c
m
rate(h[5m])
rate(h[20m])
increase(h[7m])
irate(h[5m])
delta(g[5m])
delta(g[15m])
idelta(g[5m])
rate(c[5m])
rate(c[15m])
increase(c[15m])
increase(m[3m])
sum_over_time(h[5m])
avg_over_time(h[9m])
sum_over_time(g[5m])
sum_over_time(c[5m])
avg_over_time(c[9m])
last_over_time(m[5m])
count_over_time(m[9m])
present_over_time(m[5m])
max_over_time(m[9m])
sum_over_time(m[9m])
resets(h[20m])
resets(m[20m])
resets(c[20m])
changes(h[20m])
changes(m[20m])
changes(g[20m])
sum(h)
sum(g)
avg(g)
sum(n)
avg(n)
avg(c)
sum(c)
sum({__name__=~"h|f"})
count(h)
min(h)
group(h)
stddev({__name__=~"h|f"})
topk(1, {__name__=~"h|f"})
count_values("v", n)
count_values("v", c)
histogram_quantile(0.1, h)
histogram_quantile(0.5, h)
histogram_quantile(0.9, h)
histogram_quantile(0.999, h)
histogram_quantile(0, h)
histogram_quantile(1, h)
histogram_quantile(0.5, rate(h[5m]))
histogram_quantile(0.3, n)
histogram_quantile(0.7, n)
histogram_quantile(0.5, n)
histogram_quantile(0.5, c)
histogram_quantile(0.99, c)
histogram_quantile(0.05, c)
histogram_quantile(0.5, g)
histogram_fraction(0, 2, h)
histogram_fraction(-3, 1.5, n)
histogram_fraction(-Inf, 0, n)
histogram_fraction(0.001, +Inf, n)
histogram_fraction(0.3, 7, c)
histogram_fraction(1.7, 2.3, rate(h[5m]))
histogram_count(h)
histogram_sum(rate(h[5m]))
histogram_avg(g)
histogram_stddev(h)
histogram_stdvar(n)
histogram_stdvar(c)
h * 2
2 * h
h / 3
h + h
g - ignoring (a) group_left () sum(h)
g + ignoring (a) group_left () sum(h)
n + on () group_left () sum(g)
h == h
h != h
h + 1
h > 1
1 - h
h and on (a) g
abs(h)
ceil(m)
sort(h)
absent(h)
timestamp(h)
label_replace(h, "x", "$1", "a", "(.*)")
rate(h[5m] offset 3m)
rate(h[10m:1m])
increase(m[20m:1m])
quantile_over_time(0.5, m[9m])
deriv(m[9m])
histogram_quantile(0.9, sum(rate(h[5m])))
sum({__name__=~"h|c"})
quantile(0.5, {__name__=~"h|f"})
count(h > 1)
bottomk(2, h)
"#;

fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let found = folders
        .into_iter()
        .map(|f| f.join(name))
        .find(|p| p.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is neither in BELLWETHER_REFERENCE_BIN nor in PATH");
    }
    found
}

/// A side's buckets without gaps: first index and counts.
fn dense(h: &FloatHistogram, positive: bool) -> (i32, Vec<f64>) {
    let mut h = h.clone();
    h.compact();
    let (spans, counts) = if positive {
        (&h.positive_spans, &h.positive_buckets)
    } else {
        (&h.negative_spans, &h.negative_buckets)
    };
    let mut out = Vec::new();
    let mut counts = counts.iter();
    for (i, span) in spans.iter().enumerate() {
        if i > 0 {
            out.extend((0..span.offset).map(|_| 0.0));
        }
        out.extend(counts.by_ref().take(span.length as usize));
    }
    (spans.first().map_or(0, |s| s.offset), out)
}

fn notation(h: &FloatHistogram) -> String {
    let mut parts = vec![format!("schema:{}", h.schema)];
    let list = |v: &[f64]| {
        v.iter()
            .map(|v| shortest_g(*v))
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (key, v) in [
        ("count", h.count),
        ("sum", h.sum),
        ("z_bucket", h.zero_count),
        ("z_bucket_w", h.zero_threshold),
    ] {
        parts.push(format!("{key}:{}", shortest_g(v)));
    }
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        parts.push(format!("custom_values:[{}]", list(&h.custom_values)));
    }
    match h.reset_hint {
        CounterResetHint::Unknown => {}
        CounterResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        CounterResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (positive, offset, buckets) in [
        (true, "offset", "buckets"),
        (false, "n_offset", "n_buckets"),
    ] {
        let (first, counts) = dense(h, positive);
        if !counts.is_empty() {
            parts.push(format!("{offset}:{first} {buckets}:[{}]", list(&counts)));
        }
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// Our result as expected samples; `None` when the expression fails.
fn expected(engine: &Engine, storage: &MemoryStorage, expr: &str, t: i64) -> Option<String> {
    let result = engine
        .instant(storage, expr, t, &QueryOptions::default())
        .ok()?;
    let mut out = String::new();
    match result.value {
        Value::Scalar { v, .. } => {
            let _ = writeln!(
                out,
                "          - labels: '{{}}'\n            value: {}",
                yaml(v)
            );
        }
        Value::Vector(samples) => {
            for s in samples {
                let labels = s.labels.to_string().replace('\'', "''");
                let _ = writeln!(out, "          - labels: '{labels}'");
                let _ = match &s.point {
                    Point::Float(v) => writeln!(out, "            value: {}", yaml(*v)),
                    Point::Histogram(h) => {
                        writeln!(out, "            histogram: '{}'", notation(h))
                    }
                };
            }
        }
        _ => return None,
    }
    Some(out)
}

fn yaml(v: f64) -> String {
    match v {
        v if v.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        v => plain(v),
    }
}

#[test]
fn native_histograms_agree_with_promtool() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let mut script = "load 1m\n".to_owned();
    let mut test =
        "evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n".to_owned();
    for (series, values) in SERIES {
        let _ = writeln!(script, "  {series} {values}");
        let _ = writeln!(
            test,
            "      - series: '{series}'\n        values: '{values}'"
        );
    }
    let storage = MemoryStorage::new();
    for command in parse(&script).unwrap() {
        if let Script::Load(commands) = command {
            load(&storage, &commands).unwrap();
        }
    }
    let engine = Engine::new(EngineOptions {
        parse: ParseOptions {
            experimental_functions: true,
            ..ParseOptions::default()
        },
        ..EngineOptions::default()
    });
    test.push_str("    promql_expr_test:\n");
    let mut count = 0;
    for expr in EXPRESSIONS.lines().filter(|l| !l.is_empty()) {
        for minutes in [4, 11, 19] {
            let Some(samples) = expected(&engine, &storage, expr, minutes * 60_000) else {
                panic!("{expr} fails");
            };
            if samples.contains(".nan") {
                continue;
            }
            let quoted = expr.replace('\'', "''");
            let _ = writeln!(
                test,
                "      - expr: '{quoted}'\n        eval_time: {minutes}m"
            );
            let list = if samples.is_empty() {
                " []\n".to_owned()
            } else {
                format!("\n{samples}")
            };
            let _ = write!(test, "        exp_samples:{list}");
            count += 1;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yml");
    std::fs::write(&file, test).unwrap();
    let output = Command::new(promtool)
        .args([
            "test",
            "rules",
            "--enable-feature=promql-experimental-functions",
        ])
        .arg(&file)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    eprintln!("{count} evaluations compared");
    assert!(output.status.success(), "{text}");
}
