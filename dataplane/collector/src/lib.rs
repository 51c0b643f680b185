//! The collector: receives OTLP, processes it in pipelines, and exports it. It reads the official
//! OpenTelemetry Collector's configuration.
//!
//! [`CollectorConfig::load`] reads YAML (files, merging, `${env:…}`) and reports every mistake with
//! file, line, column and key path. [`Collector::build`] connects the components and binds all ports;
//! [`Collector::run`] starts them and ends, after the shutdown signal, when everything received was
//! handed on. [`run`] does both.
//!
//! Data flow: a receiver checks a request and hands it as a whole batch, still bytes, to the first
//! processor of each pipeline; it answers the client only when the batch was accepted. Refusals travel
//! back as the protocol's retryable status. `config/` reads configurations, `pipeline/` connects
//! components, and each component has a folder with a README under its kind.
//!
//! Invariants:
//! - a batch that was answered with success is exported, or a counter says why not;
//! - every queue is bounded; a full queue is an answer to the sender, not growing memory;
//! - shutdown goes with the data: receivers, processors, exporters, extensions;
//! - factories stand in one list per kind (`receivers/mod.rs` and so on); nothing registers itself.

mod collector;
mod config;
mod connectors;
mod cors;
mod error;
mod exporters;
mod extensions;
mod grpc_codec;
mod pipeline;
mod process_usage;
mod processors;
mod receivers;
mod rpc_status;

pub use collector::{Collector, ListenAddress, run};
pub use config::telemetry::{LogEncoding, LogLevel};
pub use config::{CollectorConfig, ConfigError, ConfigSource, Problem};
pub use error::CollectorError;
