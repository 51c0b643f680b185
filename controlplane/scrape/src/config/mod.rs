//! `scrape_config` as a user writes it, and the settings that pools run with.
//!
//! Two steps: [`ScrapeConfig`] mirrors the YAML (unknown keys refused by name, keys that are not supported
//! yet refused as such); [`ScrapeConfig::resolve`] checks it against the global section and yields
//! [`PoolSettings`] with every default filled in. The rest of the crate sees only the second.

mod auth;
mod error;
mod keys;
mod resolve;
mod scrape;
mod units;

pub use auth::{Authorization, BasicAuth, Secret};
pub use error::{ProtocolsError, ScrapeConfigError};
pub use resolve::{Credentials, PoolSettings, ScrapeDefaults, SecretSource, check_protocols};
pub use scrape::{
    EscapingScheme, FileSdConfig, HttpHeader, ScrapeConfig, StaticConfig, ValidationScheme,
};
pub use units::{ByteSize, PromDuration};

pub use keys::Strict;
