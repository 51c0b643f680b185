//! `bellwether tool tsdb`: the same output as promtool's on the same directories, directories that stay as
//! they were, imports, and the finding of damage.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use bellwether_model::storage::Appendable as _;
use bellwether_model::{
    Exemplar, FloatHistogram, Histogram, Labels, Matcher, Metadata, Span, stale_nan,
};
use bellwether_tsdb::{Db, DbOptions, WalCompression};
use support::{Api, BINARY, Program, free_ports, peers};

const MINUTE: i64 = 60_000;
const T0: i64 = 1_700_006_400_000;

// ---------------------------------------------------------------- running

fn ours(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["tool", "tsdb"]).args(args).arg(dir);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a run that succeeds.
fn ours_ok(args: &[&str], dir: &Path) -> String {
    let output = ours(args, dir);
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    text(&output)
}

/// Everything that can be seen of a directory: names, bytes (as a hash), times of change.
fn fingerprint(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut out = BTreeMap::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let meta = fs::metadata(&path).unwrap();
        let mut hasher = DefaultHasher::new();
        if meta.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            fs::read(&path).unwrap().hash(&mut hasher);
        }
        out.insert(path, (hasher.finish(), meta.modified().unwrap()));
    }
    out
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            // Not fs::copy: the conformance data is write-protected.
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Compares what we and promtool print about a directory, byte for byte, and checks that we leave it alone.
/// promtool works on a copy: it makes directories of its own where it reads.
fn same_as_promtool(promtool: &Path, dir: &Path) {
    let before = fingerprint(dir);
    let root = tempfile::tempdir().unwrap();
    let copy = root.path().join("copy");
    copy_dir(dir, &copy);
    // It also refuses a directory without a log.
    fs::create_dir_all(copy.join("wal")).unwrap();
    let one = "--match={__name__=~\"(m|h|g).*\"}";
    let selections: [&[&str]; 6] = [
        &[],
        &["--min-time=1700010000000", "--max-time=1700020000000"],
        &["--max-time=1700006400000"],
        &["--match={i=\"3\"}"],
        &[one, "--match={i=\"3\"}", "--match={absent=\"\"}"],
        &["--match={__name__=\"nothing\"}"],
    ];
    let mut commands: Vec<Vec<&str>> = vec![vec!["list"], vec!["list", "-r"]];
    for command in ["dump", "dump-openmetrics"] {
        commands.extend(selections.iter().map(|s| [&[command], *s].concat()));
    }
    for args in &commands {
        let reference = run_promtool(promtool, args, &copy);
        assert!(reference.status.success(), "{}", errors(&reference));
        assert_lines(&ours_ok(args, dir), &text(&reference), args);
    }
    for matcher in [None, Some("--match={__name__=~\"m|counter.*|up\"}")] {
        for limit in ["--limit=100000", "--limit=3"] {
            let mut args = vec!["analyze", "--extended", limit];
            args.extend(matcher);
            let reference = run_promtool(promtool, &args, &copy);
            let got = ours(&args, dir);
            assert_eq!(
                got.status.code(),
                reference.status.code(),
                "{}",
                errors(&got)
            );
            let (got, reference) = (text(&got), text(&reference));
            // Of equal figures promtool shows any, in any order; the figures themselves are certain.
            assert_eq!(figures(&got), figures(&reference), "{args:?}");
            if limit != "--limit=3" {
                assert_eq!(sorted_lines(&got), sorted_lines(&reference), "{args:?}");
            }
        }
    }
    assert!(fingerprint(dir) == before, "the directory was touched");
}

fn run_promtool(promtool: &Path, args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(promtool);
    command.arg("tsdb").args(args).arg(dir);
    command.output().unwrap()
}

/// Panics with the first line that differs: whole dumps are too long to read.
fn assert_lines(got: &str, wanted: &str, args: &[&str]) {
    for (i, (g, w)) in got.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(g, w, "{args:?}, line {}", i + 1);
    }
    assert_eq!(got.lines().count(), wanted.lines().count(), "{args:?}");
    assert_eq!(got, wanted, "{args:?}");
}

/// All lines in order of text. Not by paragraph: a label value of the conformance data holds an empty line.
fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The numbers with which lines begin.
fn figures(text: &str) -> Vec<u64> {
    let first = |l: &str| l.split(' ').next()?.parse().ok();
    text.lines().filter_map(first).collect()
}

