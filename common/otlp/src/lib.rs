//! OTLP: the wire format of OpenTelemetry, read without building objects, and its translation to Prometheus.
//!
//! A request arrives as protobuf bytes (JSON is turned into the same bytes by [`json`]).
//! [`Signal::validate`] walks it once against the [`schema`] and counts its items; after that the
//! views of [`metrics`] iterate over resources, scopes, metrics and data points with borrowed
//! strings and cannot fail. Batches that are only forwarded stay bytes: [`raw`] joins, splits and
//! rewrites them field by field. [`translate`] is the one place that knows how OTLP names, units
//! and attributes become Prometheus names and labels; the collector's exporter and the server's
//! OTLP endpoint both call it.
//!
//! Invariants:
//! - No input makes this crate panic: every length, varint, UTF-8 string and nesting depth is checked.
//! - Views exist only over validated bytes, so an iterator never has to report an error.
//! - What [`Signal::validate`] accepts, a generated protobuf decoder accepts, and the other way round
//!   (property-tested against prost), except that trace and span ids must have their length.
//!
//! | module | what |
//! |---|---|
//! | [`wire`] | protobuf fields as they stand in the buffer |
//! | [`schema`] | message tables of the three signals, validation |
//! | [`value`] | attributes and `AnyValue` |
//! | [`metrics`] | views over metrics |
//! | [`raw`] | operations on undecoded requests |
//! | [`cumulative`] | delta points added up |
//! | [`json`] | OTLP/JSON in both directions |
//! | [`translate`] | OTLP to Prometheus |

pub mod cumulative;
pub mod error;
pub mod json;
pub mod metrics;
pub mod raw;
pub mod schema;
pub mod signal;
pub mod translate;
pub mod value;
pub mod wire;

pub use error::{DecodeError, DecodeErrorKind};
pub use metrics::MetricsRequest;
pub use signal::Signal;
