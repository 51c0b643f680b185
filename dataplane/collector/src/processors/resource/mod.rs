//! `resource`: changes resource attributes. See `README.md`.
//!
//! Only the resource of each entry is decoded; everything else of the request is copied as bytes.

use std::sync::Arc;

use bellwether_otlp::{Signal, raw};
use bytes::Bytes;
use serde::Deserialize;

use super::actions::{Action, ActionConfig};
use crate::CollectorError;
use crate::config::PipelineId;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeError, ConsumeFuture, Consumer, Problems, ProcessorConfig,
};

/// Keys of the processor.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResourceConfig {
    attributes: Vec<ActionConfig>,
}

impl ProcessorConfig for ResourceConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.attributes.is_empty() {
            problems.add("attributes", "at least one action is needed");
        }
        if let Err((index, message)) = Action::all(&self.attributes) {
            problems.add("attributes", format!("action {index}: {message}"));
        }
    }

    fn build(
        &self,
        _: &BuildContext<'_>,
        _: &PipelineId,
        next: Arc<dyn Consumer>,
    ) -> Result<Built, CollectorError> {
        // Validation compiled the same actions.
        let actions = Action::all(&self.attributes).unwrap_or_default();
        let consumer: Arc<dyn Consumer> = Arc::new(ResourceProcessor { actions, next });
        Ok(consumer.into())
    }
}

struct ResourceProcessor {
    actions: Vec<Action>,
    next: Arc<dyn Consumer>,
}

impl ResourceProcessor {
    fn process(&self, batch: Batch) -> Result<Batch, ConsumeError> {
        let edited = raw::edit_resources(batch.signal(), batch.bytes(), |resource| {
            let before = resource.attributes.clone();
            for action in &self.actions {
                action.apply(&mut resource.attributes);
            }
            resource.attributes != before
        });
        match edited {
            Ok(None) => Ok(batch),
            Ok(Some(bytes)) => Ok(Batch::validated(
                batch.signal(),
                Bytes::from(bytes),
                batch.items(),
            )),
            Err(error) => Err(ConsumeError::permanent(error.to_string())),
        }
    }
}

impl Consumer for ResourceProcessor {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        match self.process(batch) {
            Ok(batch) => self.next.consume(batch),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}
