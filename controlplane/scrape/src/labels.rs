//! The labels under which a scraped series is stored.

use bellwether_exposition::SeriesLabels;
use bellwether_model::Labels;
use bellwether_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};

use crate::append::PageError;
use crate::config::{PoolSettings, ValidationScheme};

/// The stored labels of a scraped series: target labels joined in, metric relabelling applied. `None`: dropped.
pub(crate) fn sample_labels(
    scraped: &SeriesLabels<'_>,
    target: &Labels,
    settings: &PoolSettings,
) -> Option<Labels> {
    let mut builder = scraped.to_builder();
    if settings.honor_labels {
        for label in target {
            // A scraped label with an empty value keeps the target's label out.
            if label.name != METRIC_NAME && !scraped.labels.iter().any(|l| l.name == label.name) {
                builder.set(label.name, label.value);
            }
        }
    } else {
        let mut clashes = Vec::new();
        for label in target {
            let scraped = builder.value(label.name);
            if !scraped.is_empty() {
                clashes.push((label.name, scraped.to_owned()));
            }
            builder.set(label.name, label.value);
        }
        // Short names first, so that `a` and `exported_a` clash in the same order each time.
        clashes.sort_by_key(|(name, _)| name.len());
        for (name, value) in clashes {
            let mut free = format!("exported_{name}");
            while !builder.value(&free).is_empty() {
                free.insert_str(0, "exported_");
            }
            builder.set(&free, &value);
        }
    }
    if !settings.metric_relabel.apply(&mut builder) {
        return None;
    }
    let labels = builder.build();
    (!labels.is_empty()).then_some(labels)
}

/// Names and limits.
pub(crate) fn check_labels(labels: &Labels, settings: &PoolSettings) -> Result<(), PageError> {
    let Some(metric) = labels.metric_name() else {
        return Err(PageError::NoName);
    };
    // Labels are sorted: an empty name is the first.
    if labels.iter().next().is_some_and(|l| l.name.is_empty()) {
        return Err(PageError::InvalidNames(labels.clone()));
    }
    if settings.validation == ValidationScheme::Legacy
        && (!is_legacy_metric_name(metric) || labels.iter().any(|l| !is_legacy_label_name(l.name)))
    {
        return Err(PageError::InvalidNames(labels.clone()));
    }
    let exceeds = |limit: u64, len: usize| limit > 0 && len as u64 > limit;
    let limit = settings.label_limit;
    if limit > 0 && exceeds(limit, labels.len()) {
        return Err(PageError::LabelLimit(format!(
            "label_limit exceeded (metric: {metric:.50}, number of labels: {}, limit: {limit})",
            labels.len()
        )));
    }
    let (name_limit, value_limit) = (
        settings.label_name_length_limit,
        settings.label_value_length_limit,
    );
    if name_limit == 0 && value_limit == 0 {
        return Ok(());
    }
    for label in labels {
        let name = label.name;
        if exceeds(name_limit, name.len()) {
            return Err(PageError::LabelLimit(format!(
                "label_name_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, length: {}, limit: {name_limit})",
                name.len()
            )));
        }
        if exceeds(value_limit, label.value.len()) {
            return Err(PageError::LabelLimit(format!(
                "label_value_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, value: {:?}, length: {}, limit: {value_limit})",
                label.value.chars().take(50).collect::<String>(),
                label.value.len()
            )));
        }
    }
    Ok(())
}
