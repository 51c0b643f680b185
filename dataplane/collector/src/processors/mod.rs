//! Processors: what happens between receiver and exporter. `actions/` holds the attribute actions
//! that `attributes` and `resource` share.

mod actions;
mod attributes;
mod batch;
mod memory_limiter;
mod resource;

pub(crate) use actions::text_of;

use crate::pipeline::component::factory;
use crate::pipeline::{Factory, ProcessorConfig};

/// Every processor type.
pub(crate) const FACTORIES: &[Factory<dyn ProcessorConfig>] = &[
    factory!("attributes", &[], attributes::AttributesConfig),
    factory!("batch", &[], batch::BatchConfig),
    factory!("memory_limiter", &[], memory_limiter::MemoryLimiterConfig),
    factory!("resource", &[], resource::ResourceConfig),
];
