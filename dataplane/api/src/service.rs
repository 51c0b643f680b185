//! The entry points: [`run`] and [`run_payment_provider`].
//!
//! Order at the end: the shop drains, then its embedded provider (which those
//! last requests may still call), then the telemetry of each is flushed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use bellwether_net::ServeOptions;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::behaviour::Behaviour;
use crate::breaker::Breaker;
use crate::config::{ApiConfig, PaymentProvider, ProviderConfig, Timeouts};
use crate::faults::{FaultControl, FaultError};
use crate::observe::Observer;
use crate::otel::{Telemetry, TelemetryError};
use crate::payments::{PaymentClient, ProviderUrlError};
use crate::provider;
use crate::shop::{self, Shop, ShopMetrics};

/// A service that runs until its shutdown token is cancelled. Boxed, so that
/// callers do not compile the service's inside again.
pub type ServiceFuture = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>;

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The telemetry settings cannot be used.
    #[error("{name}: {source}")]
    Telemetry {
        /// The service.
        name: String,
        /// The reason.
        source: TelemetryError,
    },
    /// The faults to start with are refused.
    #[error("{name}: faults at start: {source}")]
    Faults {
        /// The service.
        name: String,
        /// The reason.
        source: FaultError,
    },
    /// The payment provider's URL is not one.
    #[error("{name}: {source}")]
    ProviderUrl {
        /// The service.
        name: String,
        /// The reason.
        source: ProviderUrlError,
    },
    /// The embedded payment provider found no port.
    #[error("{name}: the embedded payment provider cannot listen on a loopback port: {source}")]
    ProviderListen {
        /// The service.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Runs a shop API on `listener` until `shutdown` is cancelled, then drains it
/// and sends the last telemetry. Ready as soon as it is first polled: the
/// listener is already bound.
///
/// # Errors
/// Settings that cannot be used; found before the first request is answered.
#[must_use = "the service runs only while this is polled"]
pub fn run(config: ApiConfig, listener: TcpListener, shutdown: CancellationToken) -> ServiceFuture {
    Box::pin(run_shop(config, listener, shutdown))
}

/// Runs a payment provider on `listener` until `shutdown` is cancelled, then
/// drains it and sends the last telemetry.
///
/// # Errors
/// Settings that cannot be used; found before the first request is answered.
#[must_use = "the service runs only while this is polled"]
pub fn run_payment_provider(
    config: ProviderConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> ServiceFuture {
    Box::pin(run_provider(config, listener, shutdown))
}

async fn run_shop(
    config: ApiConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    // The embedded provider outlives the drain of the shop, so it has its own
    // token; the guard also ends it when the shop cannot start.
    let provider_shutdown = CancellationToken::new();
    let provider_guard = provider_shutdown.clone().drop_guard();
    let (provider_url, provider) = start_provider(&config, provider_shutdown).await?;
    let telemetry = start_telemetry(&config.name, &config.telemetry, &config.identity).await?;
    let router = shop_router(&config, &provider_url, &telemetry)?;
    serve(
        &config.name,
        router,
        listener,
        config.timeouts,
        &telemetry,
        shutdown,
    )
    .await;
    drop(provider_guard);
    if let Some(provider) = provider {
        match provider.await {
            Ok(result) => result?,
            Err(error) => {
                tracing::error!(name = config.name, %error, "payment provider task failed");
            }
        }
    }
    telemetry.shutdown().await;
    Ok(())
}

async fn run_provider(
    config: ProviderConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    let telemetry = start_telemetry(&config.name, &config.telemetry, &config.identity).await?;
    let observer = Arc::new(Observer::new(
        &telemetry,
        config.telemetry.old_http_semconv,
        provider::ROUTES,
        config.timeouts,
    ));
    let router = provider::router(observer, config.faults, config.seed).map_err(|source| {
        ApiError::Faults {
            name: config.name.clone(),
            source,
        }
    })?;
    serve(
        &config.name,
        router,
        listener,
        config.timeouts,
        &telemetry,
        shutdown,
    )
    .await;
    telemetry.shutdown().await;
    Ok(())
}

type ProviderTask = JoinHandle<Result<(), ApiError>>;

/// The provider's URL, and its task when it is ours.
async fn start_provider(
    config: &ApiConfig,
    shutdown: CancellationToken,
) -> Result<(String, Option<ProviderTask>), ApiError> {
    if let PaymentProvider::Url(url) = &config.payment_provider {
        return Ok((url.clone(), None));
    }
    let listen_error = |source| ApiError::ProviderListen {
        name: config.name.clone(),
        source,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let task = tokio::spawn(run_payment_provider(
        config.provider_config(),
        listener,
        shutdown,
    ));
    Ok((format!("http://{address}"), Some(task)))
}

async fn start_telemetry(
    name: &str,
    config: &crate::telemetry_config::TelemetryConfig,
    identity: &crate::config::Identity,
) -> Result<Telemetry, ApiError> {
    Telemetry::start(config.clone(), identity)
        .await
        .map_err(|source| ApiError::Telemetry {
            name: name.to_owned(),
            source,
        })
}

fn shop_router(
    config: &ApiConfig,
    provider_url: &str,
    telemetry: &Telemetry,
) -> Result<Router, ApiError> {
    let meter = telemetry.meter();
    let faults = FaultControl::new(config.faults.clone(), shop::ROUTES).map_err(|source| {
        ApiError::Faults {
            name: config.name.clone(),
            source,
        }
    })?;
    let breaker = Breaker::new(config.breaker, shop::breaker_transitions(&meter));
    let payments = PaymentClient::new(
        provider_url,
        config.payment_timeout,
        Arc::clone(&breaker),
        telemetry,
    )
    .map_err(|source| ApiError::ProviderUrl {
        name: config.name.clone(),
        source,
    })?;
    let observer = Arc::new(Observer::new(
        telemetry,
        config.telemetry.old_http_semconv,
        shop::ROUTES,
        config.timeouts,
    ));
    let shop = Arc::new(Shop {
        behaviour: Behaviour::new(config.seed, faults),
        metrics: ShopMetrics::new(&meter, breaker),
        payments,
    });
    Ok(shop::router(shop, observer))
}

async fn serve(
    name: &str,
    router: Router,
    listener: TcpListener,
    timeouts: Timeouts,
    telemetry: &Telemetry,
    shutdown: CancellationToken,
) {
    let options = ServeOptions {
        // One timer of hyper's covers both a slow head and an idle connection.
        header_timeout: timeouts.idle,
        keep_alive: timeouts.idle,
        drain_timeout: timeouts.drain,
        ..ServeOptions::default()
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(name, %address, "listening");
    }
    tokio::join!(
        bellwether_net::serve(listener, router, options, shutdown.clone()),
        telemetry.export_early(&shutdown),
    );
    tracing::info!(name, "drained");
}
