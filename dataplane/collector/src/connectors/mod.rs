//! Connectors: from the end of one pipeline to the beginning of another.

mod forward;

use crate::pipeline::component::factory;
use crate::pipeline::{ConnectorConfig, Factory};

/// Every connector type.
pub(crate) const FACTORIES: &[Factory<dyn ConnectorConfig>] =
    &[factory!("forward", &[], forward::ForwardConfig)];
