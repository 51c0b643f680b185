//! `role: ingress`.

use k8s_openapi::api::networking::v1::{Ingress, IngressRule};

use super::meta::{label, namespace, set_object, set_some};
use super::role::RoleObject;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::Set;

impl RoleObject for Ingress {
    const ROLE: KubernetesRole = KubernetesRole::Ingress;
    const SOURCE: &'static str = "ingress";

    fn references(&self) -> Vec<Reference> {
        vec![Reference::Namespace(namespace(&self.metadata).to_owned())]
    }

    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)> {
        let own = namespace(&self.metadata);
        let spec = self.spec.as_ref();
        let mut common = Set::new();
        common.set(label("namespace"), own);
        let class = spec.and_then(|s| s.ingress_class_name.as_ref());
        set_some(&mut common, "ingress_class_name", class);
        set_object(&mut common, &self.metadata, KubernetesRole::Ingress);
        world.set_namespace(&mut common, own);
        let tls = spec.and_then(|s| s.tls.as_ref()).into_iter().flatten();
        let tls_hosts: Vec<&String> = tls.flat_map(|tls| tls.hosts.iter().flatten()).collect();
        let rules = spec.and_then(|s| s.rules.as_ref());
        let mut targets = Vec::new();
        for rule in rules.into_iter().flatten() {
            let host = rule.host.as_deref().unwrap_or_default();
            let encrypted = tls_hosts.iter().any(|pattern| host_matches(pattern, host));
            for path in paths(rule) {
                let mut target = Set::new();
                target
                    .set(ADDRESS, host)
                    .set(
                        label("ingress_scheme"),
                        if encrypted { "https" } else { "http" },
                    )
                    .set(label("ingress_host"), host)
                    .set(label("ingress_path"), path);
                targets.push(target);
            }
        }
        Some((common, targets))
    }
}

/// The paths of a rule; a rule without any is for all paths.
fn paths(rule: &IngressRule) -> Vec<String> {
    let Some(http) = &rule.http else {
        return vec!["/".to_owned()];
    };
    let path = |path: &Option<String>| path.clone().filter(|p| !p.is_empty());
    http.paths
        .iter()
        .map(|p| path(&p.path).unwrap_or_else(|| "/".to_owned()))
        .collect()
}

/// Equal, or `*.` in the pattern stands for the first part of the name.
fn host_matches(pattern: &str, host: &str) -> bool {
    let rest = |text: &str| text.split_once('.').map(|(_, rest)| rest.to_owned());
    pattern == host
        || (pattern.starts_with("*.") && rest(pattern) == rest(host))
        || (pattern == "*" && !host.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_part() {
        for (pattern, host, want) in [
            ("a.b", "a.b", true),
            ("*.b.c", "a.b.c", true),
            ("*.b.c", "x.a.b.c", false),
            ("*.b.c", "b.c", false),
            ("a.*.c", "a.b.c", false),
        ] {
            assert_eq!(host_matches(pattern, host), want, "{pattern} {host}");
        }
    }
}
