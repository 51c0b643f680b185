//! `kubernetes_sd_configs`: objects of a Kubernetes cluster, by list and watch.
//!
//! Each kind of object that a role needs is listed once and watched from there on, in each namespace. The events of
//! all watches come together in one task, which keeps the objects ([`state`]), finds out which groups an event
//! touches, and makes these groups again ([`role`] and the file of each role). Nothing is sent before every first
//! list is complete: half a cluster would show targets without the labels of their pods.
//!
//! Listing in pages, watching on from a version, listing again when that version is too old, and backing off are the
//! work of the `kube` crate; requests to `api_server` go through our own HTTP client, so that all its options count.

mod access;
mod endpoints;
mod endpointslice;
mod ingress;
mod meta;
mod node;
mod pod;
mod role;
mod service;
mod state;
mod watch;
mod world;

use k8s_openapi::api::core::v1::{Endpoints, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;
use tokio_util::sync::CancellationToken;

use self::access::Access;
use self::role::RoleObject;
use self::state::State;
use self::watch::Watches;
use crate::config::{KubernetesRole, KubernetesSdConfig};
use crate::discoverer::{BuildContext, BuildError, Discoverer, Running, Updates};
use crate::metrics::SdMetrics;

struct KubernetesDiscovery {
    config: KubernetesSdConfig,
    access: Access,
    set: String,
    metrics: SdMetrics,
}

pub(super) fn build(
    config: &KubernetesSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    Ok(Box::new(KubernetesDiscovery {
        config: config.clone(),
        access: Access::new(config, context)?,
        set: context.set.clone(),
        metrics: context.metrics.clone(),
    }))
}

impl Discoverer for KubernetesDiscovery {
    fn run(self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running {
        Box::pin(async move {
            shutdown.run_until_cancelled(self.discover(updates)).await;
        })
    }
}

impl KubernetesDiscovery {
    async fn discover(self: Box<Self>, updates: Updates) {
        let (client, namespaces) = match self.access.open(&self.config).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(
                    discovery = "kubernetes",
                    config = self.set,
                    %error,
                    "Cannot access Kubernetes"
                );
                return std::future::pending().await;
            }
        };
        match self.config.role {
            None => {}
            Some(KubernetesRole::Node) => self.follow::<Node>(client, &[], updates).await,
            Some(KubernetesRole::Pod) => self.follow::<Pod>(client, &namespaces, updates).await,
            Some(KubernetesRole::Service) => {
                self.follow::<Service>(client, &namespaces, updates).await;
            }
            Some(KubernetesRole::Endpoints) => {
                self.follow::<Endpoints>(client, &namespaces, updates).await;
            }
            Some(KubernetesRole::EndpointSlice) => {
                self.follow::<EndpointSlice>(client, &namespaces, updates)
                    .await;
            }
            Some(KubernetesRole::Ingress) => {
                self.follow::<Ingress>(client, &namespaces, updates).await;
            }
        }
    }

    /// `namespaces` is empty for objects of the whole cluster.
    async fn follow<T>(&self, client: Client, namespaces: &[String], updates: Updates)
    where
        T: RoleObject + watch::Watched,
    {
        let mut watches = Watches::new(client, &self.config, &self.set, &self.metrics);
        let mut state = State::<T>::new(self.config.attach_metadata.clone(), &self.metrics);
        state.watch(&mut watches, namespaces);
        while let Some(events) = watches.next().await {
            for event in events {
                state.apply(event);
            }
            if !watches.all_listed() {
                continue;
            }
            let groups = state.take_groups();
            if updates.send(groups).await.is_err() {
                return;
            }
        }
    }
}
