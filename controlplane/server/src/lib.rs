//! The metrics server: configuration, HTTP API, pages, and the wiring of storage, queries and scraping.
//!
//! ```text
//! prometheus.yml --config--> Config --+--> scrape pools --append--> tsdb <--read-- promql <--+
//! flags --flags--> ServerSettings ----+                              ^                       |
//!                                     +--> Server -- listeners -- http router -- api --------+
//!                                                                    +-- remote write, admin, federation
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `flags`, `settings` | Prometheus' command line; the same settings built from code |
//! | `config` | `prometheus.yml` |
//! | `server` | bind, run, stop |
//! | `opening`, `runtime` | the database and what runs on it; reloads and maintenance behind the listeners |
//! | `state`, `queries`, `reload` | what handlers share; the engine behind a limit; reload requests |
//! | `notifications` | what people who look at the server are told |
//! | `active_queries`, `query_log` | which queries run, and which ran |
//! | `rules` | what the API shows of rules, alerts and Alertmanagers |
//! | `http` | the router and what wraps every request |
//! | `spans` | where the server's own spans go |
//! | `api` | `/api/v1` and `/federate` |
//! | `metrics`, `version` | what the server says about itself |
//! | [`tools`] | backfilling and the write benchmark, for the command line |
//!
//! Life: [`Server::bind`] checks the configuration and takes the ports, [`Server::run`] opens the database while
//! health already answers, then becomes ready. Shutdown stops scraping, drains requests, closes the database.
//!
//! Invariants:
//! - nothing that can take long runs on an async thread: queries, reads, appends and file access use blocking ones;
//! - a configuration is applied as a whole or not at all;
//! - answers are Prometheus' own, byte for byte where clients look: status, JSON shape, error types and texts.

mod active_queries;
mod alerting;
mod api;
pub mod config;
mod flags;
mod http;
mod metrics;
mod notifications;
mod opening;
mod queries;
mod query_log;
mod quick;
mod reload;
mod rules;
mod runtime;
mod server;
mod settings;
mod spans;
mod state;
#[cfg(test)]
mod testing;
pub mod tools;
mod version;

pub use config::{Config, ConfigError, ConfigSource};
pub use flags::{
    AgentFlags, Feature, Features, FlagError, LogFormatFlag, LogLevel, OtherFlags, RuleFlags,
    ServerFlags, WalCompressionFlag,
};
pub use reload::ReloadHandle;
pub use server::{Server, ServerError};
pub use settings::{
    AgentSettings, DEFAULT_RETENTION, Listen, QuerySettings, RemoteReadSettings, ServerSettings,
    StorageSettings, WalCompressionSetting, WebSettings, WriteMessage,
};
pub use state::Phase;
pub use version::PROMETHEUS_COMPATIBILITY;
