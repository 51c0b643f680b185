//! The `otlp` section: how OTLP metrics become series.

use crate::flags::{Feature, Features};
use bellwether_otlp::translate::{LabelSettings, Strategy, Translator};
use bellwether_remote::otlp::{OtlpSettings, Promote};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// `otlp`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// All resource attributes become labels, but for those of `ignore_resource_attributes`.
    #[serde(skip_serializing_if = "is_false")]
    pub promote_all_resource_attributes: bool,
    /// Resource attributes that become labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub promote_resource_attributes: Vec<String>,
    /// Resource attributes that do not become labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_resource_attributes: Vec<String>,
    /// How names become Prometheus names.
    pub translation_strategy: TranslationStrategy,
    /// `target_info` also has `service.name`, `service.namespace` and `service.instance.id`.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_identifying_resource_attributes: bool,
    /// Classic histograms become native ones with custom buckets.
    #[serde(skip_serializing_if = "is_false")]
    pub convert_histograms_to_nhcb: bool,
    /// Name, version, schema and attributes of scopes become labels.
    #[serde(skip_serializing_if = "is_false")]
    pub promote_scope_metadata: bool,
    /// A label `_x` becomes `key_x`.
    #[serde(skip_serializing_if = "is_false")]
    pub label_name_underscore_sanitization: bool,
    /// A label `a__b` stays.
    #[serde(skip_serializing_if = "is_false")]
    pub label_name_preserve_multiple_underscores: bool,
}

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "Prometheus' names say it")]
pub enum TranslationStrategy {
    #[default]
    UnderscoreEscapingWithSuffixes,
    UnderscoreEscapingWithoutSuffixes,
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    NoTranslation,
}

impl TranslationStrategy {
    const ALL: [Self; 4] = [
        Self::UnderscoreEscapingWithSuffixes,
        Self::UnderscoreEscapingWithoutSuffixes,
        Self::NoUtf8EscapingWithSuffixes,
        Self::NoTranslation,
    ];
}

impl<'de> Deserialize<'de> for TranslationStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.is_empty() {
            return Ok(Self::default());
        }
        let named = |s: &Self| Strategy::from(*s).to_string() == name;
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let known = Self::ALL.map(|s| Strategy::from(s).to_string()).join(", ");
            D::Error::custom(format!(
                "unsupported OTLP translation strategy {name:?}: use one of {known}"
            ))
        })
    }
}

impl From<TranslationStrategy> for Strategy {
    fn from(strategy: TranslationStrategy) -> Self {
        match strategy {
            TranslationStrategy::UnderscoreEscapingWithSuffixes => {
                Self::UnderscoreEscapingWithSuffixes
            }
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes => {
                Self::UnderscoreEscapingWithoutSuffixes
            }
            TranslationStrategy::NoUtf8EscapingWithSuffixes => Self::NoUtf8EscapingWithSuffixes,
            TranslationStrategy::NoTranslation => Self::NoTranslation,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            promote_all_resource_attributes: false,
            promote_resource_attributes: Vec::new(),
            ignore_resource_attributes: Vec::new(),
            translation_strategy: TranslationStrategy::default(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
        }
    }
}

impl OtlpConfig {
    /// Checks the section and trims the attributes' names. `legacy`: the configuration allows no UTF-8 names.
    ///
    /// # Errors
    /// What is wrong, in Prometheus' words.
    pub(super) fn check(&mut self, legacy: bool) -> Result<(), String> {
        if self.promote_all_resource_attributes {
            if !self.promote_resource_attributes.is_empty() {
                return Err("'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously".to_owned());
            }
            trim(&mut self.ignore_resource_attributes, "ignored")
                .map_err(|e| format!("invalid 'ignore_resource_attributes': {e}"))?;
        } else {
            if !self.ignore_resource_attributes.is_empty() {
                return Err("'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true".to_owned());
            }
            trim(&mut self.promote_resource_attributes, "promoted")
                .map_err(|e| format!("invalid 'promote_resource_attributes': {e}"))?;
        }
        let strategy = Strategy::from(self.translation_strategy);
        if legacy && !strategy.escapes() {
            return Err(format!(
                "OTLP translation strategy \"{strategy}\" is not allowed when UTF8 is disabled"
            ));
        }
        Ok(())
    }

    /// What the receiver needs; `lookback_ms` is that of queries.
    pub(crate) fn settings(&self, lookback_ms: i64, features: &Features) -> OtlpSettings {
        let names = |list: &[String]| list.iter().cloned().collect();
        OtlpSettings {
            translator: Translator {
                strategy: self.translation_strategy.into(),
                namespace: String::new(),
                labels: LabelSettings {
                    underscore_sanitization: self.label_name_underscore_sanitization,
                    preserve_multiple_underscores: self.label_name_preserve_multiple_underscores,
                },
            },
            promote: if self.promote_all_resource_attributes {
                Promote::AllBut(names(&self.ignore_resource_attributes))
            } else {
                Promote::Only(names(&self.promote_resource_attributes))
            },
            keep_identifying: self.keep_identifying_resource_attributes,
            convert_histograms: self.convert_histograms_to_nhcb,
            promote_scope: self.promote_scope_metadata,
            allow_delta: features.has(Feature::OtlpNativeDelta),
            type_and_unit_labels: features.has(Feature::TypeAndUnitLabels),
            metadata_records: features.has(Feature::MetadataWalRecords),
            start_timestamps: features.has(Feature::CreatedTimestampZeroIngestion),
            target_info_interval_ms: lookback_ms / 2,
        }
    }
}

/// Trims names; none may be empty or there twice.
fn trim(names: &mut [String], kind: &str) -> Result<(), String> {
    let mut wrong = Vec::new();
    for i in 0..names.len() {
        let name = names[i].trim().to_owned();
        if name.is_empty() {
            wrong.push(format!("empty {kind} OTel resource attribute"));
        } else if names[..i].contains(&name) {
            wrong.push(format!(
                "duplicated {kind} OTel resource attribute {name:?}"
            ));
        } else {
            names[i] = name;
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
