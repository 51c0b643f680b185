//! Remote write 1.0: the receiving side, and the encoder that tests and senders use.
//!
//! Data flow: [`decompress`] opens the snappy block within a size limit; [`decode`] walks the protobuf message
//! `prometheus.WriteRequest` in place and hands out one borrowed [`TimeSeries`] after the other; [`write()`] puts
//! them into storage in one transaction with Prometheus' semantics. HTTP (methods, content types, 415) is the
//! server's business.
//!
//! Invariants:
//! - no input panics; every length is checked against the message that holds it;
//! - decoding floats allocates nothing per sample; unknown fields are skipped, as protobuf demands;
//! - the good samples of a request are stored even when others of it are refused.
//!
//! | file | what it holds |
//! |---|---|
//! | `wire` | protobuf's wire format: a cursor and a writer |
//! | `request` | the messages: borrowed series, samples, exemplars, histograms, metadata |
//! | `encode` | building a request |
//! | `receive` | into storage |
//! | `cache` | series that earlier requests named |
//! | `error` | [`RemoteWriteError`] and [`DecodeError`] |

mod cache;
mod encode;
mod error;
mod receive;
mod request;
#[cfg(test)]
mod tests;
mod wire;

pub use cache::SeriesCache;
pub use encode::{RequestBuilder, encode_floats};
pub use error::{DecodeError, Refusal, RemoteWriteError};
pub use receive::{MAX_AHEAD_MS, WriteStats, decompress, write};
pub use request::{
    ExemplarRecord, HistogramRecord, MetricMetadata, SampleRecord, TimeSeries, WriteRequest, decode,
};
