//! Rule files: reading, checking, linting.
//!
//! ```text
//! text --yaml::node--> tree --decode--> RuleFile --check--> errors with places
//! ```
//!
//! All mistakes of a file are reported, each in the words of `promtool check rules` of Prometheus 3.14; where that
//! walks through a map in random order, here it is sorted.

mod check;
mod decode;
mod lint;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether_promql::ParseOptions;
use bellwether_scrape::config::ValidationScheme;
use bellwether_yaml::node::Place;

pub use lint::{DuplicateRule, duplicate_rules};

/// How files are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileOptions {
    /// Accept keys that do not exist.
    pub ignore_unknown_fields: bool,
    /// Which names are valid.
    pub names: ValidationScheme,
    /// Which parts of PromQL are on.
    pub promql: ParseOptions,
}

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFile {
    /// The groups in order.
    pub groups: Vec<GroupSpec>,
}

/// A group as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSpec {
    /// Name, unique within the file.
    pub name: String,
    /// Time between evaluations; zero for the global one.
    pub interval: Duration,
    /// How far in the past the rules are evaluated; `None` for the global setting.
    pub query_offset: Option<Duration>,
    /// Most series or alerts of a rule; 0 or less is no limit.
    pub limit: i64,
    /// Labels of all rules; a rule's own label of the same name wins.
    pub labels: BTreeMap<String, String>,
    /// The rules in order.
    pub rules: Vec<RuleSpec>,
}

/// A rule as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSpec {
    /// Name of the series; empty for an alerting rule.
    pub record: String,
    /// Name of the alert; empty for a recording rule.
    pub alert: String,
    /// The PromQL expression.
    pub expr: String,
    /// How long the expression must hold before the alert fires.
    pub hold: Duration,
    /// How long the alert fires on after the expression has ended to hold.
    pub keep_firing_for: Duration,
    /// Labels to set; of an alert they are templates.
    pub labels: BTreeMap<String, String>,
    /// Texts for people, templates.
    pub annotations: BTreeMap<String, String>,
    pub(crate) places: RulePlaces,
}

/// Where the values stand; zero where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RulePlaces {
    pub(crate) record: Place,
    pub(crate) alert: Place,
    pub(crate) expr: Place,
}

impl RuleSpec {
    /// The name: of the alert if there is one, else of the series.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.alert.is_empty() {
            &self.record
        } else {
            &self.alert
        }
    }
}

impl RuleFile {
    /// Number of rules in all groups.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|g| g.rules.len()).sum()
    }

    /// Parses and checks a text.
    ///
    /// # Errors
    /// All mistakes, at least one.
    pub fn parse(text: &str, options: &FileOptions) -> Result<Self, Vec<FileError>> {
        let file = decode::decode(text, options.ignore_unknown_fields)
            .map_err(|errors| errors.into_iter().map(FileError::Yaml).collect::<Vec<_>>())?;
        let errors = check::check(&file, options);
        if errors.is_empty() {
            Ok(file)
        } else {
            Err(errors)
        }
    }

    /// Reads, parses and checks a file. Blocks on the disk.
    ///
    /// # Errors
    /// All mistakes with the file's name.
    pub fn read(path: &Path, options: &FileOptions) -> Result<Self, FileErrors> {
        let errors = |errors| FileErrors {
            path: path.to_owned(),
            errors,
        };
        let bytes = std::fs::read(path).map_err(|e| errors(vec![FileError::Read(e)]))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            errors(vec![FileError::Yaml(
                "yaml: control characters are not allowed".to_owned(),
            )])
        })?;
        Self::parse(&text, options).map_err(errors)
    }
}

/// A mistake in a rule file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[source] std::io::Error),
    /// It is not the YAML of a rule file; one text may say several things.
    #[error("{0}")]
    Yaml(String),
    /// Something is wrong with a group.
    #[error("{0}")]
    Group(String),
    /// Something is wrong with a rule.
    #[error("{places}group {group}, rule {rule}, {name}: {message}",
        places = places_text(.places), group = quote(.group), name = quote(.name))]
    Rule {
        /// Where; one or two places, or none where the mistake has no single one.
        places: Vec<Place>,
        /// Name of the group.
        group: String,
        /// Number of the rule in its group, from 1.
        rule: usize,
        /// Name of the rule.
        name: String,
        /// What is wrong.
        message: String,
    },
}

fn quote(text: &str) -> String {
    bellwether_template::quote(text)
}

fn places_text(places: &[Place]) -> String {
    let texts = places.iter().map(|p| format!("{}:{}: ", p.line, p.column));
    texts.collect()
}

/// The mistakes of one file.
#[derive(Debug)]
pub struct FileErrors {
    /// The file.
    pub path: PathBuf,
    /// At least one.
    pub errors: Vec<FileError>,
}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {error}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}

#[cfg(test)]
mod tests;
