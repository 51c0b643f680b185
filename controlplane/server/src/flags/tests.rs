#![allow(clippy::unwrap_used, clippy::print_stderr)]

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    flags: ServerFlags,
}

fn parse(args: &[&str]) -> Result<ServerSettings, String> {
    let cli =
        Cli::try_parse_from(std::iter::once(&"server").chain(args)).map_err(|e| e.to_string())?;
    cli.flags.settings().map_err(|e| e.to_string())
}

#[test]
fn the_command_is_well_formed() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn defaults_are_those_of_prometheus() {
    let settings = parse(&[]).unwrap();
    let flags = &settings.flags;
    for (name, value) in [
        ("config.file", "prometheus.yml"),
        ("storage.tsdb.path", "data/"),
        ("storage.tsdb.min-block-duration", "2h"),
        ("storage.tsdb.max-block-duration", "1d12h"),
        ("storage.tsdb.retention.time", "0s"),
        ("web.enable-admin-api", "false"),
        ("web.listen-address", "0.0.0.0:9090"),
        ("query.lookback-delta", "5m"),
        ("rules.alert.resend-delay", "1m"),
        ("agent", "false"),
    ] {
        assert_eq!(flags.get(name).map(String::as_str), Some(value), "{name}");
    }
    // Thanos cannot parse an empty retention: the key is left out.
    assert!(!flags.contains_key("storage.tsdb.retention"));
}

