//! From Consul's instances to targets.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};

const PREFIX: &str = "__meta_consul_";
/// Identifiers of checks that stand for maintenance.
const NODE_MAINTENANCE: &str = "_node_maintenance";
const SERVICE_MAINTENANCE: &str = "_service_maintenance:";

fn label(what: &str) -> String {
    format!("{PREFIX}{what}")
}

/// One instance of a service with its node and its checks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Instance {
    node: Node,
    service: Service,
    checks: Option<Vec<Check>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    node: String,
    address: String,
    meta: Option<BTreeMap<String, String>>,
    tagged_addresses: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: i64,
    tags: Option<Vec<String>>,
    meta: Option<BTreeMap<String, String>>,
    namespace: String,
    partition: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    status: String,
}

/// The worst of all checks; maintenance is worse than anything.
fn health(checks: &[Check]) -> &'static str {
    const ORDER: [&str; 4] = ["passing", "warning", "critical", "maintenance"];
    let mut worst = 0;
    for check in checks {
        let maintenance = check.id == NODE_MAINTENANCE || check.id.starts_with(SERVICE_MAINTENANCE);
        let status = if maintenance {
            "maintenance"
        } else {
            check.status.as_str()
        };
        match ORDER.iter().position(|known| *known == status) {
            Some(rank) if maintenance || rank < 3 => worst = worst.max(rank),
            _ => return "",
        }
    }
    ORDER[worst]
}

/// The targets of a service.
pub(super) fn targets(
    service: &str,
    datacenter: &str,
    tag_separator: &str,
    instances: &[Instance],
) -> TargetGroup {
    let mut common = Set::new();
    common
        .set(label("service"), service)
        .set(label("dc"), datacenter);
    TargetGroup {
        source: service.into(),
        targets: instances
            .iter()
            .map(|instance| instance.labels(tag_separator).build())
            .collect(),
        labels: common.build(),
    }
}

impl Instance {
    fn labels(&self, tag_separator: &str) -> Set {
        let Self {
            node,
            service,
            checks,
        } = self;
        // The service may run elsewhere than on the node that registered it.
        let host = if service.address.is_empty() {
            &node.address
        } else {
            &service.address
        };
        let tags = service.tags.as_deref().unwrap_or_default();
        let mut set = Set::new();
        set.set(label("address"), node.address.as_str())
            .set(label("node"), node.node.as_str())
            .set(label("namespace"), service.namespace.as_str())
            .set(label("partition"), service.partition.as_str())
            .set(label("tags"), joined(tags, tag_separator))
            .set(label("service_address"), service.address.as_str())
            .set(label("service_port"), service.port.to_string())
            .set(label("service_id"), service.id.as_str())
            .set(
                label("health"),
                health(checks.as_deref().unwrap_or_default()),
            )
            .set(ADDRESS, host_port(host, service.port));
        let groups = [
            ("metadata_", &node.meta),
            ("service_metadata_", &service.meta),
            ("tagged_address_", &node.tagged_addresses),
        ];
        for (prefix, pairs) in groups {
            set.set_all(&label(prefix), pairs.iter().flatten());
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_counts() {
        let check = |id: &str, status: &str| Check {
            id: id.to_owned(),
            status: status.to_owned(),
        };
        for (checks, want) in [
            (vec![], "passing"),
            (
                vec![check("a", "passing"), check("b", "warning")],
                "warning",
            ),
            (
                vec![check("a", "critical"), check("b", "warning")],
                "critical",
            ),
            (
                vec![
                    check("_node_maintenance", "critical"),
                    check("b", "passing"),
                ],
                "maintenance",
            ),
            (
                vec![check("_service_maintenance:x", "critical")],
                "maintenance",
            ),
            (vec![check("a", "unheard of")], ""),
            (vec![check("a", "maintenance")], ""),
        ] {
            assert_eq!(health(&checks), want, "{checks:?}");
        }
    }
}
