//! `prometheus.yml`: reading, checking, showing.
//!
//! ```text
//! file --read--> text --serde--> RawConfig (with positions) --checks--> Config --+--> scrape pools
//!                                                                               +--> /api/v1/status/config
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `load` | text to [`Config`], all checks, `${VAR}` in external labels |
//! | `global` | the `global` section and its defaults |
//! | `otlp` | the `otlp` section |
//! | `remote` | the sections `remote_write` and `remote_read` |
//! | `sections` | the sections `storage` and `runtime` |
//! | `tracing_config` | the section `tracing`, which is refused |
//! | `shown` | the defaults in force, for `/api/v1/status/config` |
//! | `error` | [`ConfigError`]: file, line, column, key and what would be right |
//!
//! A configuration is either wholly good or refused; a refused one never replaces a running one.

mod discovery;
mod error;
mod global;
mod load;
mod otlp;
mod remote;
mod sections;
mod shown;
mod tracing_config;

pub use error::ConfigError;
pub use global::GlobalConfig;
pub(crate) use load::to_yaml;
pub use load::{Config, ConfigSource};
pub use otlp::{OtlpConfig, TranslationStrategy};
pub use sections::{
    ChunkEncodingConfig, ExemplarsConfig, FloatEncoding, RetentionConfig, RuntimeConfig,
    StorageConfig, TsdbConfig,
};

#[cfg(test)]
mod tests;