// ---------------------------------------------------------------- directories

fn options() -> DbOptions {
    DbOptions {
        retention: Duration::ZERO,
        head_chunk_file_bytes: 1,
        ..DbOptions::default()
    }
}

/// Floats of many kinds, some of which end with a staleness marker.
fn floats(db: &Db, minutes: std::ops::Range<i64>) {
    for m in minutes {
        let t = T0 + m * MINUTE;
        let mut app = db.appender();
        for i in 0..12 {
            let l = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
            let series = app.series(&l).unwrap();
            let v = match (i, m % 7) {
                (0, _) => stale_nan(),
                (1, 0) => f64::NAN,
                (1, 1) => f64::INFINITY,
                (1, 2) => f64::NEG_INFINITY,
                (2, n) => [-0.0, 1e6, 123_456_789.0, 1e21, 1e-5, 5e-324, f64::MAX][n as usize],
                _ => (m * 7 + i) as f64 / 3.0,
            };
            app.append(series, t + i, v).unwrap();
        }
        app.commit().unwrap();
    }
}

/// Floats between those of [`floats`], backwards.
fn late_floats(db: &Db, minutes: std::ops::Range<i64>) {
    for m in minutes.rev() {
        let mut app = db.appender();
        for i in [3, 4] {
            let l = Labels::from_pairs([("__name__", "m"), ("i", &format!("{i}"))]);
            let series = app.series(&l).unwrap();
            app.append(series, T0 + m * MINUTE + 30_000, m as f64)
                .unwrap();
        }
        app.commit().unwrap();
    }
}

/// Native histograms of every kind, and series that change their kind.
fn histograms(db: &Db, minutes: std::ops::Range<i64>) {
    for m in minutes {
        let t = T0 + m * MINUTE;
        let n = m.unsigned_abs();
        let span = |offset, length| Span { offset, length };
        let integer = Histogram {
            schema: 1,
            zero_threshold: 0.001,
            zero_count: n,
            count: 3_000_000 * n + n,
            sum: m as f64 * 1e6,
            positive_spans: vec![span(-2, 1), span(3, 1)],
            positive_buckets: vec![1_000_000 * m, 0],
            negative_spans: vec![span(1, 1)],
            negative_buckets: vec![1_000_000 * m],
            ..Histogram::default()
        };
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 2.5 * m as f64,
            sum: 0.1,
            positive_spans: vec![span(0, 3)],
            positive_buckets: vec![m as f64, 0.0, 1.5 * m as f64],
            custom_values: vec![0.5, 1e6],
            ..FloatHistogram::default()
        };
        let mut app = db.appender();
        let series = app
            .series(&Labels::from_pairs([("__name__", "h_int")]))
            .unwrap();
        app.append_histogram(series, t, integer.clone()).unwrap();
        let series = app
            .series(&Labels::from_pairs([("__name__", "h_float")]))
            .unwrap();
        app.append_float_histogram(series, t, integer.to_float())
            .unwrap();
        let series = app
            .series(&Labels::from_pairs([("__name__", "h_custom")]))
            .unwrap();
        app.append_float_histogram(series, t, custom).unwrap();
        let series = app
            .series(&Labels::from_pairs([("__name__", "g_mixed")]))
            .unwrap();
        match m / 10 % 3 {
            0 => app.append(series, t, m as f64).unwrap(),
            1 => app.append_histogram(series, t, integer).unwrap(),
            _ => app
                .append_float_histogram(series, t, integer.to_float())
                .unwrap(),
        }
        app.commit().unwrap();
    }
}

/// Exemplars, metadata, and labels that need quotes.
fn extras(db: &Db) {
    let mut app = db.appender();
    let l = Labels::from_pairs([("__name__", "m"), ("i", "3")]);
    let series = app.series(&l).unwrap();
    let exemplar = Exemplar {
        labels: Labels::from_pairs([("trace_id", "abc")]),
        value: 1.5,
        timestamp_ms: Some(T0),
    };
    app.append_exemplar(series, exemplar).unwrap();
    app.update_metadata(series, &Metadata::default()).unwrap();
    for (i, value) in ["a\"b\\c\nd\te\u{7f}", "ü\u{a0}\u{200b}\u{1f600}", "<&>"]
        .iter()
        .enumerate()
    {
        let l = Labels::from_pairs([("__name__", "my.metric"), ("a.b", value), ("x", "y")]);
        let series = app.series(&l).unwrap();
        app.append(series, T0 + i as i64, -1.5).unwrap();
    }
    app.commit().unwrap();
}

