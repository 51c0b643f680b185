//! Foreign programs that tests speak to. Without one a test skips loudly; where BELLWETHER_REQUIRE_PEERS is
//! set, as in CI, it fails instead.

use std::path::PathBuf;
use std::process::Command;

/// The path of a reference program, from BELLWETHER_REFERENCE_BIN, the usual cache, or PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .map(PathBuf::from)
        .into_iter()
        .chain(
            std::env::var_os("HOME")
                .map(|h| PathBuf::from(h).join(".cache/bellwether-reference/usr/bin")),
        )
        .chain(
            std::env::var_os("PATH")
                .into_iter()
                .flat_map(|p| std::env::split_paths(&p).collect::<Vec<_>>()),
        );
    let found = dirs.map(|d| d.join(name)).find(|p| p.is_file());
    found.or_else(|| missing(name))
}

/// A Python that has the OpenTelemetry SDK.
pub fn python() -> Option<PathBuf> {
    let candidates = std::env::var_os("BELLWETHER_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain(
            std::env::var_os("HOME")
                .map(|h| PathBuf::from(h).join(".cache/bellwether-python/bin/python")),
        )
        .chain([PathBuf::from("python3")]);
    let has_sdk = |python: &PathBuf| {
        Command::new(python)
            .args(["-c", "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http"])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    candidates
        .into_iter()
        .find(has_sdk)
        .or_else(|| missing("Python with opentelemetry-sdk and opentelemetry-exporter-otlp"))
}

/// Debian's or any other Chromium.
pub fn chromium() -> Option<PathBuf> {
    [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|p| p.is_file())
    .or_else(|| missing("chromium"))
}

/// A part of the conformance data, which lies beside a development checkout.
pub fn conformance(part: &str) -> Option<PathBuf> {
    let path = super::repository().join("../shared/conformance").join(part);
    if path.exists() {
        return Some(path);
    }
    missing(&format!("conformance data {part}"))
}

fn missing<T>(name: &str) -> Option<T> {
    assert!(
        std::env::var_os("BELLWETHER_REQUIRE_PEERS").is_none(),
        "{name} is required here and was not found"
    );
    eprintln!("SKIPPED: {name} was not found; .ci/run provides it");
    None
}
