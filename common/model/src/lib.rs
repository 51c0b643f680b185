//! The shared vocabulary of the metrics field: labels, matchers, samples, native histograms, exemplars,
//! metadata, durations and number formats, and the storage seams that connect the planes' engines.
//!
//! No I/O happens here and nothing of ours is imported. Scraping, remote write and rules produce
//! `(Labels, Sample)` through [`storage::Appender`]; PromQL and the HTTP API read through
//! [`storage::Queryable`]; the TSDB implements both.
//!
//! Invariants:
//! - a [`Labels`] is sorted bytewise by name, has no duplicate name and no empty value;
//! - timestamps are milliseconds since the Unix epoch in an `i64`; ranges named `mint`/`maxt` are inclusive;
//! - the stale marker is one bit pattern ([`STALE_NAN_BITS`]): compare bits, never `is_nan()`.

pub mod duration;
pub mod exemplar;
pub mod float;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod metadata;
pub mod re2;
pub mod sample;
pub mod storage;

pub use exemplar::Exemplar;
pub use histogram::{FloatHistogram, Histogram, Span};
pub use labels::{Label, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{Metadata, MetricType};
pub use sample::{NORMAL_NAN_BITS, STALE_NAN_BITS, Sample, is_stale_nan, stale_nan};
