//! Extensions: parts beside the pipelines.

mod health_check;

use crate::pipeline::component::factory;
use crate::pipeline::{ExtensionConfig, Factory};

/// Every extension type.
pub(crate) const FACTORIES: &[Factory<dyn ExtensionConfig>] = &[factory!(
    "health_check",
    &[],
    health_check::HealthCheckConfig
)];
