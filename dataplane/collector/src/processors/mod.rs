//! Processors: what happens between receiver and exporter.

mod batch;

use crate::pipeline::component::factory;
use crate::pipeline::{Factory, ProcessorConfig};

/// Every processor type.
pub(crate) const FACTORIES: &[Factory<dyn ProcessorConfig>] =
    &[factory!("batch", &[], batch::BatchConfig)];
