//! Exporters: where data goes out.

pub(crate) mod prometheus;

use crate::pipeline::component::factory;
use crate::pipeline::{ExporterConfig, Factory};

/// Every exporter type.
pub(crate) const FACTORIES: &[Factory<dyn ExporterConfig>] =
    &[factory!("prometheus", &[], prometheus::PrometheusConfig)];
