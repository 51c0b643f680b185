//! Prometheus' exposition formats: reading the text format (0.0.4, and 1.0.0 with quoted UTF-8 names), OpenMetrics and
//! protobuf, and writing the first two.
//!
//! A [`Parser`] walks a page that is already in memory and borrows everything from it: for each sample line
//! it yields the series exactly as written (name and labels as one slice), the value, and the optional
//! timestamp and exemplar. Labels are only taken apart on demand ([`SeriesLine::labels`]), because a scraper
//! knows almost every series from the previous scrape by its raw bytes. A caller that remembers the previous
//! order passes the series it expects ([`Parser::next_expecting`]); when it guessed right the line costs one
//! comparison of bytes and the parsing of a number.
//!
//! Leniency is that of Prometheus 3.5, not that of the OpenMetrics specification. Because labels are parsed on
//! demand, a caller has to ask for the labels of every series it has not seen before: that is where syntax
//! errors between the braces come to light.
//!
//! Invariants:
//! - no input panics, and every error names line and column;
//! - nothing is allocated for a sample line whose labels are not asked for.
//!
//! | file | what it holds |
//! |---|---|
//! | `parse/` | entries, the two line grammars, labels, numbers |
//! | `proto/` | the protobuf format, the only one with native histograms |
//! | `error` | [`ParseError`] |
//! | `write` | escaping and sample lines for writers |

mod error;
mod parse;
mod proto;
mod write;

pub use error::ParseError;
pub use parse::{
    CreatedLines, Entry, Format, LabelPair, Parser, PlainLine, RawExemplar, SeriesLabels,
    SeriesLine, format_openmetrics_float, parse_series, unescape,
};
pub use proto::{Family, ProtoError, ProtoOptions, ProtoReader, ProtoSample, ProtoValue};
pub use write::{
    push_help, push_label_value, push_sample_name, push_sample_value, push_type, push_unit,
};
