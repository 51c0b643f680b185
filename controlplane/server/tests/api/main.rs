//! The HTTP API next to the real Prometheus: the same data, the same requests, the same answers.
#![allow(clippy::unwrap_used)]

mod config;
mod dialers;
mod federate;
mod headers;
mod metadata_records;
mod odd_strings;
mod otlp;
mod otlp_delta;
mod promtool;
mod query_log;
mod remote_read;
mod remote_write;
mod start_timestamps;
mod stats;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tracing;
mod type_and_unit;
