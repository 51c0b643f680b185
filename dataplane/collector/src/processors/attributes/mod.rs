//! `attributes`: changes attributes of data points, spans and log records. See `README.md`.

mod matching;

use std::sync::Arc;

use bellwether_otlp::Signal;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use serde::Deserialize;

use super::actions::{Action, ActionConfig};
use crate::CollectorError;
use crate::config::PipelineId;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeFuture, Consumer, Decoded, Problems, ProcessorConfig,
};
use matching::{Item, Matcher, MatcherConfig};

/// Keys of the processor.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AttributesConfig {
    actions: Vec<ActionConfig>,
    include: Option<MatcherConfig>,
    exclude: Option<MatcherConfig>,
}

impl ProcessorConfig for AttributesConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.actions.is_empty() {
            problems.add("actions", "at least one action is needed");
        }
        if let Err((index, message)) = Action::all(&self.actions) {
            problems.add("actions", format!("action {index}: {message}"));
        }
        for (key, matcher) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(Err(message)) = matcher.as_ref().map(Matcher::new) {
                problems.add(key, message);
            }
        }
    }

    fn build(
        &self,
        _: &BuildContext<'_>,
        _: &PipelineId,
        next: Arc<dyn Consumer>,
    ) -> Result<Built, CollectorError> {
        // Validation compiled the same patterns.
        let matcher = |config: &Option<MatcherConfig>| {
            config.as_ref().and_then(|config| Matcher::new(config).ok())
        };
        let consumer: Arc<dyn Consumer> = Arc::new(AttributesProcessor {
            actions: Action::all(&self.actions).unwrap_or_default(),
            include: matcher(&self.include),
            exclude: matcher(&self.exclude),
            next,
        });
        Ok(consumer.into())
    }
}

struct AttributesProcessor {
    actions: Vec<Action>,
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    next: Arc<dyn Consumer>,
}

impl AttributesProcessor {
    fn wants(&self, item: &Item<'_>) -> bool {
        self.include.as_ref().is_none_or(|m| m.matches(item))
            && !self.exclude.as_ref().is_some_and(|m| m.matches(item))
    }

    fn apply(&self, attributes: &mut Vec<KeyValue>) {
        for action in &self.actions {
            action.apply(attributes);
        }
    }

    fn process(&self, batch: &Batch) -> Batch {
        let mut decoded = batch.decoded().clone();
        match &mut decoded {
            Decoded::Metrics(request) => {
                for resource in &mut request.resource_metrics {
                    let on_resource = resource.resource.as_ref().map(|r| r.attributes.as_slice());
                    for scope in &mut resource.scope_metrics {
                        for metric in &mut scope.metrics {
                            let item = Item {
                                resource: on_resource.unwrap_or_default(),
                                metric_name: Some(&metric.name),
                                ..Item::default()
                            };
                            if self.wants(&item) {
                                self.metric(metric);
                            }
                        }
                    }
                }
            }
            Decoded::Traces(request) => {
                for resource in &mut request.resource_spans {
                    let on_resource = resource.resource.as_ref().map(|r| r.attributes.as_slice());
                    for scope in &mut resource.scope_spans {
                        for span in &mut scope.spans {
                            let item = Item {
                                resource: on_resource.unwrap_or_default(),
                                attributes: &span.attributes,
                                scope: scope.scope.as_ref(),
                                span_name: Some(&span.name),
                                span_kind: Some(span.kind),
                                ..Item::default()
                            };
                            if self.wants(&item) {
                                self.apply(&mut span.attributes);
                            }
                        }
                    }
                }
            }
            Decoded::Logs(request) => {
                for resource in &mut request.resource_logs {
                    let on_resource = resource.resource.as_ref().map(|r| r.attributes.as_slice());
                    for scope in &mut resource.scope_logs {
                        for record in &mut scope.log_records {
                            let item = Item {
                                resource: on_resource.unwrap_or_default(),
                                attributes: &record.attributes,
                                scope: scope.scope.as_ref(),
                                log_body: record.body.as_ref().and_then(|b| b.value.as_ref()),
                                severity: Some((&record.severity_text, record.severity_number)),
                                ..Item::default()
                            };
                            if self.wants(&item) {
                                self.apply(&mut record.attributes);
                            }
                        }
                    }
                }
            }
        }
        Batch::from_decoded(&decoded)
    }

    fn metric(&self, metric: &mut Metric) {
        match &mut metric.data {
            Some(metric::Data::Gauge(d)) => {
                d.data_points
                    .iter_mut()
                    .for_each(|p| self.apply(&mut p.attributes));
            }
            Some(metric::Data::Sum(d)) => {
                d.data_points
                    .iter_mut()
                    .for_each(|p| self.apply(&mut p.attributes));
            }
            Some(metric::Data::Histogram(d)) => {
                d.data_points
                    .iter_mut()
                    .for_each(|p| self.apply(&mut p.attributes));
            }
            Some(metric::Data::ExponentialHistogram(d)) => {
                d.data_points
                    .iter_mut()
                    .for_each(|p| self.apply(&mut p.attributes));
            }
            Some(metric::Data::Summary(d)) => {
                d.data_points
                    .iter_mut()
                    .for_each(|p| self.apply(&mut p.attributes));
            }
            None => {}
        }
    }
}

impl Consumer for AttributesProcessor {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        self.next.consume(self.process(&batch))
    }
}
