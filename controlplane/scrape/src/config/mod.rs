//! `scrape_config` as a user writes it, and the settings that pools run with.
//!
//! Two steps: [`ScrapeConfig`] mirrors the YAML (unknown keys refused by name, keys that are not supported
//! yet refused as such); [`ScrapeConfig::resolve`] checks it against the global section and yields
//! [`PoolSettings`] with every default filled in. The rest of the crate sees only the second.

mod error;
mod resolve;
mod scrape;

pub use bellwether_discovery::SdConfigs;
pub use bellwether_discovery::config::StaticConfig;
pub use bellwether_http::HttpClientConfig;
pub use bellwether_http::config::{Authorization, BasicAuth, HttpHeader};
pub use bellwether_http::settings::SecretSource;
pub use bellwether_yaml::{ByteSize, PromDuration, Secret, Strict};
pub use error::{ProtocolsError, ScrapeConfigError};
pub use resolve::{PoolSettings, ScrapeDefaults, check_protocols};
pub use scrape::{EscapingScheme, ScrapeConfig, ValidationScheme};
