//! Prometheus' own configuration files, as a user loads them: what it refuses is refused for the same cause, what it
//! accepts is accepted.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use bellwether_server::ConfigSource;

/// Words of causes that the table does not have for 3.14: the server that it was made with is older, was built without
/// some discoveries, or names Go's types.
const CAUSES: &[(&str, &str)] = &[
    (
        "azure_authentication_method",
        "unknown authentication_type \"invalid\"",
    ),
    (
        "azure_bearertoken_basicauth",
        "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
    ),
    ("azure_client_id_missing", "client_id"),
    ("azure_client_secret_missing", "client_secret"),
    ("azure_subscription_id_missing", "subscription_id"),
    ("azure_tenant_id_missing", "tenant_id"),
    ("kubernetes_namespace_discovery", "foo"),
    (
        "kubernetes_selectors_incorrect_selector",
        "invalid selector: 'metadata.status-Running'",
    ),
    // 3.14 also lets it select by node.
    ("kubernetes_selectors_pod", "pod role supports only pod"),
    ("labelmap.bad", "base64"),
    (
        "metric_name_validation_scheme",
        "unrecognized ValidationScheme: \"invalid_scheme\"",
    ),
    ("oci_authentication_method", "unknown auth"),
    ("openstack_availability", "availability"),
    ("openstack_role", "role"),
    ("outscale_no_region", "region"),
    ("outscale_no_secret", "secret_key"),
    (
        "outscale_two_secrets",
        "at most one of secret_key & secret_key_file must be configured",
    ),
    ("regex.bad", "error parsing regexp: missing closing )"),
    (
        "remote_write_authorization_header",
        "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter",
    ),
    (
        "remote_write_queue_capacity_zero",
        "remote write queue capacity must be positive",
    ),
    (
        "remote_write_queue_max_backoff_less_than_min",
        "remote write queue max_backoff must not be less than min_backoff",
    ),
    (
        "remote_write_queue_max_samples_per_send_zero",
        "remote write queue max_samples_per_send must be positive",
    ),
    (
        "remote_write_queue_max_shards_zero",
        "remote write queue max_shards must be positive",
    ),
    (
        "remote_write_queue_min_shards_greater_than_max",
        "remote write queue min_shards must not be greater than max_shards",
    ),
    (
        "remote_write_queue_min_shards_zero",
        "remote write queue min_shards must be positive",
    ),
    // 3.5 says "unknown remote write".
    (
        "remote_write_wrong_msg",
        "invalid protobuf_message value: unknown type for remote write protobuf message io.prometheus.writet.v2.Request, supported: ",
    ),
    (
        "scrape_config_files_double_import",
        "found multiple scrape configs with job name \"prometheus\", first found in",
    ),
    (
        "scrape_config_files_duplicate",
        "found multiple scrape configs with job name \"prometheus\", first found in",
    ),
    (
        "scrape_config_files_fallback_scrape_protocol2",
        "fallback_scrape_protocol",
    ),
    (
        "scrape_config_files_global.bad",
        "scrape timeout greater than scrape interval for scrape config with job name \"prometheus\"",
    ),
    (
        "scrape_config_files_global_duplicate",
        "found multiple scrape configs with job name \"prometheus\", first found in",
    ),
    (
        "section_key_dup",
        "the key `scrape_configs` stands here twice",
    ),
    ("stackit_endpoint", "endpoint"),
    ("static_config.bad", "targets"),
    (
        "tsdb_chunk_encoding_floats",
        "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got ",
    ),
    (
        "tsdb_retention_percentage.bad",
        "'storage.tsdb.retention.percentage' must be in the range [0, 100], got 101",
    ),
    (
        "tsdb_retention_percentage_negative",
        "'storage.tsdb.retention.percentage' must be in the range [0, 100], got -1",
    ),
    (
        "tsdb_retention_size",
        "'storage.tsdb.retention.size' must be greater than or equal to 0, got -1GB",
    ),
    (
        "tsdb_retention_time",
        "not a valid duration string: \"-1h\"",
    ),
    ("unknown_attr", "consult_sd_configs"),
    ("unknown_global_attr", "nonexistent_field"),
];

struct Fixture {
    path: PathBuf,
    name: String,
    /// What 3.14 does.
    wanted: String,
    /// The words of its cause, where it refuses.
    cause: String,
}

fn fixtures() -> Vec<Fixture> {
    let dir = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/config"
    ));
    let Ok(table) = std::fs::read_to_string(dir.join("outcomes.tsv")) else {
        eprintln!("SKIPPED: no conformance data at {}", dir.display());
        return Vec::new();
    };
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        let (name, message) = (columns[0], columns[4]);
        let listed = CAUSES.iter().find(|(file, _)| name.starts_with(file));
        let cause = listed.map_or_else(
            // Of several mistakes the first one counts.
            || {
                message
                    .split_once(".yml: ")
                    .map_or("", |(_, m)| m)
                    .split(" | ")
                    .next()
                    .unwrap()
            },
            |(_, words)| words,
        );
        Fixture {
            path: dir.join(name),
            name: name.to_owned(),
            wanted: columns[1].to_owned(),
            cause: cause.to_owned(),
        }
    })
    .collect()
}

/// What is wrong with the outcome of loading, if anything.
fn judge(fixture: &Fixture) -> Option<String> {
    let source = ConfigSource::File(fixture.path.clone());
    let refused = |result: Result<_, String>| match result {
        Ok(()) => Some("accepted".to_owned()),
        Err(error) if error.contains(&fixture.cause) && !fixture.cause.is_empty() => None,
        Err(error) => Some(format!("{error}\n    wanted: {}", fixture.cause)),
    };
    let load = source.load().map(|_| ()).map_err(|e| e.to_string());
    match fixture.wanted.as_str() {
        "fail" => refused(load),
        "fail when the scrape_config_files are read" => match source.load_alone() {
            Ok(_) => refused(load),
            Err(error) => Some(format!("the main file alone: {error}")),
        },
        _ => load.err(),
    }
}

#[test]
fn every_file_of_prometheus_has_its_outcome() {
    let fixtures = fixtures();
    let wrong: Vec<String> = fixtures
        .iter()
        .filter(|fixture| fixture.name.ends_with(".yml"))
        .filter_map(|fixture| judge(fixture).map(|what| format!("{}: {what}", fixture.name)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What is shown can be read again and says the same. Secrets are hidden, so that only their places can be compared.
#[test]
fn what_is_shown_reads_back() {
    // Dollar signs are expanded at each reading, and Prometheus does not write a false where true is the default.
    let known = [
        "external_labels.good.yml",
        "otlp_label_underscore_sanitization_disabled.good.yml",
    ];
    let is_good = |f: &Fixture| f.wanted.starts_with("ok") && !known.contains(&f.name.as_str());
    let good = fixtures().into_iter().filter(is_good);
    let mut wrong = Vec::new();
    for fixture in good.filter(|f| f.name.ends_with(".yml")) {
        let folder = fixture.path.parent().unwrap();
        let Ok(first) = ConfigSource::File(fixture.path.clone()).load_alone() else {
            continue;
        };
        let yaml = first.to_yaml();
        // Scaleway's keys have a form, which hidden ones do not have.
        let readable = yaml.replace(
            "secret_key: <secret>",
            "secret_key: 11111111-1111-1111-1111-111111111111",
        );
        match bellwether_server::Config::parse_alone(&readable, &fixture.name, folder) {
            Ok(second) if second.to_yaml() == yaml => {}
            Ok(second) => wrong.push(format!("{}:\n{yaml}\n{}", fixture.name, second.to_yaml())),
            Err(error) => wrong.push(format!("{error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
