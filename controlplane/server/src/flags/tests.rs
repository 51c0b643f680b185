#![allow(clippy::unwrap_used)]

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
            "--storage.tsdb.allow-overlapping-compaction",
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
