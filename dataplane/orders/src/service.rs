//! The entry point: [`run`].

use std::future::Future;
use std::pin::Pin;

use bellwether_net::ServeOptions;
use bellwether_telemetry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::OrdersConfig;
use crate::metrics::OrderMetrics;
use crate::{queue, routes};

/// A service that runs until its shutdown token is cancelled. Boxed, so that
/// callers do not compile the service's inside again.
pub type ServiceFuture = Pin<Box<dyn Future<Output = Result<(), OrdersError>> + Send>>;

/// Why the service ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrdersError {
    /// A worker died; orders it held have no outcome.
    #[error("{name}: a worker of the order queue failed: {source}")]
    Worker {
        /// The service.
        name: String,
        /// How it died.
        source: tokio::task::JoinError,
    },
}

/// Runs the order service on `listener` until `shutdown` is cancelled; then
/// requests under way are answered and the queue is emptied.
///
/// # Errors
/// A worker that died, reported at the end.
#[must_use = "the service runs only while this is polled"]
pub fn run(
    config: OrdersConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> ServiceFuture {
    Box::pin(serve(config, listener, shutdown))
}

async fn serve(
    config: OrdersConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), OrdersError> {
    let registry = Registry::new();
    let metrics = OrderMetrics::new(&registry);
    let (queue, mut workers) = queue::start(&config, &metrics, &registry);
    let router = routes::router(queue, registry, config.answer_timeout);
    let options = ServeOptions {
        header_timeout: config.idle_timeout,
        keep_alive: config.idle_timeout,
        drain_timeout: config.drain_timeout,
        ..ServeOptions::default()
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(name = config.name, %address, "listening");
    }
    // The router owns the only queue handle: when serving ends, the workers
    // empty the queue and end.
    bellwether_net::serve(listener, router, options, shutdown).await;
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|source| OrdersError::Worker {
            name: config.name.clone(),
            source,
        })?;
    }
    tracing::info!(name = config.name, "drained");
    Ok(())
}

#[cfg(test)]
mod tests;
