//! `nop`: takes everything and does nothing.

use std::sync::Arc;

use bellwether_otlp::Signal;
use serde::Deserialize;

use crate::pipeline::component::BuildFuture;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeFuture, Consumer, ExporterConfig, Problems,
};

/// It has no keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NopConfig {}

struct Nop;

impl Consumer for Nop {
    fn consume(&self, _: Batch) -> ConsumeFuture<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl ExporterConfig for NopConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, _: &mut Problems) {}

    fn build<'a>(&'a self, _: BuildContext<'a>) -> BuildFuture<'a> {
        let consumer: Arc<dyn Consumer> = Arc::new(Nop);
        Box::pin(std::future::ready(Ok(Built::from(consumer))))
    }
}
