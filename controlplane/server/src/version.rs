//! What the server says it is.
//!
//! Clients (Grafana, Thanos Sidecar) read `version` to decide which requests a Prometheus understands, so it names the
//! Prometheus whose API and semantics are implemented, not this program. Grafana takes a non-empty `features` for
//! Mimir and `application` "Grafana Mimir" likewise; neither is sent.

use serde_json::{Value, json};

/// The Prometheus release whose HTTP API this server answers.
pub const PROMETHEUS_COMPATIBILITY: &str = "3.5.0";

/// `data` of `/api/v1/status/buildinfo`.
pub(crate) fn build_info() -> Value {
    json!({
        "version": PROMETHEUS_COMPATIBILITY,
        "revision": format!("bellwether-{}", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "Bellwether",
        "applicationVersion": env!("CARGO_PKG_VERSION"),
    })
}
