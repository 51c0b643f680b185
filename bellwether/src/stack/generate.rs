//! Configurations that follow from the stack: the server's scrape configuration and a collector's variables.

use std::fmt::Write;

use bellwether_model::duration;

use super::access::ServerAccess;
use super::{Plane, Stack};

/// The rules, beside the `prometheus.yml` that names them.
pub(crate) const RULES_FILE: &str = "rules.yml";

/// The `prometheus.yml` that scrapes everything in the stack. Valid for the official server too.
pub(crate) fn prometheus_yml(stack: &Stack, access: &ServerAccess) -> String {
    let host = stack.reachable_host();
    let interval = duration::format(stack.scrape_interval);
    let mut out = format!(
        "global:\n  scrape_interval: {interval}\n  scrape_timeout: {timeout}\n  evaluation_interval: {interval}\n\n\
         # Recorded ratios and quantiles, and the alerts.\nrule_files: [{RULES_FILE}]\n\n\
         # Where alerts go. Without an entry they are shown by the API and the dashboard only.\n\
         # alerting:\n#   alertmanagers:\n#     - static_configs:\n#         - targets: [\"127.0.0.1:9093\"]\n\n\
         scrape_configs:\n",
        timeout = duration::format(
            stack
                .scrape_interval
                .min(std::time::Duration::from_secs(10))
        ),
    );
    out.push_str(
        "  # The applications' metrics, as each plane's collector exposes them. The target labels are the\n  \
         # plane's identity on `up`; honor_labels keeps what the applications say about themselves.\n  \
         - job_name: data-planes\n    honor_labels: true\n    static_configs:\n",
    );
    for plane in &stack.planes {
        push_target(&mut out, &format!("{host}:{}", plane.exporter_port), plane);
    }
    out.push_str(
        "\n  # The collectors' own telemetry.\n  - job_name: collectors\n    static_configs:\n",
    );
    for plane in &stack.planes {
        push_target(&mut out, &format!("{host}:{}", plane.telemetry_port), plane);
    }
    let _ = write!(
        out,
        "\n  # The pull model: a service that is scraped directly, without a collector.\n  - job_name: orders\n    \
         static_configs:\n      - targets: [\"{host}:{}\"]\n\n  \
         # The metrics server itself.\n  - job_name: prometheus\n{}    static_configs:\n      - targets: [\"{host}:{}\"]\n",
        stack.orders_port, access.scrape_keys, stack.server_port,
    );
    out
}

fn push_target(out: &mut String, target: &str, plane: &Plane) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let _ = writeln!(
        out,
        "      - targets: [{}]\n        labels:\n          environment: {}\n          data_plane_id: {}",
        quoted(target),
        quoted(&plane.environment),
        quoted(&plane.data_plane_id),
    );
}

/// The variables of the shipped collector configuration, for one plane.
pub(crate) fn collector_env(stack: &Stack, plane: &Plane) -> Vec<(&'static str, String)> {
    let address = |port| stack.address(port).to_string();
    vec![
        ("BELLWETHER_OTLP_GRPC", address(plane.otlp_grpc_port)),
        ("BELLWETHER_OTLP_HTTP", address(plane.otlp_http_port)),
        ("BELLWETHER_EXPORTER", address(plane.exporter_port)),
        ("BELLWETHER_HEALTH", address(plane.health_port)),
        ("BELLWETHER_TELEMETRY_HOST", stack.listen.to_string()),
        (
            "BELLWETHER_TELEMETRY_PORT",
            plane.telemetry_port.to_string(),
        ),
        ("BELLWETHER_ENVIRONMENT", plane.environment.clone()),
        ("BELLWETHER_DATA_PLANE_ID", plane.data_plane_id.clone()),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stack::resolve::Overrides;

    /// One source: the shipped file differs by its heading only.
    #[test]
    fn the_shipped_configuration_is_the_generated_one() {
        let stack = Stack::load(None, &Overrides::default()).unwrap();
        let shipped = crate::stack::DEFAULT_PROMETHEUS;
        let body: String = shipped
            .lines()
            .skip_while(|l| l.starts_with('#'))
            .map(|l| format!("{l}\n"))
            .collect();
        let generated = prometheus_yml(&stack, &ServerAccess::plain(&stack));
        assert_eq!(body.trim(), generated.trim());
    }

    #[test]
    fn every_plane_is_a_target_with_its_identity() {
        let stack = Stack::load(None, &Overrides::default()).unwrap();
        let text = prometheus_yml(&stack, &ServerAccess::plain(&stack));
        for part in [
            "\"127.0.0.1:8889\"",
            "\"127.0.0.1:8893\"",
            "environment: \"qa\"",
            "data_plane_id: \"dp-dev-01\"",
            "honor_labels: true",
            "\"127.0.0.1:8000\"",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
