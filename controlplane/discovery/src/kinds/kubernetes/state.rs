//! The objects of a role, what is around them, and which groups have to be made again.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_telemetry::Counter;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};

use super::meta;
use super::role::{RoleObject, group};
use super::watch::{Object, WatchEvent, Watched, Watches};
use super::world::{Index, Reference, World};
use crate::config::{AttachMetadata, KubernetesRole};
use crate::group::TargetGroup;
use crate::metrics::SdMetrics;

/// Counters of what happened to a kind of objects.
struct Events {
    add: Counter,
    update: Counter,
    delete: Counter,
}

impl Events {
    fn new(metrics: &SdMetrics, role: KubernetesRole) -> Self {
        let counter = |event| metrics.kubernetes_events(role.as_str(), event);
        Self {
            add: counter("add"),
            update: counter("update"),
            delete: counter("delete"),
        }
    }
}

/// A watch of one kind in one namespace.
struct Scope {
    /// Empty for all.
    namespace: String,
    kind: Kind,
    /// Keys that the list in progress named. `None`: no list is in progress.
    listed: Option<BTreeSet<String>>,
}

/// Kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Role,
    Pod,
    Service,
    Node,
    Namespace,
    ReplicaSet,
    Job,
}

pub(super) struct State<T> {
    objects: BTreeMap<String, T>,
    world: World,
    index: Index,
    /// Keys whose groups have to be made again.
    dirty: BTreeSet<String>,
    scopes: Vec<Scope>,
    own_events: Events,
    service_events: Events,
    pod_updates: Counter,
}

impl<T: RoleObject + Watched> State<T> {
    pub(super) fn new(attach: AttachMetadata, metrics: &SdMetrics) -> Self {
        Self {
            objects: BTreeMap::new(),
            world: World {
                attach,
                ..World::default()
            },
            index: Index::default(),
            dirty: BTreeSet::new(),
            scopes: Vec::new(),
            own_events: Events::new(metrics, T::ROLE),
            service_events: Events::new(metrics, KubernetesRole::Service),
            pod_updates: metrics.kubernetes_events(KubernetesRole::Pod.as_str(), "update"),
        }
    }

    /// Starts the watches that the role needs.
    pub(super) fn watch(&mut self, watches: &mut Watches, namespaces: &[String]) {
        use KubernetesRole::{
            EndpointSlice, Endpoints, Ingress, Node as Nodes, Pod as Pods, Service as Services,
        };
        use k8s_openapi::api::core::v1::Endpoints as EndpointsObject;
        use k8s_openapi::api::discovery::v1::EndpointSlice as SliceObject;
        use k8s_openapi::api::networking::v1::Ingress as IngressObject;

        let attach = self.world.attach.clone();
        let role = T::ROLE;
        let of_endpoints = matches!(role, Endpoints | EndpointSlice);
        if role == Nodes {
            watches.in_cluster::<Node>(Some(Nodes));
            self.scope("", Kind::Role);
            return;
        }
        if attach.node && (of_endpoints || role == Pods) {
            watches.in_cluster::<Node>(Some(Nodes));
            self.scope("", Kind::Node);
        }
        if attach.namespace {
            watches.in_cluster::<Namespace>(None);
            self.scope("", Kind::Namespace);
        }
        for namespace in namespaces {
            let selector = Some(role);
            match role {
                Pods => watches.in_namespace::<Pod>(namespace, selector),
                Services => watches.in_namespace::<Service>(namespace, selector),
                Endpoints => watches.in_namespace::<EndpointsObject>(namespace, selector),
                EndpointSlice => watches.in_namespace::<SliceObject>(namespace, selector),
                Ingress => watches.in_namespace::<IngressObject>(namespace, selector),
                Nodes => continue,
            };
            self.scope(namespace, Kind::Role);
            if of_endpoints {
                watches.in_namespace::<Service>(namespace, Some(Services));
                self.scope(namespace, Kind::Service);
                watches.in_namespace::<Pod>(namespace, Some(Pods));
                self.scope(namespace, Kind::Pod);
            }
            if attach.deployment && (of_endpoints || role == Pods) {
                watches.in_namespace::<ReplicaSet>(namespace, None);
                self.scope(namespace, Kind::ReplicaSet);
            }
            if (attach.job || attach.cronjob) && (of_endpoints || role == Pods) {
                watches.in_namespace::<Job>(namespace, None);
                self.scope(namespace, Kind::Job);
            }
        }
    }

