//! Label sets of points, in Prometheus' order of precedence: attributes of the point; promoted resource attributes
//! where there is none of the name; `job` and `instance` over all of them; then the scope.

use bellwether_model::labels::{METRIC_NAME, TYPE_LABEL, UNIT_LABEL};
use bellwether_model::{Labels, LabelsBuilder, MetricType};
use bellwether_otlp::metrics::ScopeMetrics;
use bellwether_otlp::translate::{Target, Translator, is_identifying};
use bellwether_otlp::value::Attributes;

use super::{MetricError, OtlpSettings, OtlpWarning, Writer};

const TARGET_INFO: &str = "target_info";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

fn label_name(translator: &Translator, name: &str) -> Result<String, MetricError> {
    translator.label_name(name).map_err(MetricError::new)
}

/// Labels that all points of a resource have.
pub(super) struct ResourceLabels {
    promoted: Labels,
    target: Target,
}

impl ResourceLabels {
    pub(super) fn new(
        attributes: Attributes<'_>,
        settings: &OtlpSettings,
    ) -> Result<Self, MetricError> {
        let mut promoted = LabelsBuilder::default();
        for (key, value) in attributes.iter().filter(|(k, _)| settings.promote.wants(k)) {
            promoted.set(&label_name(&settings.translator, key)?, &value.to_text());
        }
        Ok(Self {
            promoted: promoted.build(),
            target: Target::of(attributes),
        })
    }

    fn set_target(&self, labels: &mut LabelsBuilder) {
        for (name, value) in [(JOB, &self.target.job), (INSTANCE, &self.target.instance)] {
            if let Some(value) = value.as_ref().filter(|v| !v.is_empty()) {
                labels.set(name, value);
            }
        }
    }

    /// The labels of `target_info`; none for a resource without other than identifying attributes, or without job
    /// and instance.
    pub(super) fn target_info(
        &self,
        attributes: Attributes<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<Option<Labels>, MetricError> {
        let settings = writer.settings;
        if attributes.iter().all(|(key, _)| is_identifying(key)) {
            return Ok(None);
        }
        let mut labels = LabelsBuilder::default();
        let keep = |key: &str| settings.keep_identifying || !is_identifying(key);
        let warnings = &mut writer.stats.warnings;
        set_attributes(
            &mut labels,
            attributes,
            &settings.translator,
            keep,
            warnings,
        )?;
        set_type_and_unit(&mut labels, settings, MetricType::Gauge, "");
        self.set_target(&mut labels);
        labels.set(METRIC_NAME, TARGET_INFO);
        let labels = labels.build();
        let identified = labels.get(JOB).is_some() || labels.get(INSTANCE).is_some();
        Ok(identified.then_some(labels))
    }
}

/// Labels that all points of a scope have.
pub(super) struct ScopeLabels(Vec<(String, String)>);

impl ScopeLabels {
    /// `None` where scopes are not promoted, or this one has no name.
    pub(super) fn new(
        scope: &ScopeMetrics<'_>,
        settings: &OtlpSettings,
    ) -> Result<Option<Self>, MetricError> {
        let own = scope.scope;
        if !settings.promote_scope || own.name.is_empty() {
            return Ok(None);
        }
        let mut labels = LabelsBuilder::default();
        for (key, value) in own.attributes.iter() {
            let name = label_name(&settings.translator, &format!("otel_scope_{key}"))?;
            labels.set(&name, &value.to_text());
        }
        let attributes = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
        let mut all: Vec<(String, String)> = attributes.collect();
        // An empty one takes the place of an attribute of the name.
        for (name, value) in [
            ("otel_scope_name", own.name),
            ("otel_scope_version", own.version),
            ("otel_scope_schema_url", scope.schema_url),
        ] {
            all.push((name.to_owned(), value.to_owned()));
        }
        Ok(Some(Self(all)))
    }
}

/// What the labels of a point are made of, besides its attributes.
pub(super) struct PointLabels<'a, 'w> {
    pub(super) resource: &'a ResourceLabels,
    pub(super) scope: Option<&'a ScopeLabels>,
    pub(super) kind: MetricType,
    pub(super) unit: &'a str,
    pub(super) settings: &'w OtlpSettings,
    pub(super) warnings: &'w mut Vec<OtlpWarning>,
}

impl PointLabels<'_, '_> {
    /// The labels without a name.
    pub(super) fn of(self, attributes: Attributes<'_>) -> Result<LabelsBuilder, MetricError> {
        let mut labels = LabelsBuilder::default();
        let keep = |key: &str| key != METRIC_NAME;
        let translator = &self.settings.translator;
        set_attributes(&mut labels, attributes, translator, keep, self.warnings)?;
        for promoted in &self.resource.promoted {
            if labels.value(promoted.name).is_empty() {
                labels.set(promoted.name, promoted.value);
            }
        }
        self.resource.set_target(&mut labels);
        for (name, value) in self.scope.iter().flat_map(|s| &s.0) {
            labels.set(name, value);
        }
        set_type_and_unit(&mut labels, self.settings, self.kind, self.unit);
        Ok(labels)
    }
}

/// Type and unit as labels, with the feature for it.
fn set_type_and_unit(
    labels: &mut LabelsBuilder,
    settings: &OtlpSettings,
    kind: MetricType,
    unit: &str,
) {
    if !settings.type_and_unit_labels {
        return;
    }
    if kind != MetricType::Unknown {
        labels.set(TYPE_LABEL, kind.as_str());
    }
    if !unit.is_empty() {
        labels.set(UNIT_LABEL, &settings.translator.unit_name(unit));
    }
}

/// Sets the labels of attributes, by rising key. Where escaping makes two keys one name, the values are joined.
fn set_attributes(
    labels: &mut LabelsBuilder,
    attributes: Attributes<'_>,
    translator: &Translator,
    keep: impl Fn(&str) -> bool,
    warnings: &mut Vec<OtlpWarning>,
) -> Result<(), MetricError> {
    let mut sorted: Vec<(&str, String)> = attributes
        .iter()
        .filter(|(key, _)| keep(key))
        .map(|(key, value)| (key, value.to_text()))
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    for (key, value) in sorted {
        if !translator.strategy.escapes() {
            labels.set(key, &value);
            continue;
        }
        let name = label_name(translator, key)?;
        let joined = match labels.value(&name) {
            "" => value,
            existing => {
                if !warnings.contains(&OtlpWarning::LabelNameCollision) {
                    warnings.push(OtlpWarning::LabelNameCollision);
                }
                format!("{existing};{value}")
            }
        };
        labels.set(&name, &joined);
    }
    Ok(())
}
