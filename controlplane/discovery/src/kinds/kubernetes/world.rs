//! Objects that other objects' targets take labels from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, ObjectReference, Pod, Service};

use super::meta::{namespaced, set_labels_and_annotations, set_object};
use crate::config::{AttachMetadata, KubernetesRole};
use crate::labels::Set;

/// Objects by their keys.
pub(super) type Store<T> = BTreeMap<String, T>;

/// Everything that is known besides the objects of the role itself.
#[derive(Default)]
pub(super) struct World {
    pub(super) attach: AttachMetadata,
    pub(super) pods: Store<Pod>,
    pub(super) services: Store<Service>,
    pub(super) nodes: Store<Node>,
    pub(super) namespaces: Store<Namespace>,
    pub(super) replica_sets: Store<ReplicaSet>,
    pub(super) jobs: Store<Job>,
}

impl World {
    /// The pod that a reference means.
    pub(super) fn pod(&self, reference: Option<&ObjectReference>) -> Option<&Pod> {
        let reference = reference.filter(|r| r.kind.as_deref() == Some("Pod"))?;
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let name = reference.name.as_deref().unwrap_or_default();
        self.pods.get(&namespaced(namespace, name))
    }

    /// Labels of a node, where that is wanted.
    pub(super) fn set_node(&self, set: &mut Set, name: Option<&str>) {
        if self.attach.node
            && let Some(node) = name.and_then(|name| self.nodes.get(name))
        {
            set_object(set, &node.metadata, KubernetesRole::Node);
        }
    }

    /// Labels of a namespace, where that is wanted.
    pub(super) fn set_namespace(&self, set: &mut Set, name: &str) {
        if self.attach.namespace
            && let Some(namespace) = self.namespaces.get(name)
        {
            set_labels_and_annotations(set, &namespace.metadata, "namespace");
        }
    }
}

/// What an object's targets take labels from, by kind and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reference {
    Pod(String),
    Service(String),
    Node(String),
    Namespace(String),
    ReplicaSet(String),
    Job(String),
}

/// Which objects of the role refer to what.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_reference: HashMap<Reference, BTreeSet<String>>,
    by_key: HashMap<String, Vec<Reference>>,
}

impl Index {
    /// Replaces the references of an object.
    pub(super) fn set(&mut self, key: &str, references: Vec<Reference>) {
        for old in self.by_key.remove(key).unwrap_or_default() {
            if let Some(keys) = self.by_reference.get_mut(&old) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_reference.remove(&old);
                }
            }
        }
        if references.is_empty() {
            return;
        }
        for reference in &references {
            let keys = self.by_reference.entry(reference.clone()).or_default();
            keys.insert(key.to_owned());
        }
        self.by_key.insert(key.to_owned(), references);
    }

    /// The objects that refer to something.
    pub(super) fn keys(&self, reference: &Reference) -> impl Iterator<Item = &String> {
        self.by_reference.get(reference).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_forgets_old_references() {
        let mut index = Index::default();
        let node = |name: &str| Reference::Node(name.to_owned());
        index.set("a/x", vec![node("n1"), node("n2")]);
        index.set("a/y", vec![node("n1")]);
        index.set("a/x", vec![node("n2")]);
        let keys = |index: &Index, name: &str| index.keys(&node(name)).cloned().collect::<Vec<_>>();
        assert_eq!(keys(&index, "n1"), ["a/y"]);
        assert_eq!(keys(&index, "n2"), ["a/x"]);
        index.set("a/x", Vec::new());
        assert_eq!(keys(&index, "n2"), Vec::<String>::new());
        assert_eq!(index.by_reference.len(), 1);
    }
}
