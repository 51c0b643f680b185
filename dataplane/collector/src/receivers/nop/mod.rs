//! `nop`: receives nothing. For pipelines that only a connector feeds, and for tests.

use bellwether_otlp::Signal;
use serde::Deserialize;

use crate::pipeline::component::BuildFuture;
use crate::pipeline::{BuildContext, Built, Outputs, Problems, ReceiverConfig};

/// It has no keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NopConfig {}

impl ReceiverConfig for NopConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, _: &mut Problems) {}

    fn build<'a>(&'a self, _: BuildContext<'a>, _: Outputs) -> BuildFuture<'a> {
        Box::pin(std::future::ready(Ok(Built::default())))
    }
}