#[test]
fn bad_values_name_the_flag() {
    for (args, part) in [
        (
            &[
                "--storage.agent.path=x",
                "--storage.agent.retention.max-time=1h",
            ][..],
            r#"The following flag(s) can only be used in agent mode: ["--storage.agent.path" "--storage.agent.retention.max-time"]"#,
        ),
        (
            &["--agent", "--query.timeout=2m"],
            r#"The following flag(s) can not be used in agent mode: ["--query.timeout"]"#,
        ),
        (
            &["--agent", "--storage.agent.wal-segment-size=1MB"],
            "--storage.agent.wal-segment-size",
        ),
        (
            &["--agent", "--storage.agent.checkpoint-batch-size=0"],
            "must be greater than 0",
        ),
        (
            &["--no-storage.tsdb.allow-overlapping-compaction"],
            "--storage.tsdb.allow-overlapping-compaction is not supported: overlapping blocks are always merged",
        ),
        (&["--query.timeout=0s"], "--query.timeout"),
        (&["--query.timeout=5x"], "--query.timeout"),
        (
            &["--storage.tsdb.wal-segment-size=1MB"],
            "between 10MB and 256MB",
        ),
        (
            &["--storage.tsdb.wal-sync=sometimes"],
            "use segment, commit or a duration such as 1s",
        ),
        (
            &["--storage.tsdb.retention.size=12"],
            "--storage.tsdb.retention.size",
        ),
        (
            &["--storage.tsdb.max-block-duration=1h"],
            "--storage.tsdb.max-block-duration",
        ),
        (&["--web.external-url=prometheus"], "--web.external-url"),
        (&["--log.level=loud"], "--log.level"),
        (&["--no-such-flag"], "--no-such-flag"),
    ] {
        let error = parse(args).map(|_| ()).unwrap_err();
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

#[test]
fn switches_can_be_negated_and_the_last_wins() {
    assert!(
        parse(&["--web.enable-lifecycle"])
            .unwrap()
            .web
            .enable_lifecycle
    );
    assert!(
        !parse(&["--web.enable-lifecycle", "--no-web.enable-lifecycle"])
            .unwrap()
            .web
            .enable_lifecycle
    );
    assert!(
        parse(&["--no-web.enable-lifecycle", "--web.enable-lifecycle"])
            .unwrap()
            .web
            .enable_lifecycle
    );
    let settings = parse(&["--no-storage.tsdb.wal-compression"]).unwrap();
    assert_eq!(
        settings.storage.wal_compression,
        WalCompressionSetting::None
    );
}

#[test]
fn defaults_given_explicitly_and_harmless_flags_are_accepted() {
    parse(&[
        "--storage.remote.read-concurrent-limit=10",
        "--no-agent",
        "--web.console.templates=/etc/prometheus/consoles",
        "--web.console.libraries=/usr/share/prometheus/console_libraries",
        "--no-auto-gomemlimit",
    ])
    .unwrap();
}

#[test]
fn the_prefix_comes_from_the_external_url() {
    assert_eq!(
        parse(&["--web.external-url=http://x.org/prom/"])
            .unwrap()
            .web
            .route_prefix,
        "/prom"
    );
    assert_eq!(
        parse(&[
            "--web.external-url=http://x.org/prom",
            "--web.route-prefix=/"
        ])
        .unwrap()
        .web
        .route_prefix,
        "/"
    );
    assert_eq!(parse(&[]).unwrap().web.route_prefix, "/");
}

#[test]
fn features_come_in_lists() {
    let settings = parse(&[
        "--enable-feature=exemplar-storage,promql-experimental-functions",
        "--enable-feature=nonsense",
    ])
    .unwrap();
    assert!(settings.features.has(Feature::ExemplarStorage));
    assert!(settings.features.has(Feature::PromqlExperimentalFunctions));
    assert!(!settings.features.has(Feature::ExtraScrapeMetrics));
    let both = parse(&["--enable-feature=otlp-deltatocumulative,otlp-native-delta-ingestion"]);
    assert_eq!(
        both.unwrap_err(),
        "cannot enable otlp-deltatocumulative and otlp-native-delta-ingestion features at the same time"
    );
}

#[test]
fn automatic_reloads_come_by_flag_or_feature() {
    let interval = |args: &[&str]| parse(args).unwrap().auto_reload;
    assert_eq!(interval(&[]), None);
    let expected = Some(Duration::from_secs(30));
    assert_eq!(interval(&["--config.auto-reload"]), expected);
    assert_eq!(interval(&["--enable-feature=auto-reload-config"]), expected);
    let args = ["--config.auto-reload", "--config.auto-reload-interval=5s"];
    assert_eq!(interval(&args), Some(Duration::from_secs(5)));
}

/// Names of 3.14 that the help of an older or differently built reference does not have.
const NEWER: &[(&str, &str)] = &[
    ("config.auto-reload", "false"),
    ("auto-gomemlimit.refresh-interval", "0s"),
    ("web.enable-otlp-receiver", "false"),
    ("web.search.max-limit", "10000"),
    ("storage.tsdb.min-block-duration", "2h"),
    ("storage.tsdb.max-block-chunk-segment-size", "0B"),
    ("storage.tsdb.allow-overlapping-compaction", "true"),
    ("storage.tsdb.wal-compression", "true"),
    ("storage.tsdb.wal-compression-type", "snappy"),
    ("storage.tsdb.samples-per-chunk", "120"),
    ("storage.tsdb.delayed-compaction.max-percent", "10"),
    ("storage.tsdb.delay-compact-file.path", ""),
    ("storage.tsdb.block-reload-interval", "1m"),
    ("storage.agent.wal-compression-type", "snappy"),
    ("storage.agent.checkpoint-from-in-memory-series", "false"),
    ("storage.agent.checkpoint-batch-size", "1000"),
    ("scrape.adjust-timestamps", "true"),
    ("scrape.timestamp-tolerance", "2ms"),
    ("scrape.discovery-reload-interval", "5s"),
];

/// A flag of Prometheus' help: name and default, `None` for a switch and for one without a default.
fn flags_of(help: &str) -> Vec<(String, Option<String>)> {
    let lines = help.lines().filter_map(|line| {
        // Lines of descriptions, which are further to the right, may begin with the name of a flag.
        let flag = line.strip_prefix("      --")?;
        flag.split_whitespace().next()
    });
    let flags = lines.map(|word| {
        let (name, default) = match word.split_once('=') {
            // Capitals and angles stand for what there is no default of.
            Some((name, default)) if !default.starts_with('<') && !is_placeholder(default) => {
                (name, Some(default))
            }
            Some((name, _)) => (name, None),
            None => (word, None),
        };
        let name = name.trim_start_matches("[no-]");
        let default = default.map(|d| d.trim_matches('"').trim_end_matches("...").to_owned());
        (name.to_owned(), default)
    });
    flags.filter(|(name, _)| name != "help-long").collect()
}

fn is_placeholder(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || ".-".contains(c))
}

/// Another value of the same kind.
fn other_value(default: &str) -> String {
    match default {
        "snappy" => "zstd".to_owned(),
        "info" => "debug".to_owned(),
        "logfmt" => "json".to_owned(),
        "prometheus.WriteRequest" => "io.prometheus.write.v2.Request".to_owned(),
        "0B" => "64MB".to_owned(),
        "0.0.0.0:9090" => "127.0.0.1:9999".to_owned(),
        text if duration::parse(text).is_ok_and(|d| !d.is_zero()) || text == "0s" => {
            "3h".to_owned()
        }
        text if text.parse::<f64>().is_ok() => "7".to_owned(),
        _ => "other".to_owned(),
    }
}

/// Every flag of the reference works (its value is in force and shown), or is ignored or refused with a reason.
#[test]
fn every_flag_of_the_reference_is_known() {
    let mut flags: Vec<(String, Option<String>)> = NEWER
        .iter()
        .map(|(name, default)| ((*name).to_owned(), Some((*default).to_owned())))
        .collect();
    match std::env::var_os("BELLWETHER_REFERENCE_BIN") {
        Some(bin) => {
            let program = std::path::Path::new(&bin).join("prometheus");
            let output = std::process::Command::new(program)
                .arg("--help")
                .output()
                .unwrap();
            let found = flags_of(&String::from_utf8_lossy(&output.stdout));
            assert!(found.len() > 40, "{found:?}");
            flags.extend(found);
        }
        None => eprintln!("SKIPPED: no help of a reference, BELLWETHER_REFERENCE_BIN is not set"),
    }
    let mut wrong = Vec::new();
    for (name, default) in &flags {
        let is_switch = matches!(default.as_deref(), None | Some("true" | "false"));
        let (same, other) = match default {
            _ if name == "version" => continue,
            Some(text) if !is_switch => (
                format!("--{name}={text}"),
                format!("--{name}={}", other_value(text)),
            ),
            Some(text) if text == "true" => (format!("--{name}"), format!("--no-{name}")),
            Some(_) => (format!("--no-{name}"), format!("--{name}")),
            // Without a default the help says `=<url>`, `=<path>`.
            None if name.contains("url") => (String::new(), format!("--{name}=http://x/y")),
            None if name.contains("retention.size") => (String::new(), format!("--{name}=5GB")),
            None if name.contains("time") || name.contains("deadline") => {
                (String::new(), format!("--{name}=5d"))
            }
            None if name.contains("prefix")
                || name.contains("assets")
                || name == "enable-feature" =>
            {
                (String::new(), format!("--{name}=x"))
            }
            None => (format!("--no-{name}"), format!("--{name}")),
        };
        let mut args = vec![same.as_str()];
        args.retain(|arg| !arg.is_empty());
        let is_refused =
            |error: &str| error.contains(name.as_str()) && error.contains("is not supported: ");
        // Distributions have defaults of their own.
        let agent = name.starts_with("storage.agent.").then_some("--agent");
        args.extend(agent);
        match parse(&args) {
            Err(error) if !is_refused(&error) => wrong.push(format!("{same}: {error}")),
            _ => {}
        }
        let shown = other.split_once('=').map_or_else(
            || (!other.starts_with("--no-")).to_string(),
            |(_, value)| value.to_owned(),
        );
        let args: Vec<&str> = agent.into_iter().chain([other.as_str()]).collect();
        match parse(&args) {
            Ok(settings) => {
                let value = settings.flags.get(name).cloned().unwrap_or_default();
                let trimmed = value.trim_start_matches('/');
                if value != shown && trimmed != shown {
                    wrong.push(format!("{other}: shown as {value:?}"));
                }
            }
            Err(error) if is_refused(&error) => {}
            Err(error) => wrong.push(format!("{other}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_honoured_has_its_reason() {
    for (flag, reason) in table::reasons() {
        assert!(reason.len() > 10, "{flag}: {reason}");
        assert!(!reason.ends_with('.'), "{flag}: {reason}");
    }
}

#[test]
fn agent_mode_has_settings_of_its_own() {
    let settings = parse(&["--agent"]).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("data-agent/"));
    let agent = settings.agent.unwrap();
    assert_eq!(agent.min_wal_time, Duration::from_secs(300));
    assert_eq!(agent.max_wal_time, Duration::from_secs(4 * 3600));
    assert!(agent.lock);
    let settings = parse(&[
        "--enable-feature=agent",
        "--storage.agent.path=x",
        "--storage.agent.no-lockfile",
        "--storage.agent.retention.max-time=1m",
        "--storage.agent.wal-truncate-frequency=30s",
        "--storage.remote.flush-deadline=3s",
    ])
    .unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("x"));
    assert_eq!(settings.remote_flush_deadline, Duration::from_secs(3));
    let agent = settings.agent.unwrap();
    assert_eq!(agent.max_wal_time, Duration::from_secs(300));
    assert!(!agent.lock);
    assert!(parse(&[]).unwrap().agent.is_none());
}
