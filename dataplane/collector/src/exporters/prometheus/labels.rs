//! Label sets of resources, scopes and points.

use bellwether_otlp::metrics::{ResourceMetrics, ScopeMetrics};
use bellwether_otlp::translate::{Target, Translator, is_identifying, merge_labels};
use bellwether_otlp::value::Attributes;

use super::names::LabelText;
use super::store::FamilyKind;

/// Sorted name-value pairs.
pub(super) type Labels = Vec<(String, String)>;

/// Which resource attributes become labels of every series.
#[derive(Debug, Clone)]
pub(crate) enum ResourceFilter {
    None,
    All {
        /// Without those that `job` and `instance` are made of.
        except_service: bool,
    },
    Globs {
        included: Vec<String>,
        excluded: Vec<String>,
    },
}

impl ResourceFilter {
    pub(crate) fn globs(included: Vec<String>, excluded: Vec<String>) -> Self {
        Self::Globs { included, excluded }
    }

    /// True for the key of an attribute that becomes a label.
    pub(crate) fn keeps(&self, key: &str) -> bool {
        match self {
            Self::None => false,
            Self::All { except_service } => !(*except_service && is_identifying(key)),
            Self::Globs { included, excluded } => {
                included.iter().any(|g| glob(g, key)) && !excluded.iter().any(|g| glob(g, key))
            }
        }
    }
}

/// `*` stands for any text, `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            (0..=text.len())
                .filter(|i| text.is_char_boundary(*i))
                .any(|i| glob(rest, &text[i..]))
        }
        Some(c) => match text.chars().next() {
            Some(t) if c == '?' || c == t => glob(&pattern[c.len_utf8()..], &text[t.len_utf8()..]),
            _ => false,
        },
    }
}

/// Labels that all series of a resource share.
#[derive(Debug)]
pub(super) struct ResourceLabels {
    /// Promoted attributes: the weakest.
    pub(super) promoted: Labels,
    /// `job` and `instance`.
    pub(super) target: Target,
}

impl ResourceLabels {
    pub(super) fn of(
        resource: &ResourceMetrics<'_>,
        translator: &Translator,
        filter: &ResourceFilter,
    ) -> Self {
        let promoted =
            translator.attribute_labels(resource.attributes, |key| filter.keeps(key), |_| {});
        Self {
            promoted,
            target: Target::of(resource.attributes),
        }
    }

    /// Labels of `target_info`; `None` unless job and instance are known.
    pub(super) fn target_info(
        &self,
        resource: &ResourceMetrics<'_>,
        translator: &Translator,
        const_labels: &Labels,
    ) -> Option<Labels> {
        if self.target.job.is_none() || self.target.instance.is_none() {
            return None;
        }
        let mut labels =
            translator.attribute_labels(resource.attributes, |key| !is_identifying(key), |_| {});
        merge_labels(&mut labels, const_labels.clone());
        merge_labels(&mut labels, self.target.labels());
        Some(labels)
    }
}

/// `otel_scope_*`, present with empty values, too.
pub(super) fn scope_labels(scope: &ScopeMetrics<'_>, translator: &Translator) -> Labels {
    let mut labels: Labels = translator
        .attribute_labels(scope.scope.attributes, |_| true, |_| {})
        .into_iter()
        .map(|(name, value)| (format!("otel_scope_{name}"), value))
        .collect();
    // The fixed names win over attributes of the same name.
    let fixed = [
        ("otel_scope_name", scope.scope.name),
        ("otel_scope_version", scope.scope.version),
        ("otel_scope_schema_url", scope.schema_url),
    ];
    merge_labels(
        &mut labels,
        fixed.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
    );
    labels
}

/// All labels of a point, as text. From weak to strong: resource attributes, point attributes,
/// constant labels, `job` and `instance`, scope. The label that the page itself puts on the samples
/// of a `kind` is stronger than all of them: a name that is there twice fails the whole scrape.
pub(super) fn point_labels(
    translator: &Translator,
    resource: &ResourceLabels,
    scope: &Labels,
    const_labels: &Labels,
    attributes: Attributes<'_>,
    kind: FamilyKind,
) -> LabelText {
    let mut labels = resource.promoted.clone();
    let own = translator.attribute_labels(attributes, |_| true, |_| {});
    merge_labels(&mut labels, own);
    merge_labels(&mut labels, const_labels.clone());
    merge_labels(&mut labels, resource.target.labels());
    merge_labels(&mut labels, scope.clone());
    let generated = kind.generated_label();
    labels.retain(|(name, _)| Some(name.as_str()) != generated);
    LabelText::new(&labels, generated)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        assert!(glob("service.*", "service.name"));
        assert!(glob("*", ""));
        assert!(glob("k?s", "k8s"));
        assert!(!glob("service.*", "services"));
    }
}
