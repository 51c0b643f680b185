//! `prometheus.yml`: reading, checking, showing.
//!
//! ```text
//! file --read--> text --serde--> RawConfig (with positions) --checks--> Config --+--> scrape pools
//!                                                                               +--> /api/v1/status/config
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `load` | text to [`Config`], all checks |
//! | `files` | patterns of rule files, scrape configurations of further files |
//! | `expand` | `${VAR}` in external labels |
//! | `global` | the `global` section and its defaults |
//! | `otlp` | the `otlp` section |
//! | `remote` | the sections `remote_write` and `remote_read` |
//! | `storage` | the `storage` section |
//! | `sections` | the section `runtime` |
//! | `tracing_config` | the section `tracing` |
//! | `shown` | the defaults in force, for `/api/v1/status/config` |
//! | `error` | [`ConfigError`]: file, line, column, key and what would be right |
//!
//! A configuration is either wholly good or refused; a refused one never replaces a running one.

mod discovery;
mod error;
mod expand;
mod files;
mod global;
mod load;
mod otlp;
mod remote;
mod sections;
mod shown;
mod storage;
mod tracing_config;

pub use error::ConfigError;
pub use global::GlobalConfig;
pub(crate) use load::to_yaml;
pub use load::{Config, ConfigSource};
pub use otlp::{OtlpConfig, TranslationStrategy};
pub use sections::RuntimeConfig;
pub use storage::{
    ChunkEncodingConfig, ExemplarsConfig, FloatEncoding, RetentionConfig, StorageConfig, TsdbConfig,
};
pub use tracing_config::TracingConfig;

#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod tests;
