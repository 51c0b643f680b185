//! Watches of several kinds of objects in several namespaces, as one stream.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::config::{KubernetesRole, KubernetesSdConfig};
use crate::metrics::SdMetrics;

/// Events that are taken together, at most: their groups are made once.
const EVENTS_TOGETHER: usize = 1024;
/// After the first event others may be on their way already.
const GATHER: Duration = Duration::from_millis(5);

/// Any object that is watched.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Pod(Box<Pod>),
    Service(Box<Service>),
    Endpoints(Box<Endpoints>),
    EndpointSlice(Box<EndpointSlice>),
    Ingress(Box<Ingress>),
    Node(Box<Node>),
    Namespace(Box<Namespace>),
    ReplicaSet(Box<ReplicaSet>),
    Job(Box<Job>),
}

/// Kinds of objects that can be watched.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    fn into_object(self) -> Object;

    /// The other way. `None`: it is another kind.
    fn of_object(object: Object) -> Option<Self>;
}

macro_rules! watched {
    ($($kind:ident)*) => {
        $(
            impl Watched for $kind {
                fn into_object(self) -> Object {
                    Object::$kind(Box::new(self))
                }

                fn of_object(object: Object) -> Option<Self> {
                    match object {
                        Object::$kind(object) => Some(*object),
                        _ => None,
                    }
                }
            }
        )*
    };
}

watched!(Pod Service Endpoints EndpointSlice Ingress Node Namespace ReplicaSet Job);

/// What a watch says. `watch` is its number.
pub(super) enum WatchEvent {
    Applied {
        watch: usize,
        object: Object,
    },
    Deleted(Object),
    /// A complete list begins: what it does not name is gone when it ends.
    ListBegins {
        watch: usize,
    },
    ListEnds {
        watch: usize,
    },
}

/// All watches of a discovery.
pub(super) struct Watches {
    client: Client,
    config: KubernetesSdConfig,
    set: String,
    metrics: SdMetrics,
    streams: SelectAll<BoxStream<'static, WatchEvent>>,
    count: usize,
    /// Watches whose first list is not complete.
    unlisted: BTreeSet<usize>,
}

impl Watches {
    pub(super) fn new(
        client: Client,
        config: &KubernetesSdConfig,
        set: &str,
        metrics: &SdMetrics,
    ) -> Self {
        Self {
            client,
            config: config.clone(),
            set: set.to_owned(),
            metrics: metrics.clone(),
            streams: SelectAll::new(),
            count: 0,
            unlisted: BTreeSet::new(),
        }
    }

    /// Watches a kind in a namespace; an empty name stands for all.
    pub(super) fn in_namespace<T>(&mut self, namespace: &str, role: Option<KubernetesRole>) -> usize
    where
        T: Watched + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let api: Api<T> = match namespace {
            "" => Api::all(self.client.clone()),
            namespace => Api::namespaced(self.client.clone(), namespace),
        };
        self.add(api, role)
    }

    /// Watches a kind that is in no namespace.
    pub(super) fn in_cluster<T: Watched>(&mut self, role: Option<KubernetesRole>) -> usize {
        self.add::<T>(Api::all(self.client.clone()), role)
    }

    /// `role` chooses the selectors.
    fn add<T: Watched>(&mut self, api: Api<T>, role: Option<KubernetesRole>) -> usize {
        let mut config = Config::default();
        if let Some(role) = role {
            let (label, field) = self.config.selector(role);
            if !label.is_empty() {
                config = config.labels(label);
            }
            if !field.is_empty() {
                config = config.fields(field);
            }
        }
        let watch = self.count;
        self.count += 1;
        self.unlisted.insert(watch);
        let (failures, set) = (self.metrics.kubernetes_failures.clone(), self.set.clone());
        let events = watcher(api, config)
            .default_backoff()
            .filter_map(move |event| {
                let event = match event {
                    Ok(event) => Some(said(event, watch)),
                    Err(error) => {
                        failures.inc();
                        let kind = T::kind(&()).into_owned();
                        tracing::warn!(
                            discovery = "kubernetes",
                            config = set,
                            kind,
                            %error,
                            "failed to list or watch, trying again"
                        );
                        None
                    }
                };
                std::future::ready(event)
            });
        self.streams.push(events.boxed());
        watch
    }

    /// Waits for events, and takes those along that come right behind.
    pub(super) async fn next(&mut self) -> Option<Vec<WatchEvent>> {
        let mut events = vec![self.streams.next().await?];
        if self.all_listed() {
            tokio::time::sleep(GATHER).await;
        }
        while events.len() < EVENTS_TOGETHER
            && let Some(Some(event)) = self.streams.next().now_or_never()
        {
            events.push(event);
        }
        for event in &events {
            if let WatchEvent::ListEnds { watch } = event {
                self.unlisted.remove(watch);
            }
        }
        Some(events)
    }

    /// Whether every watch has listed its objects once.
    pub(super) fn all_listed(&self) -> bool {
        self.unlisted.is_empty()
    }
}

fn said<T: Watched>(event: Event<T>, watch: usize) -> WatchEvent {
    let slim = |mut object: T| {
        // Who changed which field when is the larger part of many objects, and no label.
        object.managed_fields_mut().clear();
        object.into_object()
    };
    match event {
        Event::Apply(object) | Event::InitApply(object) => WatchEvent::Applied {
            watch,
            object: slim(object),
        },
        Event::Delete(object) => WatchEvent::Deleted(slim(object)),
        Event::Init => WatchEvent::ListBegins { watch },
        Event::InitDone => WatchEvent::ListEnds { watch },
    }
}