fn open(dir: &Path, options: DbOptions) -> Arc<Db> {
    Db::open(dir, options).unwrap()
}

/// Directories of every shape that our own engine writes.
fn our_directories(root: &Path) -> Vec<PathBuf> {
    let wal_only = root.join("wal-only");
    for compression in [WalCompression::None, WalCompression::Zstd] {
        // The second run goes on in the same directory; nothing is closed cleanly.
        let db = open(
            &wal_only,
            DbOptions {
                wal_compression: compression,
                ..options()
            },
        );
        let from = if compression == WalCompression::None {
            0
        } else {
            30
        };
        floats(&db, from..from + 30);
    }
    let everything = root.join("everything");
    let db = open(&everything, options());
    floats(&db, 0..5 * 60);
    histograms(&db, 5 * 60..6 * 60);
    db.run_maintenance().unwrap();
    floats(&db, 6 * 60..7 * 60);
    histograms(&db, 6 * 60..7 * 60);
    db.run_maintenance().unwrap();
    // Some head chunks are in files now, and later samples are in the log alone.
    floats(&db, 7 * 60..7 * 60 + 10);
    assert!(!db.blocks().is_empty());
    let i = |i: &str| [Matcher::equal("i", i)];
    db.delete(T0 + 30 * MINUTE, T0 + 400 * MINUTE, &i("4"))
        .unwrap();
    db.delete(i64::MIN, i64::MAX, &i("5")).unwrap();
    db.delete(T0 + 425 * MINUTE, i64::MAX, &i("6")).unwrap();
    db.close().unwrap();
    let blocks_only = root.join("blocks-only");
    let db = open(&everything, options());
    db.snapshot(&blocks_only, true).unwrap();
    db.close().unwrap();
    let odd = root.join("odd-labels");
    let db = open(&odd, options());
    floats(&db, 0..3);
    extras(&db);
    let late = root.join("late");
    let db = open(
        &late,
        DbOptions {
            out_of_order_window: Duration::from_secs(2 * 3600),
            ..options()
        },
    );
    floats(&db, 0..180);
    db.run_maintenance().unwrap();
    late_floats(&db, 70..170);
    vec![wal_only, everything, blocks_only, odd, late]
}

// ---------------------------------------------------------------- reading

#[test]
fn our_directories_read_the_same_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    for dir in our_directories(root.path()) {
        same_as_promtool(&promtool, &dir);
    }
}

#[test]
fn conformance_data_reads_the_same_as_by_promtool() {
    let (Some(promtool), Some(data)) = (peers::find("promtool"), peers::conformance("tsdb")) else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    for name in ["block-floats", "block-natives", "wal-plain"] {
        let dir = root.path().join(name);
        copy_dir(&data.join(name).join("data"), &dir);
        same_as_promtool(&promtool, &dir);
        assert!(verify(&dir).is_empty());
    }
    let old = root.path().join("old").join("01DXXFZDYD1MQW6079WK0K6EDQ");
    copy_dir(&data.join("index_format_v1"), &old);
    same_as_promtool(&promtool, old.parent().unwrap());
    assert!(verify(&old).is_empty());
}

