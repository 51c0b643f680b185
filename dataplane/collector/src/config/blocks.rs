//! Blocks that several components share.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::types::{Accepted, GoDuration, Section, Unsupported};
use crate::cors::CorsConfig;

/// Body limit of an HTTP server, in bytes.
pub(crate) const HTTP_BODY_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// Message limit of a gRPC server in MiB when the configuration says 0.
pub(crate) const GRPC_MESSAGE_MIB_DEFAULT: u64 = 4;

/// `confighttp` server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpServer {
    /// `host:port`; the component has the default.
    pub endpoint: Option<String>,
    /// Only TCP exists here.
    pub transport: Option<Tcp>,
    /// False switches the section off.
    pub enabled: bool,
    /// Limit of the compressed and of the decompressed body in bytes.
    pub max_request_body_size: u64,
    /// No component needs the metadata yet.
    pub include_metadata: Accepted,
    /// Headers of every answer.
    pub response_headers: BTreeMap<String, String>,
    /// Time for the head of a request; 0 means the default.
    pub read_header_timeout: GoDuration,
    /// Go's server knobs with no counterpart: bodies and answers here are bounded by size.
    pub read_timeout: Accepted,
    /// As `read_timeout`.
    pub write_timeout: Accepted,
    /// As `read_timeout`.
    pub idle_timeout: Accepted,
    /// As `read_timeout`.
    pub keep_alives_enabled: Accepted,
    /// Pages of browsers that may send.
    pub cors: CorsConfig,
    /// `Content-Encoding`s that are taken; all that exist here when absent.
    pub compression_algorithms: Option<Vec<String>>,
    /// Not yet.
    pub tls: Unsupported,
    /// Not yet.
    pub auth: Unsupported,
    /// Path of traces (otlp receiver).
    pub traces_url_path: Option<String>,
    /// Path of metrics (otlp receiver).
    pub metrics_url_path: Option<String>,
    /// Path of logs (otlp receiver).
    pub logs_url_path: Option<String>,
}

impl Default for HttpServer {
    fn default() -> Self {
        Self {
            endpoint: None,
            transport: None,
            enabled: true,
            max_request_body_size: HTTP_BODY_BYTES_MAX,
            include_metadata: Accepted,
            response_headers: BTreeMap::new(),
            read_header_timeout: GoDuration::default(),
            read_timeout: Accepted,
            write_timeout: Accepted,
            idle_timeout: Accepted,
            keep_alives_enabled: Accepted,
            cors: CorsConfig::default(),
            compression_algorithms: None,
            tls: Unsupported,
            auth: Unsupported,
            traces_url_path: None,
            metrics_url_path: None,
            logs_url_path: None,
        }
    }
}

/// The only transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tcp {
    /// TCP.
    Tcp,
}

/// `configgrpc` server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GrpcServer {
    /// `host:port`; the component has the default.
    pub endpoint: Option<String>,
    /// Only TCP exists here.
    pub transport: Option<Tcp>,
    /// False switches the section off.
    pub enabled: bool,
    /// Largest message in MiB; 0 means 4.
    pub max_recv_msg_size_mib: u64,
    /// Go's buffers and stream limits: the HTTP/2 stack here sizes them itself.
    pub max_concurrent_streams: Accepted,
    /// As `max_concurrent_streams`.
    pub read_buffer_size: Accepted,
    /// As `max_concurrent_streams`.
    pub write_buffer_size: Accepted,
    /// As `max_concurrent_streams`.
    pub keepalive: Accepted,
    /// No component needs the metadata yet.
    pub include_metadata: Accepted,
    /// Not yet.
    pub tls: Unsupported,
    /// Not yet.
    pub auth: Unsupported,
    /// Not yet.
    pub middlewares: Unsupported,
}

impl Default for GrpcServer {
    fn default() -> Self {
        Self {
            endpoint: None,
            transport: None,
            enabled: true,
            max_recv_msg_size_mib: 0,
            max_concurrent_streams: Accepted,
            read_buffer_size: Accepted,
            write_buffer_size: Accepted,
            keepalive: Accepted,
            include_metadata: Accepted,
            tls: Unsupported,
            auth: Unsupported,
            middlewares: Unsupported,
        }
    }
}

/// `configtls` client. TLS is on unless `insecure` is set (gRPC) or the URL says `http` (HTTP).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsClient {
    /// Plain text.
    pub insecure: bool,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Trusted certificates, a PEM file.
    pub ca_file: Option<String>,
    /// Trusted certificates as PEM text.
    pub ca_pem: Option<String>,
    /// Own certificate, a PEM file.
    pub cert_file: Option<String>,
    /// Own certificate as PEM text.
    pub cert_pem: Option<String>,
    /// Own key, a PEM file.
    pub key_file: Option<String>,
    /// Own key as PEM text.
    pub key_pem: Option<String>,
    /// Name that the server's certificate must have.
    pub server_name_override: Option<String>,
    /// Trust the system's certificates as well.
    pub include_system_ca_certs_pool: bool,
    /// TLS 1.2 and newer are always used.
    pub min_version: Accepted,
    /// As `min_version`.
    pub max_version: Accepted,
    /// Certificates are read once at start.
    pub reload_interval: Unsupported,
}

