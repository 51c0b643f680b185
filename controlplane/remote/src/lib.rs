//! Remote write and remote read, both ways: receiving and sending, answering and asking.
//!
//! Data flow of version 1: [`decompress`] opens the snappy block within a size limit; [`decode`] walks the protobuf message
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
//! | [`config`] | `remote_write` and `remote_read` of the configuration |
//! | [`send`] | remote write out: from the write-ahead log to the receivers |
//! | [`reader`] | remote read as a client |
//! | `client` | the way out: the HTTP client |
//! | `wire` | protobuf's wire format: a cursor and a writer |
//! | `request` | the messages: borrowed series, samples, exemplars, histograms, metadata |
//! | `encode` | building a request |
//! | `receive` | into storage |
//! | `v2` | remote write 2.0 into storage |
//! | `read` | remote read: requests, and answers in samples or in frames of chunks |
//! | [`otlp`] | OTLP metrics into storage |
//! | `cache` | series that earlier requests named |
//! | `error` | [`RemoteWriteError`] and [`DecodeError`] |

mod cache;
mod client;
pub mod config;
mod encode;
mod error;
pub mod otlp;
mod read;
pub mod reader;
mod receive;
mod request;
pub mod send;
#[cfg(test)]
mod tests;
mod v2;
mod wire;

pub use cache::SeriesCache;
pub use encode::{RequestBuilder, encode_floats};
pub use error::{DecodeError, Refusal, RemoteWriteError};
pub use read::{
    ChunkRecord, FrameWriter, READ_REQUEST_BYTES_MAX, ReadError, ReadQuery, ReadRequest,
    ResponseType, SamplesResponse,
};
pub use receive::{MAX_AHEAD_MS, WriteStats, decompress, write};
pub use request::{
    ExemplarRecord, HistogramRecord, MetricMetadata, SampleRecord, TimeSeries, WriteRequest, decode,
};
pub use v2::{V2Options, write_v2};
