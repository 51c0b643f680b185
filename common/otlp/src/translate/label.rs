//! Label names, and label sets made from attributes.

use super::{NameError, Translator};
use crate::value::Attributes;

/// Details of label names that differ between users of the translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSettings {
    /// `_x` becomes `key_x` (`label_name_underscore_sanitization`).
    pub underscore_sanitization: bool,
    /// `a..b` becomes `a__b` rather than `a_b` (`label_name_preserve_multiple_underscores`).
    pub preserve_multiple_underscores: bool,
}

impl Default for LabelSettings {
    fn default() -> Self {
        Self {
            underscore_sanitization: true,
            preserve_multiple_underscores: true,
        }
    }
}

pub(super) fn label_name(
    name: &str,
    escape: bool,
    settings: LabelSettings,
) -> Result<String, NameError> {
    if name.chars().all(|c| c == '_') {
        return Err(NameError::Label(name.to_owned()));
    }
    if !escape {
        return Ok(name.to_owned());
    }
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        let run = c == '_' && out.ends_with('_');
        if !run || settings.preserve_multiple_underscores || is_reserved(name) {
            out.push(c);
        }
    }
    if out.chars().all(|c| c == '_') {
        return Err(NameError::Label(name.to_owned()));
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "key_");
    } else if settings.underscore_sanitization && out.starts_with('_') && !out.starts_with("__") {
        out.insert_str(0, "key");
    }
    Ok(out)
}

/// `__x__`: names that Prometheus reserves are kept.
fn is_reserved(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

impl Translator {
    /// Turns attributes into labels, sorted by label name.
    ///
    /// Attributes are taken in the order of their keys; values whose names become equal are joined
    /// with `;` (with escaping only: otherwise the last one wins). Names that cannot become labels,
    /// and those that become `__name__`, are left out and given to `skipped`.
    pub fn attribute_labels<'a>(
        &self,
        attributes: Attributes<'a>,
        keep: impl Fn(&str) -> bool,
        mut skipped: impl FnMut(&'a str),
    ) -> Vec<(String, String)> {
        let mut sorted: Vec<_> = attributes.iter().filter(|(key, _)| keep(key)).collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        let mut labels: Vec<(String, String)> = Vec::with_capacity(sorted.len());
        for (key, value) in sorted {
            // Other keys can become `__name__` by escaping; a second one would spoil the series.
            let name = match self.label_name(key) {
                Ok(name) if name != "__name__" => name,
                _ => {
                    skipped(key);
                    continue;
                }
            };
            let text = value.to_text();
            match labels.iter_mut().find(|(existing, _)| *existing == name) {
                Some((_, existing)) if self.strategy.escapes() => {
                    existing.push(';');
                    existing.push_str(&text);
                }
                Some((_, existing)) => *existing = text,
                None => labels.push((name, text)),
            }
        }
        labels.sort();
        labels
    }
}

/// Puts the labels of `stronger` over those of `labels`: same names are replaced. The result is sorted.
pub fn merge_labels(labels: &mut Vec<(String, String)>, stronger: Vec<(String, String)>) {
    for (name, value) in stronger {
        match labels.iter_mut().find(|(existing, _)| *existing == name) {
            Some((_, existing)) => *existing = value,
            None => labels.push((name, value)),
        }
    }
    labels.sort();
}
