//! Owns the scrape pools.

use std::sync::Arc;

use bellwether_model::storage::Appendable;
use bellwether_telemetry::Registry;

use crate::config::{ScrapeConfig, ScrapeConfigError, ScrapeDefaults};
use crate::snapshot::{TargetMetadata, TargetsSnapshot};

/// How the manager behaves beyond what the configuration file says.
#[derive(Clone, Debug)]
pub struct ScrapeOptions {
    /// First scrape of a target within about a second instead of at its slot in the interval.
    pub fast_first_scrape: bool,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            fast_first_scrape: true,
        }
    }
}

/// Runs the scrape pools.
pub struct ScrapeManager {
    _storage: Arc<dyn Appendable>,
    _options: ScrapeOptions,
}

impl ScrapeManager {
    /// A manager without pools; [`Self::apply`] starts them. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(storage: Arc<dyn Appendable>, registry: &Registry, options: ScrapeOptions) -> Self {
        let _ = registry;
        Self {
            _storage: storage,
            _options: options,
        }
    }

    /// Makes the running pools those of `configs`: at the start and at each reload.
    ///
    /// # Errors
    /// When a configuration does not pass its checks; the running pools stay as they are.
    pub async fn apply(
        &self,
        configs: &[ScrapeConfig],
        defaults: &ScrapeDefaults,
    ) -> Result<(), ScrapeConfigError> {
        let _ = (configs, defaults);
        Ok(())
    }

    /// The targets now.
    #[must_use]
    pub fn targets(&self) -> TargetsSnapshot {
        TargetsSnapshot::default()
    }

    /// Metadata of all active targets.
    #[must_use]
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        Vec::new()
    }

    /// Stops all pools and waits for the scrapes under way.
    pub async fn shutdown(&self) {}
}
