//! The seam between mechanisms and the manager.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::group::TargetGroup;
use crate::metrics::SdMetrics;

/// Messages that a mechanism may run ahead of the manager.
pub(crate) const UPDATES_QUEUED: usize = 16;

/// What a running mechanism does.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A discovery mechanism.
pub trait Discoverer: Send {
    /// Runs until `shutdown`. Sends all groups at the start, then those that changed; a group without targets
    /// removes its source. A failure is logged and counted, and leaves what was said before.
    fn run(self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running;
}

/// Where a mechanism sends its groups.
#[derive(Clone, Debug)]
pub struct Updates(pub(crate) mpsc::Sender<Vec<TargetGroup>>);

/// The manager is gone, and the mechanism should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens to this discovery any more")]
pub struct Gone;

impl Updates {
    /// Sends groups; waits while the manager is behind.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn send(&self, groups: Vec<TargetGroup>) -> Result<(), Gone> {
        self.0.send(groups).await.map_err(|_| Gone)
    }
}

/// What a mechanism is built with.
#[derive(Clone, Debug)]
pub(crate) struct BuildContext {
    /// Where relative paths start.
    pub(crate) base_dir: PathBuf,
    /// The set that it is built for, the job's name for example. For logs and metrics.
    pub(crate) set: String,
    pub(crate) metrics: SdMetrics,
}

/// Why a mechanism cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The kind is not part of this build.
    #[error("{key} cannot run in this build: {reason}")]
    NotRunnable {
        /// The key in the configuration.
        key: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The HTTP client's options.
    #[error("HTTP client: {0}")]
    Http(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}
