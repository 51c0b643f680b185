//! One rule as written, and what can be wrong with it.

use std::fmt;
use std::sync::LazyLock;

use bellwether_model::labels::is_legacy_label_name;
use bellwether_model::re2::{Re2, Re2Error};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Strict, ValidationScheme};

pub(super) const DEFAULT_SEPARATOR: &str = ";";
pub(super) const DEFAULT_REGEX: &str = "(.*)";
pub(super) const DEFAULT_REPLACEMENT: &str = "$1";

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets the target label to the expanded replacement where the regular expression matches.
    #[default]
    Replace,
    /// Keeps what matches.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps what equals the target label.
    KeepEqual,
    /// Drops what equals the target label.
    DropEqual,
    /// Sets the target label to a hash modulo `modulus`.
    HashMod,
    /// Copies labels to new names.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets the target label to the lower-case value.
    Lowercase,
    /// Sets the target label to the upper-case value.
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Action {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ACTIONS
            .iter()
            .find(|(_, action)| *action == self)
            .map_or("replace", |(name, _)| name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Err(D::Error::custom(RelabelError::NoAction));
        };
        let lower = text.to_lowercase();
        match ACTIONS.iter().find(|(name, _)| *name == lower) {
            Some((_, action)) => Ok(*action),
            None => Err(D::Error::custom(RelabelError::UnknownAction(text))),
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One relabelling rule as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct RelabelConfig {
    /// Labels whose values are joined and matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// Between the joined values. Default `;`.
    #[serde(deserialize_with = "written", skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Pattern in RE2's dialect. Default `(.*)`.
    #[serde(deserialize_with = "written", skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Modulus of `hashmod`.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// Label to set or to compare with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// Template with `$1` and the like. Default `$1`.
    #[serde(deserialize_with = "written", skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Default `replace`.
    pub action: Action,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: None,
            separator: None,
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: None,
            action: Action::Replace,
        }
    }
}

impl<'de> Deserialize<'de> for RelabelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(Strict::new(deserializer, "relabel config", &[]))?;
        // Checked here, so that the error carries the rule's place in the file.
        config
            .check(ValidationScheme::Utf8)
            .map_err(D::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for RelabelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// What is wrong with a rule. Texts are Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// `action` without a value.
    #[error("relabel action cannot be empty")]
    NoAction,
    /// An action that does not exist.
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    /// `hashmod` without modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// The action needs a target.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    /// The action has no replacement.
    #[error("'replacement' can not be set for {0} action")]
    Replacement(Action),
    /// The target is no label name, or could not become one.
    #[error("{target:?} is invalid 'target_label' for {action} action")]
    InvalidTarget {
        /// As written.
        target: String,
        /// The action.
        action: Action,
    },
    /// A source that is no label name.
    #[error("{0:?} is not a valid label name")]
    SourceLabel(String),
    /// The replacement would give an invalid label name.
    #[error("{replacement:?} is invalid 'replacement' for {action} action")]
    InvalidReplacement {
        /// As written.
        replacement: String,
        /// The action.
        action: Action,
    },
    /// Other fields with `keepequal` or `dropequal`.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// Other fields with `labeldrop` or `labelkeep`.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
    /// The pattern.
    #[error(transparent)]
    Regex(#[from] Re2Error),
}

impl RelabelConfig {
    /// Checks the rule under a validation scheme and compiles its pattern. The order of the checks is Prometheus', and
    /// so is the mistake that is named of several.
    pub(super) fn check(&self, scheme: ValidationScheme) -> Result<Re2, RelabelError> {
        use Action::*;
        let action = self.action;
        let target = self.target_label.as_str();
        let sources = self.source_labels.iter().flatten();
        if let Some(empty) = sources.clone().find(|name| name.is_empty()) {
            return Err(RelabelError::SourceLabel(empty.clone()));
        }
        let regex = Re2::anchored(self.regex.as_deref().unwrap_or(DEFAULT_REGEX))?;
        if action == HashMod && self.modulus == 0 {
            return Err(RelabelError::NoModulus);
        }
        let transforms = matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual);
        if (transforms || matches!(action, Replace | HashMod)) && target.is_empty() {
            return Err(RelabelError::NoTarget(action));
        }
        let target_is_good = match action {
            Replace => is_label_template(target, scheme),
            HashMod => is_label_name(target, scheme),
            _ => !transforms || is_label_name(target, scheme),
        };
        if !target_is_good {
            return Err(RelabelError::InvalidTarget {
                target: target.to_owned(),
                action,
            });
        }
        self.check_other_fields(scheme)?;
        Ok(regex)
    }

    /// Fields that the action does not use must be as if they were not written.
    fn check_other_fields(&self, scheme: ValidationScheme) -> Result<(), RelabelError> {
        use Action::*;
        let action = self.action;
        let is_default =
            |text: &Option<String>, default| text.as_deref().is_none_or(|text| text == default);
        let default_replacement = is_default(&self.replacement, DEFAULT_REPLACEMENT);
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && !default_replacement {
            return Err(RelabelError::Replacement(action));
        }
        let replacement = self.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
        if action == LabelMap && !is_label_template(replacement, scheme) {
            return Err(RelabelError::InvalidReplacement {
                replacement: replacement.to_owned(),
                action,
            });
        }
        let rest = self.modulus == 0
            && is_default(&self.separator, DEFAULT_SEPARATOR)
            && default_replacement;
        // Writing the default pattern counts as writing one.
        if matches!(action, KeepEqual | DropEqual) && !(self.regex.is_none() && rest) {
            return Err(RelabelError::OnlySourceAndTarget(action));
        }
        if matches!(action, LabelDrop | LabelKeep)
            && !(self.source_labels.is_none() && self.target_label.is_empty() && rest)
        {
            return Err(RelabelError::OnlyRegex(action));
        }
        Ok(())
    }
}

fn is_label_name(name: &str, scheme: ValidationScheme) -> bool {
    match scheme {
        ValidationScheme::Utf8 => !name.is_empty(),
        ValidationScheme::Legacy => is_legacy_label_name(name),
    }
}

/// Whether a text can become a label name: with `$1` and `${1}` for what the pattern finds.
fn is_label_template(text: &str, scheme: ValidationScheme) -> bool {
    static LEGACY: LazyLock<Option<Re2>> =
        LazyLock::new(|| Re2::anchored(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+").ok());
    match scheme {
        ValidationScheme::Utf8 => !text.is_empty(),
        ValidationScheme::Legacy => LEGACY.as_ref().is_some_and(|legacy| legacy.is_match(text)),
    }
}

/// A key without a value is an empty text, which is not the default.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}
