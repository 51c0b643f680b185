//! How Bellwether observes itself: the metrics registry behind every `/metrics` page and the set-up of logging.
//!
//! A component owns a [`Registry`], creates typed handles at start and keeps them; recording is an atomic
//! operation. Rendering walks the families in order of their names and writes the text format or OpenMetrics.
//! Values that live elsewhere (queue lengths, series counts) come in through [`Registry::on_collect`].
//!
//! Invariants: a family has one type and one help text; a counter never decreases; asking twice for the same
//! name and labels gives the same time series.

mod family;
mod logging;
mod process;
mod registry;
mod render;
pub mod trace;

pub use family::{Counter, Gauge, Histogram, Summary};
pub use logging::{LogFormat, init as init_logging};
pub use process::register as register_process_metrics;
pub use registry::{Collect, Registry};
pub use render::{OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE};