/// `retry_on_failure`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryConfig {
    /// Whether failed sends are tried again.
    pub enabled: bool,
    /// First waiting time.
    pub initial_interval: GoDuration,
    /// Longest waiting time.
    pub max_interval: GoDuration,
    /// Part of the waiting time that is random, 0 to 1.
    pub randomization_factor: f64,
    /// Growth of the waiting time, at least 1.
    pub multiplier: f64,
    /// Time after which a batch is given up; 0 means never.
    pub max_elapsed_time: GoDuration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: GoDuration::secs(5),
            max_interval: GoDuration::secs(30),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_elapsed_time: GoDuration::secs(300),
        }
    }
}

impl RetryConfig {
    /// Mistakes as (key, message).
    pub(crate) fn validate(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            problems.push(("randomization_factor", "must be between 0 and 1".to_owned()));
        }
        if !self.multiplier.is_finite() || self.multiplier < 1.0 {
            problems.push(("multiplier", "must be at least 1".to_owned()));
        }
        if let Some(elapsed) = self.max_elapsed_time.non_zero() {
            for (name, interval) in [
                ("initial_interval", self.initial_interval),
                ("max_interval", self.max_interval),
            ] {
                if interval.0 > elapsed {
                    let message = format!("must not be less than {name}");
                    problems.push(("max_elapsed_time", message));
                }
            }
        }
        problems
    }

    /// The waiting time after `previous`, and what to sleep: the interval with its random part.
    pub(crate) fn next_interval(&self, previous: Option<Duration>) -> Duration {
        match previous {
            None => self.initial_interval.0,
            Some(previous) => previous.mul_f64(self.multiplier).min(self.max_interval.0),
        }
    }
}

/// What `queue_size` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sizer {
    /// Batches.
    #[default]
    Requests,
    /// Data points, spans, log records.
    Items,
    /// Bytes of the protobuf form.
    Bytes,
}

/// `sending_queue`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QueueConfig {
    /// Without a queue, sending happens in the caller's time and its errors go back to the caller.
    pub enabled: bool,
    /// Sends at the same time.
    pub num_consumers: usize,
    /// Capacity in units of `sizer`.
    pub queue_size: usize,
    /// Unit of the capacity.
    pub sizer: Sizer,
    /// Wait when the queue is full rather than refuse.
    pub block_on_overflow: bool,
    /// Not yet.
    pub wait_for_result: Unsupported,
    /// Not yet: the queue lives in memory.
    pub storage: Unsupported,
    /// Joins what waits; on as soon as the key is there.
    pub batch: Section<QueueBatch>,
}

/// `sending_queue::batch`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QueueBatch {
    /// False switches the section off.
    pub enabled: bool,
    /// Longest wait for more.
    pub flush_timeout: GoDuration,
    /// Size, in units of `sizer`, that is sent at once.
    pub min_size: usize,
    /// Larger batches are cut; 0 means no limit.
    pub max_size: usize,
    /// What the sizes count.
    pub sizer: BatchSizer,
    /// Not yet: the pipeline does not carry the clients' metadata.
    pub partition: Unsupported,
}

/// What the sizes of a [`QueueBatch`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BatchSizer {
    /// Data points, spans, log records.
    #[default]
    Items,
    /// Bytes of the protobuf form.
    Bytes,
}

impl Default for QueueBatch {
    fn default() -> Self {
        Self {
            enabled: true,
            flush_timeout: GoDuration::millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: BatchSizer::Items,
            partition: Unsupported,
        }
    }
}

impl QueueBatch {
    fn validate(&self, queue: &QueueConfig) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.flush_timeout.non_zero().is_none() {
            problems.push(("batch::flush_timeout", "must be positive".to_owned()));
        }
        if self.max_size > 0 && self.max_size < self.min_size {
            let message = format!(
                "must be 0 (no limit) or at least min_size ({})",
                self.min_size
            );
            problems.push(("batch::max_size", message));
        }
        if self.max_size > 0 && self.sizer == BatchSizer::Bytes {
            let message = "is not supported yet with the sizer bytes; use items or 0".to_owned();
            problems.push(("batch::max_size", message));
        }
        let same_unit = matches!(
            (self.sizer, queue.sizer),
            (BatchSizer::Items, Sizer::Items) | (BatchSizer::Bytes, Sizer::Bytes)
        );
        if same_unit && queue.queue_size < self.min_size {
            let message = format!("must not be above queue_size ({})", queue.queue_size);
            problems.push(("batch::min_size", message));
        }
        problems
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            num_consumers: 10,
            queue_size: 1000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            wait_for_result: Unsupported,
            storage: Unsupported,
            batch: Section::default(),
        }
    }
}

impl QueueConfig {
    /// How to join batches, when that is on.
    pub(crate) fn batching(&self) -> Option<&QueueBatch> {
        self.batch.0.as_ref().filter(|batch| batch.enabled)
    }

    /// Mistakes as (key, message).
    pub(crate) fn validate(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.enabled && self.queue_size == 0 {
            problems.push(("queue_size", "must be positive".to_owned()));
        }
        if self.enabled && self.num_consumers == 0 {
            problems.push(("num_consumers", "must be positive".to_owned()));
        }
        if let Some(batch) = self.batching() {
            problems.extend(batch.validate(self));
        }
        problems
    }
}