    /// The watch that was added last.
    fn scope(&mut self, namespace: &str, kind: Kind) {
        self.scopes.push(Scope {
            namespace: namespace.to_owned(),
            kind,
            listed: None,
        });
    }

    pub(super) fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Applied { watch, object } => {
                let Some(scope) = self.scopes.get_mut(watch) else {
                    return;
                };
                let (kind, key) = (scope.kind, key(&object));
                if let Some(listed) = &mut scope.listed {
                    listed.insert(key.clone());
                }
                self.put(kind, key, object);
            }
            WatchEvent::Deleted(object) => {
                let key = key(&object);
                self.remove(kind_of::<T>(&object), &key);
            }
            WatchEvent::ListBegins { watch } => {
                if let Some(scope) = self.scopes.get_mut(watch) {
                    scope.listed = Some(BTreeSet::new());
                }
            }
            WatchEvent::ListEnds { watch } => self.end_list(watch),
        }
    }

    /// What a complete list did not name is gone.
    fn end_list(&mut self, watch: usize) {
        let Some(scope) = self.scopes.get_mut(watch) else {
            return;
        };
        let Some(listed) = scope.listed.take() else {
            return;
        };
        let (kind, namespace) = (scope.kind, scope.namespace.clone());
        let inside = |key: &String| {
            namespace.is_empty() || key.split_once('/').is_some_and(|(ns, _)| ns == namespace)
        };
        let gone: Vec<String> = self
            .keys(kind)
            .into_iter()
            .filter(|key| inside(key) && !listed.contains(key))
            .collect();
        for key in gone {
            self.remove(kind, &key);
        }
    }

    fn keys(&self, kind: Kind) -> Vec<String> {
        fn of<V>(store: &BTreeMap<String, V>) -> Vec<String> {
            store.keys().cloned().collect()
        }
        match kind {
            Kind::Role => of(&self.objects),
            Kind::Pod => of(&self.world.pods),
            Kind::Service => of(&self.world.services),
            Kind::Node => of(&self.world.nodes),
            Kind::Namespace => of(&self.world.namespaces),
            Kind::ReplicaSet => of(&self.world.replica_sets),
            Kind::Job => of(&self.world.jobs),
        }
    }

    fn put(&mut self, kind: Kind, key: String, object: Object) {
        if kind == Kind::Role {
            let Some(object) = T::of_object(object) else {
                return;
            };
            self.index.set(&key, object.references());
            let events = &self.own_events;
            match self.objects.insert(key.clone(), object) {
                None => events.add.inc(),
                Some(_) => events.update.inc(),
            }
            self.dirty.insert(key);
            return;
        }
        let world = &mut self.world;
        match object {
            Object::Pod(pod) => {
                if world.pods.insert(key.clone(), *pod).is_some() {
                    self.pod_updates.inc();
                }
            }
            Object::Service(service) => match world.services.insert(key.clone(), *service) {
                None => self.service_events.add.inc(),
                Some(_) => self.service_events.update.inc(),
            },
            Object::Node(node) => drop(world.nodes.insert(key.clone(), *node)),
            Object::Namespace(ns) => drop(world.namespaces.insert(key.clone(), *ns)),
            Object::ReplicaSet(rs) => drop(world.replica_sets.insert(key.clone(), *rs)),
            Object::Job(job) => drop(world.jobs.insert(key.clone(), *job)),
            Object::Endpoints(_) | Object::EndpointSlice(_) | Object::Ingress(_) => return,
        }
        self.touch(kind, &key);
    }

    fn remove(&mut self, kind: Kind, key: &str) {
        let world = &mut self.world;
        match kind {
            Kind::Role => {
                if self.objects.remove(key).is_some() {
                    self.own_events.delete.inc();
                    self.index.set(key, Vec::new());
                    self.dirty.insert(key.to_owned());
                }
                return;
            }
            Kind::Pod => drop(world.pods.remove(key)),
            Kind::Service => {
                if world.services.remove(key).is_some() {
                    self.service_events.delete.inc();
                }
            }
            Kind::Node => drop(world.nodes.remove(key)),
            Kind::Namespace => drop(world.namespaces.remove(key)),
            Kind::ReplicaSet => drop(world.replica_sets.remove(key)),
            Kind::Job => drop(world.jobs.remove(key)),
        }
        self.touch(kind, key);
    }

    /// Groups that take labels from an object have to be made again.
    fn touch(&mut self, kind: Kind, key: &str) {
        let name = key.to_owned();
        let reference = match kind {
            Kind::Role => return,
            Kind::Pod => Reference::Pod(name),
            Kind::Service => Reference::Service(name),
            Kind::Node => Reference::Node(name),
            Kind::Namespace => Reference::Namespace(name),
            Kind::ReplicaSet | Kind::Job => {
                self.touch_controlled(kind, key);
                return;
            }
        };
        self.dirty.extend(self.index.keys(&reference).cloned());
    }

    /// Pods of a controller: the role's own, or those behind its endpoints.
    fn touch_controlled(&mut self, kind: Kind, key: &str) {
        let (reference, kind) = match kind {
            Kind::ReplicaSet => (Reference::ReplicaSet(key.to_owned()), "ReplicaSet"),
            _ => (Reference::Job(key.to_owned()), "Job"),
        };
        self.dirty.extend(self.index.keys(&reference).cloned());
        let Some((namespace, name)) = key.split_once('/') else {
            return;
        };
        let first = format!("{namespace}/");
        let pods = self.world.pods.range(first.clone()..);
        for (pod_key, pod) in pods.take_while(|(k, _)| k.starts_with(&first)) {
            let owner = meta::controller(&pod.metadata);
            if owner.is_some_and(|o| o.kind == kind && o.name == name) {
                let reference = Reference::Pod(pod_key.clone());
                self.dirty.extend(self.index.keys(&reference).cloned());
            }
        }
    }

    /// The groups that changed since the last call.
    pub(super) fn take_groups(&mut self) -> Vec<TargetGroup> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .iter()
            .filter_map(|key| group(key, &self.objects, &self.world))
            .collect()
    }
}