#[test]
fn the_reference_servers_directory_reads_the_same_while_it_runs_and_after() {
    let (Some(promtool), Some(prometheus)) = (peers::find("promtool"), peers::find("prometheus"))
    else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let [port] = free_ports();
    let config = root.path().join("prometheus.yml");
    let target = format!(
        "scrape_configs:\n- job_name: self\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    );
    fs::write(&config, target).unwrap();
    let data = root.path().join("data");
    let mut server = Program::start(
        Command::new(prometheus)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args([
                "--enable-feature=native-histograms,exemplar-storage",
                "--web.enable-admin-api",
            ]),
    );
    let api = Api::new(port);
    api.wait_value("count_over_time(up[1m])", |v| v >= 15.0);
    // Beside the running server: no lock is in the way, and at least what was seen above is there.
    let live = ours_ok(&["dump", "--match=up"], &data);
    assert!(live.lines().count() >= 15, "{live}");
    // A block of the server's own making.
    let answer = api
        .http
        .post(format!("{}/api/v1/admin/tsdb/snapshot", api.base))
        .send()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
    let snapshot = data
        .join("snapshots")
        .join(answer["data"]["name"].as_str().unwrap());
    server.signal("TERM");
    server.wait_exit();
    assert!(text(&ours(&["list"], &snapshot)).lines().count() == 2);
    for dir in [&data, &snapshot] {
        assert_eq!(verify(dir), Vec::<String>::new());
        same_as_promtool(&promtool, dir);
    }
}

#[test]
fn a_dump_in_full_has_every_sample() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path(), options());
    floats(&db, 0..2);
    histograms(&db, 0..40);
    extras(&db);
    drop(db);
    let full = ours(&["dump", "--format=full"], root.path());
    assert_eq!(text(&full).lines().count(), 2 * 12 + 40 * 4 + 3);
    assert!(errors(&full).is_empty(), "{}", errors(&full));
    let short = ours(&["dump"], root.path());
    assert!(
        errors(&short).contains("--format=full"),
        "{}",
        errors(&short)
    );
    let series = ours_ok(
        &["dump", "--format=seriesjson", "--match={i=\"3\"}"],
        root.path(),
    );
    assert_eq!(series, "{\"__name__\":\"m\",\"i\":\"3\"}\n");
    // Floats only, no staleness markers, and what is odd in quotes: it can be imported again.
    let page = ours_ok(&["dump-openmetrics", "--format=full"], root.path());
    assert_eq!(page.lines().count(), 2 * 11 + 20 + 3 + 1);
    assert!(page.contains("{\"my.metric\",\"a.b\"=\"a\\\"b\\\\c\\nd\te\u{7f}\",x=\"y\"} -1.5 "));
    let file = root.path().join("page");
    fs::write(&file, page).unwrap();
    let again = root.path().join("again");
    let made = ours_ok(
        &[
            "create-blocks-from",
            "openmetrics",
            &file.display().to_string(),
        ],
        &again,
    );
    assert!(made.contains(&format!(" {} ", 2 * 11 + 20 + 3)), "{made}");
    let original = ours_ok(
        &["dump", "--format=full", "--match={__name__=\"my.metric\"}"],
        root.path(),
    );
    let imported = ours_ok(&["dump", "--match={__name__=\"my.metric\"}"], &again);
    assert_eq!(sorted_lines(&imported), sorted_lines(&original));
}

#[test]
fn a_torn_log_is_read_to_its_last_whole_record_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path(), options());
    floats(&db, 0..10);
    // Locked by this process all the time.
    let segment = root.path().join("wal/00000000");
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() - 20]).unwrap();
    let before = fingerprint(root.path());
    let output = ours(&["dump"], root.path());
    assert!(output.status.success());
    assert_eq!(text(&output).lines().count(), 9 * 12);
    assert!(errors(&output).contains("00000000"), "{}", errors(&output));
    assert!(fingerprint(root.path()) == before);
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let block = root.path().join("01M7W64BM1QPW08ND4P2T9TTDT");
    fs::create_dir(&block).unwrap();
    for args in [&["list"][..], &["analyze"], &["dump"]] {
        let output = ours(args, root.path());
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains("meta.json"), "{}", errors(&output));
    }
    fs::remove_dir(&block).unwrap();
    for (args, word) in [
        (&["dump"][..], "neither blocks nor a log"),
        (&["analyze"], "no blocks found"),
        (&["verify"], "no blocks and no log"),
        (&["dump", "--match={a=~\"(\"}"], "--match"),
    ] {
        let output = ours(args, root.path());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(errors(&output).contains(word), "{}", errors(&output));
    }
    for args in [&["list"][..], &["dump"], &["verify"]] {
        let output = ours(args, &root.path().join("absent"));
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(errors(&output).contains("absent"), "{}", errors(&output));
    }
}

// ---------------------------------------------------------------- importing

