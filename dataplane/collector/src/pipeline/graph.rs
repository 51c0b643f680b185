//! From a checked configuration to connected components.
//!
//! Building goes against the data: exporters, then processors from last to first, then receivers.
//! Receivers, exporters and connectors are one instance for all pipelines; processors are one
//! instance per pipeline. Nothing runs yet, but every port is bound.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bellwether_otlp::Signal;
use bellwether_telemetry::Counter;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::component::{BuildContext, Built, Runner};
use super::consumer::{ConsumeFuture, Consumer, FanOut, Outputs};
use super::own_metrics::OwnMetrics;
use crate::config::{ComponentId, PipelineConfig, PipelineId, ServiceConfig};
use crate::{CollectorError, ListenAddress};

/// A component's task with its name for logs.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) runner: Runner,
}

/// All tasks, by the stage at which they stop.
#[derive(Default)]
pub(crate) struct Graph {
    /// Stop first, together.
    pub(crate) receivers: Vec<Task>,
    /// Stop one after the other in this order, which is the order of the data.
    pub(crate) processors: Vec<Task>,
    /// Stop together.
    pub(crate) exporters: Vec<Task>,
    /// Stop last, together.
    pub(crate) extensions: Vec<Task>,
    /// To be cancelled before the first stage stops.
    pub(crate) draining: CancellationToken,
}

/// Builds everything and binds all ports.
pub(crate) async fn build(
    config: &ServiceConfig,
    metrics: &OwnMetrics,
    listens: &parking_lot::Mutex<Vec<ListenAddress>>,
) -> Result<Graph, CollectorError> {
    let graph = Graph::default();
    let mut builder = Builder {
        config,
        metrics,
        listens,
        draining: graph.draining.clone(),
        graph,
        exporters: BTreeMap::new(),
        pipelines: HashMap::new(),
        connectors: HashMap::new(),
    };
    builder.extensions().await?;
    builder.exporters().await?;
    for id in config.pipelines.keys() {
        builder.pipeline(id)?;
    }
    builder.receivers().await?;
    // Built from the end of the data to its beginning; stopping goes the other way.
    builder.graph.processors.reverse();
    Ok(builder.graph)
}

struct Builder<'c> {
    config: &'c ServiceConfig,
    metrics: &'c OwnMetrics,
    listens: &'c parking_lot::Mutex<Vec<ListenAddress>>,
    graph: Graph,
    draining: CancellationToken,
    exporters: BTreeMap<ComponentId, Arc<dyn Consumer>>,
    /// Entry of each built pipeline.
    pipelines: HashMap<PipelineId, Arc<dyn Consumer>>,
    /// Entry of each built connector, per signal it takes.
    connectors: HashMap<(ComponentId, Signal), Arc<dyn Consumer>>,
}

