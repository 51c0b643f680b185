#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use super::*;

fn write(yaml: &str) -> Result<WriteSettings, String> {
    let config: RemoteWriteConfig = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    config.resolve(Path::new("/etc")).map_err(|e| e.to_string())
}

fn read(yaml: &str) -> Result<ReadSettings, String> {
    let config: RemoteReadConfig = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    config.resolve(Path::new("/etc")).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_those_of_prometheus() {
    let settings = write("url: http://user:pw@h:9/w?x=1\n").unwrap();
    assert_eq!(settings.endpoint, "http://user:xxxxx@h:9/w?x=1");
    assert_eq!(settings.name.len(), 6);
    assert_eq!((settings.min_shards, settings.max_shards), (1, 50));
    assert_eq!(
        (settings.capacity, settings.max_samples_per_send),
        (10_000, 2_000)
    );
    assert_eq!(settings.timeout, Duration::from_secs(30));
    assert_eq!(settings.batch_send_deadline, Duration::from_secs(5));
    assert_eq!(
        settings.backoff,
        (Duration::from_millis(30), Duration::from_secs(5))
    );
    assert_eq!(settings.metadata, Some((Duration::from_secs(60), 2_000)));
    assert!(!settings.client.enable_http2 && settings.client.follow_redirects);
    let settings = read("url: http://h/r\n").unwrap();
    assert_eq!(settings.timeout, Duration::from_secs(60));
    assert!(settings.filter_external_labels && !settings.read_recent);
    assert!(settings.client.enable_http2);
}

#[test]
fn mistakes_are_told_in_prometheus_words() {
    for (yaml, expected) in [
        ("name: x", "url for remote_write is empty"),
        ("url: ':x'", "url \":x\": missing protocol scheme"),
        (
            "{url: 'http://h', headers: {Authorization: x}}",
            "authorization header must be changed via the basic_auth",
        ),
        (
            "{url: 'http://h', headers: {X-Prometheus-Remote-Write-Version: x}}",
            "X-Prometheus-Remote-Write-Version is a reserved header. It must not be changed",
        ),
        (
            "{url: 'http://h', protobuf_message: v3}",
            "invalid protobuf_message value: unknown type for remote write protobuf message v3, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
        ),
        (
            "{url: 'http://h', queue_config: {capacity: 0}}",
            "remote write queue capacity must be positive",
        ),
        (
            "{url: 'http://h', queue_config: {min_shards: 3, max_shards: 2}}",
            "remote write queue min_shards must not be greater than max_shards",
        ),
        (
            "{url: 'http://h', queue_config: {max_backoff: 1ms}}",
            "remote write queue max_backoff must not be less than min_backoff",
        ),
        (
            "{url: 'http://h', write_relabel_configs: [null]}",
            "empty or null relabeling rule in remote write config",
        ),
        (
            "{url: 'http://h', write_relabel_configs: [{action: replace}]}",
            "requires 'target_label' value",
        ),
        (
            "{url: 'http://h', basic_auth: {username: u}, sigv4: {}}",
            "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. Currently configured: [basic_auth sigv4]",
        ),
        (
            "{url: 'http://h', azuread: {cloud: c}}",
            "must provide a cloud in the Azure AD config",
        ),
        (
            "{url: 'http://h', google_iam: {}}",
            "google_iam is not part of this build",
        ),
        (
            "{url: 'http://h', remote_timeot: 1s}",
            "did you mean \"remote_timeout\"?",
        ),
        (
            "{url: 'http://h', basic_auth: {usernam: u}}",
            "did you mean \"username\"?",
        ),
    ] {
        let error = write(yaml).expect_err(yaml);
        assert!(error.contains(expected), "{yaml}: {error}");
    }
    assert!(
        read("name: x")
            .unwrap_err()
            .contains("url for remote_read is empty")
    );
}

#[test]
fn secrets_change_no_hash_and_are_not_shown() {
    let of = |password: &str| {
        let yaml =
            format!("{{url: 'http://h/w', basic_auth: {{username: u, password: {password}}}}}");
        let config: RemoteWriteConfig = serde_saphyr::from_str(&yaml).unwrap();
        let shown = serde_json::to_string(&config).unwrap();
        assert!(
            !shown.contains(password) && shown.contains("<secret>"),
            "{shown}"
        );
        config.resolve(Path::new(".")).unwrap().hash
    };
    assert_eq!(of("hunter1"), of("hunter2"));
    assert_ne!(
        write("url: http://h/a").unwrap().hash,
        write("url: http://h/b").unwrap().hash
    );
}

#[test]
fn version_2_has_no_metadata_of_its_own() {
    let yaml = "{url: 'http://h', protobuf_message: io.prometheus.write.v2.Request}";
    let settings = write(yaml).unwrap();
    assert_eq!((settings.message, settings.metadata), (Message::V2, None));
}

/// A key without a value is zero.
#[test]
fn keys_may_be_without_values() {
    let settings = write(
        "url: http://h/w\nname:\nheaders:\nmetadata_config:\nwrite_relabel_configs:\ntls_config:\n",
    );
    assert_eq!(settings.unwrap().metadata, None);
    assert!(write("url: http://h/w\nqueue_config:\n").is_err());
    assert!(write("url: ''").unwrap().address.is_err());
    assert!(read("url: http://h/r\nname:\nheaders:\nrequired_matchers:\n").is_ok());
}

/// As Prometheus: such an entry is taken, and its requests fail.
#[test]
fn a_text_that_is_no_address_is_told_when_it_is_used() {
    for (url, expected) in [
        (
            "localhost:9090",
            "localhost:9090: a URL must begin with http:// or https://",
        ),
        ("ftp://h/w", "must begin with http:// or https://"),
        ("h/w", "h/w: "),
    ] {
        let error = write(&format!("url: {url}")).unwrap().address.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
