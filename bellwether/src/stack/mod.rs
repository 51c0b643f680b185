//! The stack file: which planes run on which ports, with which faults and traffic.
//!
//! Two steps, as everywhere: [`file`] mirrors the YAML as written, [`resolve`] checks it and fills every
//! default. The supervisor sees only the resolved [`Stack`]. [`access`] says how the metrics server is reached,
//! [`generate`] writes the configurations that follow from all this.

pub(crate) mod access;
mod file;
pub(crate) mod generate;
mod resolve;

pub(crate) use resolve::{Overrides, Plane, Stack};

/// The stack file that `init` writes and that `up` uses when there is none.
pub(crate) const DEFAULT_STACK: &str = include_str!("../../../config/stack.yml");
/// The collector configuration of a plane that names none.
pub(crate) const DEFAULT_COLLECTOR: &str = include_str!("../../../config/collector.yml");
/// The recording rules and alerts of every stack.
pub(crate) const DEFAULT_RULES: &str = include_str!("../../../config/rules.yml");
/// The scrape configuration of the default planes, for editing.
pub(crate) const DEFAULT_PROMETHEUS: &str = include_str!("../../../config/prometheus.yml");
