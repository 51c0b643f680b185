//! Service discovery: where the targets of scrapes and the addresses of Alertmanagers come from.
//!
//! Data flow: [`SdConfigs`] are the keys of the configuration; the [`Manager`] builds a [`Discoverer`] for each
//! entry and runs it; a discoverer sends [`TargetGroup`]s; the manager keeps the newest group of each source and
//! publishes to each set what all of its discoverers found. Relabelling is the follower's.
//!
//! | file | what it holds |
//! |---|---|
//! | `config/` | all kinds of `*_sd_configs`, their keys and checks |
//! | `group` | target groups |
//! | `discoverer` | the seam between mechanisms and the manager |
//! | `manager` | sets, providers, and who hears of what |
//! | `follower` | the newest state of a set |
//! | `refresh` | mechanisms that ask again and again |
//! | `api`, `labels` | asking for JSON; making labels of the answers |
//! | `kinds/` | the mechanisms |
//! | `metrics` | `prometheus_sd_*` |
//!
//! Invariants:
//! - a mechanism that fails keeps what it found before;
//! - equal entries are one running mechanism, however many jobs have them;
//! - a group that did not change stays the same allocation, so that followers need not look at it again;
//! - every queue is bounded, every task ends with its manager.

mod api;
pub mod config;
mod discoverer;
mod follower;
mod group;
mod kinds;
mod labels;
mod manager;
mod metrics;
mod refresh;
#[cfg(test)]
mod testing;

pub use config::{SdConfig, SdConfigError, SdConfigs, mechanisms, not_runnable};
pub use discoverer::{BuildError, Discoverer, Gone, Running, Updates};
pub use follower::Follower;
pub use group::TargetGroup;
pub use manager::{GroupList, Manager, SetConfig};
