//! Receivers: where data comes in.

mod nop;
mod otlp;

use crate::pipeline::component::factory;
use crate::pipeline::{Factory, ReceiverConfig};

/// Every receiver type.
pub(crate) const FACTORIES: &[Factory<dyn ReceiverConfig>] = &[
    factory!("otlp", &[], otlp::OtlpReceiverConfig),
    factory!("nop", &[], nop::NopConfig),
];
