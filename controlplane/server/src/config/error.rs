//! What is wrong with a configuration, and where.

use std::path::PathBuf;

use bellwether_rules::LoadError;
use bellwether_yaml::YamlError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}: {source}; --config.file names the file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that the configuration names cannot be read.
    #[error("cannot read scrape configuration file {}: {source}; scrape_config_files names the file", path.display())]
    Include {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A value, a key or the YAML itself is wrong: file, line, column, key and what would be right.
    #[error(transparent)]
    Invalid(#[from] YamlError),
    /// Something that Prometheus takes and this build cannot do.
    #[error("{file}: {reasons}")]
    NotRunnable {
        /// The file.
        file: String,
        /// Sections, keys and reasons.
        reasons: String,
    },
    /// A section that agent mode does not have.
    #[error("field {0} is not allowed in agent mode")]
    AgentMode(&'static str),
    /// A rule file has mistakes.
    #[error("parse rules: {0}")]
    Rules(#[from] LoadError),
}