impl<'c> Builder<'c> {
    fn context<'a>(&self, id: &'a ComponentId) -> BuildContext<'a>
    where
        'c: 'a,
    {
        BuildContext {
            id,
            metrics: self.metrics,
            listens: self.listens,
            draining: self.draining.clone(),
        }
    }

    async fn extensions(&mut self) -> Result<(), CollectorError> {
        for id in &self.config.started_extensions {
            let built = self.config.extensions[id]
                .config
                .build(self.context(id))
                .await?;
            push(
                &mut self.graph.extensions,
                format!("extension {id}"),
                built.runner,
            );
        }
        Ok(())
    }

    async fn exporters(&mut self) -> Result<(), CollectorError> {
        for (id, defined) in &self.config.exporters {
            let is_used = self
                .config
                .pipelines
                .values()
                .any(|p| p.exporters.contains(id));
            if !is_used {
                continue; // Defined but in no pipeline: never built, as in the official collector.
            }
            let built = defined.config.build(self.context(id)).await?;
            push(
                &mut self.graph.exporters,
                format!("exporter {id}"),
                built.runner,
            );
            self.exporters
                .insert(id.clone(), entry(built.consumer, "exporter", id)?);
        }
        Ok(())
    }

    /// Builds a pipeline and all that come after it; returns its entry.
    fn pipeline(&mut self, id: &'c PipelineId) -> Result<Arc<dyn Consumer>, CollectorError> {
        if let Some(entry) = self.pipelines.get(id) {
            return Ok(Arc::clone(entry));
        }
        let config: &'c PipelineConfig = &self.config.pipelines[id];
        let mut ends = Vec::with_capacity(config.exporters.len());
        for exporter in &config.exporters {
            let end = match self.exporters.get(exporter) {
                Some(exporter) => Arc::clone(exporter),
                None => self.connector(exporter, id.signal)?,
            };
            ends.push(end);
        }
        let mut next = FanOut::of(ends);
        for processor in config.processors.iter().rev() {
            let defined = &self.config.processors[processor];
            let context = self.context(processor);
            let outgoing = self.counted("outgoing", processor, id.signal, next);
            let built = defined.config.build(&context, id, outgoing)?;
            let name = format!("processor {processor} of pipeline {id}");
            push(&mut self.graph.processors, name, built.runner);
            let incoming = entry(built.consumer, "processor", processor)?;
            next = self.counted("incoming", processor, id.signal, incoming);
        }
        self.pipelines.insert(id.clone(), Arc::clone(&next));
        Ok(next)
    }

    /// Counts the items on one side of a processor.
    fn counted(
        &self,
        side: &str,
        processor: &ComponentId,
        signal: Signal,
        next: Arc<dyn Consumer>,
    ) -> Arc<dyn Consumer> {
        let items = self.metrics.counter(
            &format!("otelcol_processor_{side}_items"),
            &format!("Number of items {side} at the processor."),
            &[
                ("processor", &processor.to_string()),
                ("otel_signal", signal.name()),
            ],
        );
        Arc::new(Counted { items, next })
    }

    fn connector(
        &mut self,
        id: &'c ComponentId,
        signal: Signal,
    ) -> Result<Arc<dyn Consumer>, CollectorError> {
        let key = (id.clone(), signal);
        if let Some(built) = self.connectors.get(&key) {
            return Ok(Arc::clone(built));
        }
        let defined = &self.config.connectors[id];
        let outputs = self.outputs_of(id)?;
        let built = defined.config.build(&self.context(id), signal, outputs)?;
        push(
            &mut self.graph.processors,
            format!("connector {id}"),
            built.runner,
        );
        let consumer = entry(built.consumer, "connector", id)?;
        self.connectors.insert(key, Arc::clone(&consumer));
        Ok(consumer)
    }

    /// The pipelines that a receiver or connector feeds, per signal.
    fn outputs_of(&mut self, id: &ComponentId) -> Result<Outputs, CollectorError> {
        let mut by_signal: HashMap<Signal, Vec<Arc<dyn Consumer>>> = HashMap::new();
        for (pipeline, config) in &self.config.pipelines {
            if config.receivers.contains(id) {
                let entry = self.pipeline(pipeline)?;
                by_signal.entry(pipeline.signal).or_default().push(entry);
            }
        }
        Ok(by_signal
            .into_iter()
            .map(|(signal, consumers)| (signal, FanOut::of(consumers)))
            .collect())
    }

    async fn receivers(&mut self) -> Result<(), CollectorError> {
        for (id, defined) in &self.config.receivers {
            let outputs = self.outputs_of(id)?;
            if outputs.is_empty() {
                continue;
            }
            let built = defined.config.build(self.context(id), outputs).await?;
            push(
                &mut self.graph.receivers,
                format!("receiver {id}"),
                built.runner,
            );
        }
        Ok(())
    }
}

/// Counts what passes.
struct Counted {
    items: Counter,
    next: Arc<dyn Consumer>,
}

impl Consumer for Counted {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        self.items.add(batch.items() as f64);
        self.next.consume(batch)
    }
}

fn push(tasks: &mut Vec<Task>, name: String, runner: Option<Runner>) {
    if let Some(runner) = runner {
        tasks.push(Task { name, runner });
    }
}

fn entry(
    consumer: Option<Arc<dyn Consumer>>,
    kind: &str,
    id: &ComponentId,
) -> Result<Arc<dyn Consumer>, CollectorError> {
    consumer.ok_or_else(|| CollectorError::Component {
        component: format!("{kind} {id}"),
        message: "takes no data".to_owned(),
    })
}

impl From<Arc<dyn Consumer>> for Built {
    fn from(consumer: Arc<dyn Consumer>) -> Self {
        Self {
            consumer: Some(consumer),
            runner: None,
        }
    }
}
