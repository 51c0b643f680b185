//! Life of a collector: build (bind all ports), run, stop with the data.

use std::net::SocketAddr;
use std::time::Duration;

use bellwether_net::ServeOptions;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::CollectorConfig;
use crate::error::CollectorError;
use crate::pipeline::component::bind;
use crate::pipeline::graph::{self, Graph, Task};
use crate::pipeline::own_metrics::OwnMetrics;

/// A stage that does not end within this time is cut off, with a log line.
const STAGE_DEADLINE: Duration = Duration::from_secs(15);

/// An address that the collector listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// Key path of the address, for example `receivers::otlp::protocols::grpc::endpoint`.
    pub option: String,
    /// The bound address; with port 0 in the configuration this is the port the system chose.
    pub address: SocketAddr,
}

/// A collector with all ports bound and nothing running.
pub struct Collector {
    graph: Graph,
    listens: Vec<ListenAddress>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("listens", &self.listens)
            .finish_non_exhaustive()
    }
}

impl Collector {
    /// Connects the components and binds every port. Dropping the result frees the ports.
    ///
    /// # Errors
    /// A port in use (the error names component, port and key), or a component that cannot be built.
    pub async fn build(config: &CollectorConfig) -> Result<Self, CollectorError> {
        for warning in config.warnings() {
            tracing::warn!(%warning, "configuration");
        }
        let metrics = OwnMetrics::new();
        let listens = Mutex::new(Vec::new());
        let mut graph = graph::build(&config.service, &metrics, &listens).await?;
        let telemetry = &config.service.telemetry;
        for page in telemetry.metrics.pages() {
            let option = page.option.to_owned();
            let listener = bind("telemetry", option, &page.endpoint, &listens).await?;
            let router = metrics.router(&page, telemetry);
            graph.extensions.push(Task {
                name: "own metrics".to_owned(),
                runner: Box::new(move |stop| {
                    Box::pin(bellwether_net::serve(
                        listener,
                        router,
                        ServeOptions::default(),
                        stop,
                    ))
                }),
            });
        }
        Ok(Self {
            graph,
            listens: listens.into_inner(),
        })
    }

    /// Every bound address with the key that sets it.
    pub fn listen_addresses(&self) -> &[ListenAddress] {
        &self.listens
    }

    /// Starts all components and runs until `shutdown` is cancelled, then stops them in the order of
    /// the data: receivers answer what they began, processors flush, exporters drain.
    ///
    /// # Errors
    /// A component ended by itself, which is a bug; the others are stopped in order before this returns.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), CollectorError> {
        let graph = self.graph;
        let extensions = Stage::start("extensions", graph.extensions);
        let mut exporters = Stage::start("exporters", graph.exporters);
        let mut processors: Vec<Stage> = graph
            .processors
            .into_iter()
            .map(|task| Stage::start("processor", vec![task]))
            .collect();
        let mut receivers = Stage::start("receivers", graph.receivers);
        tracing::info!("collector is running");
        let ended = tokio::select! {
            () = shutdown.cancelled() => None,
            name = receivers.first_end() => Some(name),
            name = first_end_of(&mut processors) => Some(name),
            name = exporters.first_end() => Some(name),
        };
        tracing::info!("collector is stopping");
        graph.draining.cancel();
        receivers.stop().await;
        for processor in &mut processors {
            processor.stop().await;
        }
        exporters.stop().await;
        let mut extensions = extensions;
        extensions.stop().await;
        tracing::info!("collector has stopped");
        match ended {
            Some(component) => Err(CollectorError::Stopped { component }),
            None => Ok(()),
        }
    }
}

/// Builds and runs a collector.
///
/// # Errors
/// As [`Collector::build`] and [`Collector::run`].
pub async fn run(
    config: CollectorConfig,
    shutdown: CancellationToken,
) -> Result<(), CollectorError> {
    let collector = Collector::build(&config).await?;
    collector.run(shutdown).await
}

/// Waits until a task of any of these stages ends by itself.
async fn first_end_of(stages: &mut [Stage]) -> String {
    if stages.is_empty() {
        return std::future::pending().await;
    }
    let ends = stages.iter_mut().map(|stage| Box::pin(stage.first_end()));
    futures_util::future::select_all(ends).await.0
}

/// Tasks that stop together.
struct Stage {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<String>,
}

impl Stage {
    fn start(name: &'static str, tasks: Vec<Task>) -> Self {
        let stop = CancellationToken::new();
        let mut set = JoinSet::new();
        for Task { name, runner } in tasks {
            let future = runner(stop.clone());
            set.spawn(async move {
                future.await;
                name
            });
        }
        Self {
            name,
            stop,
            tasks: set,
        }
    }

    /// Waits for a task that ends although it was not told to.
    async fn first_end(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(error)) => format!("a task of the {} ({error})", self.name),
            None => std::future::pending().await,
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        let all = async {
            while let Some(result) = self.tasks.join_next().await {
                if let Err(error) = result {
                    tracing::error!(stage = self.name, %error, "task failed");
                }
            }
        };
        if tokio::time::timeout(STAGE_DEADLINE, all).await.is_err() {
            tracing::error!(
                stage = self.name,
                deadline_s = STAGE_DEADLINE.as_secs(),
                "stage did not stop in time and is cut off"
            );
            self.tasks.shutdown().await;
        }
    }
}
