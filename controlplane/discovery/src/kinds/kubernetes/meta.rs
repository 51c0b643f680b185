//! Labels that come from objects' metadata.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::config::KubernetesRole;
use crate::labels::{Set, sanitize};

pub(super) const PREFIX: &str = "__meta_kubernetes_";

/// `__meta_kubernetes_` and the rest.
pub(super) fn label(rest: &str) -> String {
    format!("{PREFIX}{rest}")
}

/// Sets a label where there is a value.
pub(super) fn set_some(set: &mut Set, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        set.set(label(name), value.as_str());
    }
}

/// An object's labels and annotations; `resource` is `pod` and the like.
pub(super) fn set_labels_and_annotations(set: &mut Set, meta: &ObjectMeta, resource: &str) {
    for (kind, pairs) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
        for (name, value) in pairs.iter().flatten() {
            let name = sanitize(name);
            set.set(format!("{PREFIX}{resource}_{kind}_{name}"), value.as_str())
                .set(format!("{PREFIX}{resource}_{kind}present_{name}"), "true");
        }
    }
}

/// An object's name, labels and annotations.
pub(super) fn set_object(set: &mut Set, meta: &ObjectMeta, role: KubernetesRole) {
    let resource = role.as_str();
    let name = meta.name.as_deref().unwrap_or_default();
    set.set(format!("{PREFIX}{resource}_name"), name);
    set_labels_and_annotations(set, meta, resource);
}

/// Name in the store: `namespace/name`, or the name alone for what is in no namespace.
pub(super) fn key(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    match meta.namespace.as_deref() {
        None | Some("") => name.to_owned(),
        Some(namespace) => namespaced(namespace, name),
    }
}

pub(super) fn namespaced(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

pub(super) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The owner that controls an object.
pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = meta.owner_references.iter().flatten();
    owners.into_iter().find(|o| o.controller == Some(true))
}
