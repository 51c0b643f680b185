//! What flows between components, and how.
//!
//! | file | what |
//! |---|---|
//! | `batch.rs` | a whole OTLP export request behind cheap sharing |
//! | `consumer.rs` | the seam between components, its errors, fan-out |
//! | `component.rs` | factories and the contract of a component's configuration |
//! | `graph.rs` | from a checked configuration to connected components |
//! | `own_metrics.rs` | the collector's metrics about itself |

pub(crate) mod batch;
pub(crate) mod component;
pub(crate) mod consumer;
pub(crate) mod graph;
pub(crate) mod own_metrics;

pub(crate) use batch::{Batch, Decoded};
pub(crate) use component::{
    BuildContext, Built, ConnectorConfig, ExporterConfig, ExtensionConfig, Factory, Problems,
    ProcessorConfig, ReceiverConfig,
};
pub(crate) use consumer::{ConsumeError, ConsumeFuture, Consumer, Outputs};
