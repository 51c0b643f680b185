//! Scraping: finds targets, fetches their expositions on schedule and appends the samples to storage.
//!
//! Data flow: a [`config::ScrapeConfig`] is resolved to a pool's settings; the discovery crate yields
//! target groups; relabelling ([`relabel`]) turns each group member into a target or drops it; every target
//! has one task that waits for its slot, fetches the page, parses it in place and appends it in one
//! transaction through [`bellwether_model::storage::Appender`].
//!
//! | file | what it holds |
//! |---|---|
//! | `config/` | `scrape_config` as written in YAML, its checks, the resolved settings |
//! | `relabel` | relabelling rules and their engine |
//! | `protocol` | scrape protocols, `Accept` header, content type negotiation |
//! | `groups` | what relabelling makes of discovered groups |
//! | `target` | from discovered labels to a target; its state as the API shows it |
//! | `client` | one fetch through `bellwether-http`: gzip, limits, buffers |
//! | `cache` | raw series bytes to series reference, kept from scrape to scrape |
//! | `native`, `nhcb` | resolution and size of native histograms; native ones from classic ones |
//! | `append`, `labels` | one exposition into one transaction; the labels of its series |
//! | `report`, `metadata` | the report series; families |
//! | `scrape_loop`, `pool`, `manager` | the tasks and who owns them |
//! | `threads` | the threads that they run on |
//! | `check` | what can be told about targets without scraping them |
//! | `metrics` | the scraper's own metrics under Prometheus' names |
//!
//! Invariants:
//! - one scrape is one transaction: all samples of a page or none (then only the report series);
//! - a series that vanishes, a failed scrape and a removed target end in stale markers; a shutdown does not,
//!   as in Prometheus, because the next process goes on with the same series;
//! - parsing and appending never run on a thread that answers requests;
//! - a known series costs no allocation.

pub mod append;
mod cache;
mod check;
mod client;
pub mod config;
mod groups;
mod labels;
mod manager;
mod metadata;
mod metrics;
mod native;
mod nhcb;
mod pool;
pub mod protocol;
pub mod relabel;
mod report;
mod scrape_loop;
mod snapshot;
mod target;
mod threads;

pub use check::{GroupError, check_group};
pub use client::FetchError;
pub use config::{ScrapeConfig, ScrapeConfigError, ScrapeDefaults};
pub use groups::{CheckedTarget, check_targets};
pub use manager::{ScrapeManager, ScrapeOptions};
pub use snapshot::{
    ActiveTarget, DroppedTarget, Health, MetricMetadata, TargetMetadata, TargetsSnapshot,
};
