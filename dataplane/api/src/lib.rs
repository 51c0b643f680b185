//! The sample services of every data plane: the shop API and the payment
//! provider that it calls, instrumented with OpenTelemetry and pushing OTLP.
//!
//! ```text
//! client -> shop API --POST /charge, traceparent--> payment provider
//!              |   \ circuit breaker                     |
//!              +------------- OTLP ----------------------+--> collector
//! ```
//!
//! A request passes the observing middleware ([`observe`]: server span, HTTP
//! metrics, time limit), then a handler in [`shop`] or [`provider`], which asks
//! [`behaviour`] how long to take and how to end. [`faults`] change that
//! behaviour at run time.
//!
//! Invariants:
//! - no global OpenTelemetry provider and no process environment behind the
//!   caller's back: several services live in one process;
//! - every request that begins is counted exactly once when it ends, also when
//!   the client goes away;
//! - route, method and status labels come from short fixed lists;
//! - chance comes from one seeded generator, waiting from tokio's clock;
//! - after [`run`] has returned, all telemetry was sent or its loss was logged.

mod admin;
mod behaviour;
mod breaker;
mod config;
mod console;
mod env;
mod faults;
mod http_metrics;
mod labels;
mod lesson;
mod observe;
mod otel;
mod payments;
mod propagation;
mod provider;
mod reply;
mod service;
mod shop;
mod telemetry_config;

pub use breaker::BreakerSettings;
pub use config::{ApiConfig, ConfigError, Identity, PaymentProvider, ProviderConfig, Timeouts};
pub use env::Env;
pub use faults::{
    DependencyOutage, FaultError, Faults, LATENCY_MAX_MS, LatencyFaults, RouteLatency,
};
pub use opentelemetry_sdk::metrics::Temporality;
pub use otel::TelemetryError;
pub use payments::ProviderUrlError;
pub use service::{ApiError, ServiceFuture, run, run_payment_provider};
pub use telemetry_config::{
    BatchSettings, ExporterKind, OtlpProtocol, Propagator, SamplerConfig, Signal, SignalConfig,
    TelemetryConfig,
};