/// A page with samples over a few blocks, every kind of family, and bounds that get another spelling.
fn page() -> String {
    let mut page = String::from("# HELP m_a A.\n# TYPE m_a counter\n# UNIT m_a a\n");
    for s in 0..900 {
        page.push_str(&format!(
            "m_a_total{{i=\"3\"}} {s} {}.5\n",
            1_700_000_000 + s * 30
        ));
    }
    page.push_str("# TYPE h histogram\n");
    for (i, le) in ["0.00001", "1", "1000000", "1e3", "+Inf"]
        .iter()
        .enumerate()
    {
        page.push_str(&format!("h_bucket{{le=\"{le}\"}} {i} 1700000000\n"));
    }
    page.push_str("h_count 5 1700000000\nh_sum 1.5e-7 1700000000\nh_created 1 1700000000\n");
    page.push_str("# TYPE g gauge\ng{a=\"x\\\"y\\n\"} NaN 1700000000 # {t=\"1\"} 1\n");
    for second in [0, 1, 2] {
        page.push_str(&format!("g{{x=\"\"}} -Inf 1700099{second}00.123\n"));
    }
    page.push_str("# EOF\n");
    page
}

/// The table of blocks without identifiers and sizes (the description's own size differs), and with single
/// blanks.
fn without_names(table: &str) -> Vec<String> {
    let row = |l: &str| -> String {
        let words: Vec<&str> = l.split_whitespace().collect();
        words[1..words.len() - 1].join(" ")
    };
    table.lines().map(row).collect()
}

#[test]
fn imported_blocks_are_those_that_promtool_makes() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let input = root.path().join("page.om");
    fs::write(&input, page()).unwrap();
    let input = input.display().to_string();
    for (i, flags) in [
        &[][..],
        &["-r", "--label=i=9", "--label=z=zone"],
        &["-q"],
        &["--max-block-duration=7h"],
        &["--max-block-duration=3d"],
    ]
    .iter()
    .enumerate()
    {
        let (theirs, mine) = (
            root.path().join(format!("t{i}")),
            root.path().join(format!("o{i}")),
        );
        let args = [
            &["create-blocks-from", "openmetrics"],
            *flags,
            &[input.as_str()],
        ]
        .concat();
        let reference = run_promtool(&promtool, &args, &theirs);
        assert!(reference.status.success(), "{}", errors(&reference));
        let printed = ours_ok(&args, &mine);
        assert_eq!(without_names(&printed), without_names(&text(&reference)));
        assert_eq!(printed.is_empty(), flags.contains(&"-q"));
        let list = |dir: &Path| without_names(&text(&run_promtool(&promtool, &["list"], dir)));
        assert_eq!(list(&mine), list(&theirs), "{flags:?}");
        for dir in [&mine, &theirs] {
            same_as_promtool(&promtool, dir);
            assert_eq!(verify(dir), Vec::<String>::new());
        }
        let dump = |dir: &Path| text(&run_promtool(&promtool, &["dump"], dir));
        assert_lines(&dump(&mine), &dump(&theirs), flags);
    }
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_made() {
    let root = tempfile::tempdir().unwrap();
    let input = root.path().join("page.om");
    let out = root.path().join("out");
    for (page, word) in [
        (
            "a 1 1\na 2\n# EOF\n",
            "expected timestamp for series, got none (line 2,",
        ),
        ("a 1 1\n", "data does not end with # EOF (line 2,"),
        ("a 1 1\n\n# EOF\n", "(line 2,"),
        ("a 1 9\na 2 8\n# EOF\n", "out of order sample"),
    ] {
        fs::write(&input, page).unwrap();
        let args = [
            "create-blocks-from",
            "openmetrics",
            &input.display().to_string(),
        ];
        let output = ours(&args, &out);
        assert_eq!(output.status.code(), Some(1), "{page}");
        let message = errors(&output);
        assert!(
            message.contains(word) && message.contains("page.om"),
            "{message}"
        );
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{page}");
    }
    let usage = ours(
        &["create-blocks-from", "openmetrics", "--label=x", "in"],
        &out,
    );
    assert_eq!(usage.status.code(), Some(2));
}

// ---------------------------------------------------------------- measuring

