//! `forward`: hands batches to other pipelines of the same signal. See `README.md`.

use bellwether_otlp::Signal;
use serde::Deserialize;

use crate::CollectorError;
use crate::pipeline::{BuildContext, Built, ConnectorConfig, Outputs, Problems};

/// It has no keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForwardConfig {}

impl ConnectorConfig for ForwardConfig {
    fn signals(&self) -> &'static [(Signal, Signal)] {
        &[
            (Signal::Metrics, Signal::Metrics),
            (Signal::Traces, Signal::Traces),
            (Signal::Logs, Signal::Logs),
        ]
    }

    fn validate(&self, _: &mut Problems) {}

    fn build(
        &self,
        context: &BuildContext<'_>,
        signal: Signal,
        mut outputs: Outputs,
    ) -> Result<Built, CollectorError> {
        // The pipelines behind it are the consumer: nothing stands between.
        outputs
            .remove(&signal)
            .map(Built::from)
            .ok_or_else(|| CollectorError::Component {
                component: format!("connectors::{}", context.id),
                message: format!("feeds no {signal} pipeline"),
            })
    }
}
