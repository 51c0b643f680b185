//! From YAML to a checked configuration.
//!
//! Sources are parsed (`node.rs`), expanded (`expand.rs`), merged from left to right, and decoded
//! component by component (`decode.rs`) with the factories' types. Everything that can be wrong is
//! collected and reported together.
//!
//! | file | what |
//! |---|---|
//! | `node.rs` | YAML as a tree with positions, merging |
//! | `expand.rs` | `${env:X:-default}` |
//! | `decode.rs` | tree to types, strict |
//! | `id.rs` | component and pipeline ids |
//! | `blocks.rs` | blocks that components share |
//! | `telemetry.rs` | `service.telemetry` |
//! | `service.rs` | sections and pipelines |
//! | `crosscheck.rs` | checks over several components |

pub(crate) mod blocks;
mod crosscheck;
pub(crate) mod decode;
pub(crate) mod endpoint;
mod error;
mod expand;
mod id;
mod node;
mod service;
pub(crate) mod telemetry;
pub(crate) mod types;

use std::fmt;
use std::path::PathBuf;

pub use error::{ConfigError, Problem};
pub(crate) use expand::EnvLookup;
pub(crate) use id::{ComponentId, PipelineId};
pub(crate) use node::Node;
pub(crate) use service::{PipelineConfig, ServiceConfig};

/// Where configuration text comes from. Several sources are merged from left to right: mappings join,
/// lists and scalars are replaced, a null removes.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// A YAML file.
    File(PathBuf),
    /// YAML text with the name to use in errors.
    Text {
        /// Shown in errors in place of a file name.
        name: String,
        /// YAML.
        text: String,
    },
}

impl ConfigSource {
    /// Reads the official command line's form: a path, `file:path`, `env:NAME`, or `yaml:…` with `::`
    /// between the levels of a key.
    ///
    /// # Errors
    /// A scheme that is not supported, or a variable that is not set.
    pub fn parse(uri: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |text: String| Self::Text {
            name: uri.to_owned(),
            text,
        };
        let fail = |message: String| {
            ConfigError::from(Problem::at(&node::Position::of_source(uri), "", message))
        };
        match uri.split_once(':') {
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("env", name)) => env(name)
                .map(text)
                .ok_or_else(|| fail(format!("environment variable {name} is not set"))),
            Some(("yaml", inline)) => Ok(text(nested(inline))),
            Some((scheme @ ("http" | "https"), _)) => Err(fail(format!(
                "configuration from {scheme} URLs is not supported yet; use a file"
            ))),
            _ => Ok(Self::File(uri.into())),
        }
    }
}

/// `a::b: c` as nested YAML. A text without `::` in its key stays as it is.
fn nested(inline: &str) -> String {
    let Some((key, value)) = inline.split_once(": ") else {
        return inline.to_owned();
    };
    let mut out = String::new();
    for (depth, part) in key.split("::").enumerate() {
        if depth > 0 {
            out.push('\n');
        }
        out.push_str(&"  ".repeat(depth));
        out.push_str(part);
        out.push(':');
    }
    format!("{out} {value}")
}

/// A checked configuration.
pub struct CollectorConfig {
    pub(crate) service: ServiceConfig,
}

impl fmt::Debug for CollectorConfig {
    // Bodies may hold secrets (headers, keys): only ids are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorConfig")
            .field("pipelines", &self.service.pipelines.keys())
            .finish_non_exhaustive()
    }
}

impl CollectorConfig {
    /// Reads, merges, expands and checks configuration sources. `env` answers for environment
    /// variables, so that a supervisor can give each collector its own ports.
    ///
    /// # Errors
    /// Every mistake that was found, each with file, line, column and key path.
    pub fn load(
        sources: &[ConfigSource],
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Self, ConfigError> {
        let mut merged: Option<Node> = None;
        let mut unset = Vec::new();
        for source in sources {
            let mut tree = read(source)?;
            unset.append(&mut expand::expand(&mut tree, env as EnvLookup<'_>)?);
            merged = Some(match merged {
                Some(earlier) => node::merge(earlier, tree),
                None => tree,
            });
        }
        let Some(tree) = merged else {
            let at = node::Position::of_source("command line");
            return Err(Problem::at(&at, "", "at least one configuration source is needed").into());
        };
        match service::check(&tree) {
            Ok(mut service) => {
                service.warnings.append(&mut unset);
                Ok(Self { service })
            }
            // A missing variable is often what is behind the other mistakes.
            Err(error) => Err(error.with(unset)),
        }
    }

    /// One YAML text, with the process's environment.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, ConfigError> {
        let source = ConfigSource::Text {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        Self::load(&[source], &|name| std::env::var(name).ok())
    }

    /// Level of own logs that `service.telemetry.logs.level` asks for. The process sets up logging.
    pub fn log_level(&self) -> telemetry::LogLevel {
        self.service.telemetry.logs.level
    }

    /// Form of own logs that `service.telemetry.logs.encoding` asks for.
    pub fn log_encoding(&self) -> telemetry::LogEncoding {
        self.service.telemetry.logs.encoding
    }

    /// Things that work but deserve a look: old component names, variables that are not set.
    pub fn warnings(&self) -> &[Problem] {
        &self.service.warnings
    }
}

fn read(source: &ConfigSource) -> Result<Node, ConfigError> {
    match source {
        ConfigSource::Text { name, text } => Ok(node::parse(name, text)?),
        ConfigSource::File(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| {
                let at = node::Position::of_source(&name);
                Problem::at(&at, "", format!("cannot read the configuration: {e}"))
            })?;
            Ok(node::parse(&name, &text)?)
        }
    }
}
