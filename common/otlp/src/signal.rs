//! The three signals.

use std::fmt;

use crate::error::DecodeError;
use crate::schema::{self, Message};

/// A kind of telemetry, each with its own OTLP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Metrics; items are data points.
    Metrics,
    /// Traces; items are spans.
    Traces,
    /// Logs; items are log records.
    Logs,
}

impl Signal {
    /// All signals, in the order in which documentation names them.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// Name as in a pipeline id: `metrics`, `traces`, `logs`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// What its items are called in metric names: `metric_points`, `spans`, `log_records`.
    pub fn items_name(self) -> &'static str {
        match self {
            Self::Metrics => "metric_points",
            Self::Traces => "spans",
            Self::Logs => "log_records",
        }
    }

    /// Path of the gRPC method.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// Default path of OTLP/HTTP.
    pub fn http_path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    /// The export request message.
    pub fn request(self) -> &'static Message {
        match self {
            Self::Metrics => &schema::METRICS_REQUEST,
            Self::Traces => &schema::TRACES_REQUEST,
            Self::Logs => &schema::LOGS_REQUEST,
        }
    }

    /// The export response message.
    pub fn response(self) -> &'static Message {
        match self {
            Self::Metrics => &schema::METRICS_RESPONSE,
            Self::Traces => &schema::TRACES_RESPONSE,
            Self::Logs => &schema::LOGS_RESPONSE,
        }
    }

    /// Checks a protobuf export request of this signal and returns the number of its items
    /// (data points, spans or log records).
    ///
    /// # Errors
    /// The bytes are not a valid request.
    pub fn validate(self, request: &[u8]) -> Result<usize, DecodeError> {
        self.request().validate(request)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
