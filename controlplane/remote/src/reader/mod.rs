//! Remote read as a client: series of other systems beside those of the local storage.
//!
//! ```text
//! query --> Fanout::querier --> [ local querier, one querier per remote system ] --merge by labels--> engine
//!                                                   |
//!                                     request --HTTP--> samples or chunks --> series in memory
//! ```
//!
//! As in Prometheus the local storage is the one that counts: what a remote system fails to answer is left out and told
//! as a warning. A remote system is asked only for what the local storage does not have, unless `read_recent` says
//! otherwise, and only when the selector asks for its `required_matchers`. External labels become matchers and are
//! taken off the answer. Names and values of labels come from the local storage alone.
//!
//! | file | what it holds |
//! |---|---|
//! | `request` | the question |
//! | `answer` | samples, frames of chunks |
//! | `remote` | one remote system: request, answer, metrics |

mod answer;
mod remote;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bellwether_model::Labels;
use bellwether_model::storage::{Querier, Queryable, StorageError};
use bellwether_telemetry::Registry;
use bellwether_tsdb::MergeQuerier;
use hashbrown::HashSet;
use tokio::runtime::Handle;

use crate::client;
use crate::config::ReadSettings;
use remote::{Remote, RemoteQuerier};

/// Since when the local storage has everything, in milliseconds.
pub type LocalStart = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The local storage and the remote systems of the configuration.
pub struct Fanout {
    local: Arc<dyn Queryable>,
    local_start: LocalStart,
    remotes: ArcSwap<Vec<Arc<Remote>>>,
    registry: Registry,
    runtime: Handle,
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout")
            .field("remotes", &self.remotes.load().len())
            .finish_non_exhaustive()
    }
}

impl Fanout {
    /// The local storage alone. Requests run on `runtime`; queriers block, so they are used off its threads.
    #[must_use]
    pub fn new(
        local: Arc<dyn Queryable>,
        local_start: LocalStart,
        registry: &Registry,
        runtime: Handle,
    ) -> Self {
        Self {
            local,
            local_start,
            remotes: ArcSwap::default(),
            registry: registry.clone(),
            runtime,
        }
    }

    /// Takes over the remote systems of a configuration.
    ///
    /// # Errors
    /// In words; then the ones before stay.
    pub fn apply(&self, wanted: &[ReadSettings], external: &Labels) -> Result<(), String> {
        let mut seen = HashSet::new();
        let mut remotes = Vec::with_capacity(wanted.len());
        for settings in wanted {
            if !seen.insert(settings.hash.as_str()) {
                return Err(format!(
                    "duplicate remote read configs are not allowed, found duplicate for URL: {}",
                    settings.endpoint
                ));
            }
            let post = client::post(
                &settings.client,
                "remote_storage_read_client",
                &self.registry,
            )?;
            let external = match settings.filter_external_labels {
                true => external.clone(),
                false => Labels::empty(),
            };
            let remote = Remote::new(settings.clone(), external, post, &self.registry);
            remotes.push(Arc::new(remote));
        }
        let before = self.remotes.swap(Arc::new(remotes));
        for remote in before.iter() {
            if !wanted.iter().any(|w| remote.is_called(w)) {
                remote.remove_metrics();
            }
        }
        Ok(())
    }

    /// Whether there are remote systems.
    #[must_use]
    pub fn has_remotes(&self) -> bool {
        !self.remotes.load().is_empty()
    }
}

impl Queryable for Fanout {
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        let local = self.local.querier(mint, maxt)?;
        let remotes = self.remotes.load();
        if remotes.is_empty() {
            return Ok(local);
        }
        let local_start = (self.local_start)();
        let mut parts = vec![local];
        for remote in remotes.iter() {
            let Some(maxt) = remote.last_wanted(mint, maxt, local_start) else {
                continue;
            };
            parts.push(Box::new(RemoteQuerier::new(
                Arc::clone(remote),
                (mint, maxt),
                self.runtime.clone(),
            )));
        }
        Ok(Box::new(MergeQuerier::new(parts)))
    }
}