#[test]
fn the_write_benchmark_writes_what_it_says() {
    let root = tempfile::tempdir().unwrap();
    let out = format!("--out={}", root.path().join("bench").display());
    let file = root.path().join("series.txt");
    fs::write(&file, "a{x=\"1\"} 1\nb 2\nc 3\n").unwrap();
    let args = ["bench", "write", &out, "--metrics=2", "--scrapes=120"];
    let printed = ours_ok(&args, &file);
    for line in [
        ">> start stage=readData",
        ">> completed stage=readData duration=",
        "ingestion completed",
        " > total samples: 240\n > samples/sec: ",
        ">> completed stage=stopStorage duration=",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    let storage = root.path().join("bench/storage");
    assert_eq!(ours_ok(&["dump"], &storage).lines().count(), 240);
    // A second run would measure another thing, and never deletes.
    let again = ours(&args, &file);
    assert_eq!(again.status.code(), Some(1));
    assert!(errors(&again).contains("--out"), "{}", errors(&again));
}

// ---------------------------------------------------------------- verifying

/// The problems that `verify` prints; its exit code must agree.
fn verify(dir: &Path) -> Vec<String> {
    let output = ours(&["verify"], dir);
    let printed = text(&output);
    let problems: Vec<String> = printed
        .lines()
        .take_while(|l| !l.starts_with("checked "))
        .map(str::to_owned)
        .collect();
    let code = i32::from(!problems.is_empty());
    assert_eq!(
        output.status.code(),
        Some(code),
        "{printed}{}",
        errors(&output)
    );
    problems
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    fingerprint(dir)
        .into_keys()
        .filter(|p| p.is_file())
        .collect()
}

#[test]
fn verify_finds_and_names_a_flipped_byte_in_every_kind_of_file() {
    let root = tempfile::tempdir().unwrap();
    let dirs = our_directories(root.path());
    for dir in &dirs {
        assert_eq!(verify(dir), Vec::<String>::new(), "{}", dir.display());
    }
    let everything = &dirs[1];
    let mut kinds = std::collections::BTreeSet::new();
    for path in files_below(everything) {
        let whole = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let kind = match (folder, name.as_str()) {
            (_, "index" | "meta.json" | "tombstones") => name.clone(),
            ("wal" | "chunks_head" | "chunks", _) => folder.to_owned(),
            _ => continue,
        };
        if whole.is_empty() || !kinds.insert(kind.clone()) {
            continue;
        }
        let places: Vec<usize> = if kind == "meta.json" {
            // A digit of the number of samples; not every byte of this file is checked by another.
            let at = whole.windows(10).position(|w| w == b"numSamples").unwrap();
            vec![at + 13, at + 1]
        } else {
            let step = (whole.len() / 12).max(1);
            (0..whole.len())
                .step_by(step)
                .chain([whole.len() - 1])
                .collect()
        };
        for at in places {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let problems = verify(everything);
            let named = path.display().to_string();
            assert!(
                problems.iter().any(|p| p.contains(&named)),
                "byte {at} of {named}: {problems:?}"
            );
        }
        fs::write(&path, &whole).unwrap();
    }
    let all = [
        "chunks",
        "chunks_head",
        "index",
        "meta.json",
        "tombstones",
        "wal",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    assert_eq!(verify(everything), Vec::<String>::new());
}

#[test]
fn verify_finds_missing_files_and_cut_ones() {
    let root = tempfile::tempdir().unwrap();
    let everything = &our_directories(root.path())[1];
    let block = files_below(everything)
        .into_iter()
        .find(|p| p.ends_with("meta.json"))
        .unwrap();
    let block = block.parent().unwrap();
    for name in ["index", "meta.json", "chunks/000001"] {
        let path = block.join(name);
        let whole = fs::read(&path).unwrap();
        let named = path.display().to_string();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(
            verify(everything).iter().any(|p| p.contains(&named)),
            "{named} cut"
        );
        fs::remove_file(&path).unwrap();
        assert!(
            verify(everything).iter().any(|p| p.contains(&named)),
            "{named} missing"
        );
        fs::write(&path, &whole).unwrap();
    }
    // The offset of a problem is where it is: a byte of the second chunk.
    let path = block.join("chunks/000001");
    let mut damaged = fs::read(&path).unwrap();
    // Length (one or two bytes), encoding, data, checksum.
    let first = match damaged[8] {
        len @ ..0x80 => 1 + usize::from(len),
        low => 2 + usize::from(low & 0x7f) + 128 * usize::from(damaged[9]),
    };
    let second = 8 + first + 1 + 4;
    damaged[second + 5] ^= 0x10;
    fs::write(&path, &damaged).unwrap();
    let wanted = format!("{}: offset {second}: ", path.display());
    let problems = verify(everything);
    assert!(
        problems.iter().any(|p| p.starts_with(&wanted)),
        "{problems:?}"
    );
}