fn key(object: &Object) -> String {
    match object {
        Object::Pod(o) => meta::key(&o.metadata),
        Object::Service(o) => meta::key(&o.metadata),
        Object::Endpoints(o) => meta::key(&o.metadata),
        Object::EndpointSlice(o) => meta::key(&o.metadata),
        Object::Ingress(o) => meta::key(&o.metadata),
        Object::Node(o) => meta::key(&o.metadata),
        Object::Namespace(o) => meta::key(&o.metadata),
        Object::ReplicaSet(o) => meta::key(&o.metadata),
        Object::Job(o) => meta::key(&o.metadata),
    }
}

/// What a deleted object was to the role.
fn kind_of<T: RoleObject>(object: &Object) -> Kind {
    let role = match object {
        Object::Pod(_) => KubernetesRole::Pod,
        Object::Service(_) => KubernetesRole::Service,
        Object::Node(_) => KubernetesRole::Node,
        Object::Namespace(_) => return Kind::Namespace,
        Object::ReplicaSet(_) => return Kind::ReplicaSet,
        Object::Job(_) => return Kind::Job,
        Object::Endpoints(_) | Object::EndpointSlice(_) | Object::Ingress(_) => return Kind::Role,
    };
    match role {
        _ if role == T::ROLE => Kind::Role,
        KubernetesRole::Pod => Kind::Pod,
        KubernetesRole::Service => Kind::Service,
        _ => Kind::Node,
    }
}
