//! What a file says is checked: names, expressions, templates, what belongs to which kind of rule.

use std::collections::HashSet;

use bellwether_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use bellwether_promql::parse;
use bellwether_scrape::config::ValidationScheme;
use bellwether_yaml::node::Place;

use super::{FileError, FileOptions, GroupSpec, RuleFile, RuleSpec};
use crate::expand::AlertTemplate;

/// All mistakes in the order of the file.
pub(super) fn check(file: &RuleFile, options: &FileOptions) -> Vec<FileError> {
    let mut errors = Vec::new();
    let mut names = HashSet::new();
    for group in &file.groups {
        check_group(group, options, &mut names, &mut errors);
        for (i, rule) in group.rules.iter().enumerate() {
            for Mistake { places, message } in check_rule(rule, options) {
                errors.push(FileError::Rule {
                    places,
                    group: group.name.clone(),
                    rule: i + 1,
                    name: rule.name().to_owned(),
                    message,
                });
            }
        }
    }
    errors
}

fn check_group<'f>(
    group: &'f GroupSpec,
    options: &FileOptions,
    names: &mut HashSet<&'f str>,
    errors: &mut Vec<FileError>,
) {
    // Prometheus loses the places of groups and prints zeros.
    let mut error = |message: String| errors.push(FileError::Group(message));
    if group.name.is_empty() {
        error("0:0: Groupname must not be empty".to_owned());
    }
    if !names.insert(&group.name) {
        error(format!(
            "0:0: groupname: \"{}\" is repeated in the same file",
            group.name
        ));
    }
    for name in group.labels.keys() {
        if !is_valid_label(name, options.names) || name == METRIC_NAME {
            error(format!("invalid label name: {name}"));
        }
    }
}

fn is_valid_label(name: &str, scheme: ValidationScheme) -> bool {
    match scheme {
        ValidationScheme::Utf8 => !name.is_empty(),
        ValidationScheme::Legacy => is_legacy_label_name(name),
    }
}

fn is_valid_metric(name: &str, scheme: ValidationScheme) -> bool {
    match scheme {
        ValidationScheme::Utf8 => !name.is_empty(),
        ValidationScheme::Legacy => is_legacy_metric_name(name),
    }
}

struct Mistake {
    places: Vec<Place>,
    message: String,
}

fn check_rule(rule: &RuleSpec, options: &FileOptions) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut mistake = |places: &[Place], message: String| {
        mistakes.push(Mistake {
            places: places.to_vec(),
            message,
        });
    };
    let places = rule.places;
    let both = [places.record, places.alert];
    if !rule.record.is_empty() && !rule.alert.is_empty() {
        mistake(
            &both,
            "only one of 'record' and 'alert' must be set".to_owned(),
        );
    }
    if rule.record.is_empty() && rule.alert.is_empty() {
        mistake(&both, "one of 'record' or 'alert' must be set".to_owned());
    }
    if rule.expr.is_empty() {
        mistake(
            &[places.expr],
            "field 'expr' must be set in rule".to_owned(),
        );
    } else if let Err(error) = parse(&rule.expr, &options.promql) {
        mistake(
            &[places.expr],
            format!("could not parse expression: {error}"),
        );
    }
    if !rule.record.is_empty() {
        for message in check_recording(rule, options.names) {
            mistake(&[places.record], message);
        }
    }
    for name in rule.labels.keys() {
        if !is_valid_label(name, options.names) || name == METRIC_NAME {
            mistake(&[], format!("invalid label name: {name}"));
        }
    }
    for name in rule.annotations.keys() {
        if !is_valid_label(name, options.names) {
            mistake(&[], format!("invalid annotation name: {name}"));
        }
    }
    for message in check_templates(rule) {
        mistake(&[], message);
    }
    mistakes
}

fn check_recording(rule: &RuleSpec, names: ValidationScheme) -> Vec<String> {
    let mut messages = Vec::new();
    let record = &rule.record;
    for (is_set, key) in [
        (!rule.annotations.is_empty(), "annotations"),
        (!rule.hold.is_zero(), "for"),
        (!rule.keep_firing_for.is_zero(), "keep_firing_for"),
    ] {
        if is_set {
            messages.push(format!("invalid field '{key}' in recording rule"));
        }
    }
    if !is_valid_metric(record, names) {
        messages.push(format!("invalid recording rule name: {record}"));
    }
    if record.contains(['{', '}']) {
        messages.push(format!(
            "braces present in the recording rule name; should it be in expr?: {record}"
        ));
    }
    messages
}

/// Labels and annotations of alerts have to be templates.
fn check_templates(rule: &RuleSpec) -> Vec<String> {
    if rule.alert.is_empty() {
        return Vec::new();
    }
    let check = |kind: &str, name: &str, text: &str| {
        let error = AlertTemplate::parse(&rule.alert, text).err()?;
        Some(format!("{kind} {}: {error}", super::quote(name)))
    };
    let labels = rule.labels.iter().filter_map(|(n, t)| check("label", n, t));
    let annotations = rule.annotations.iter();
    let annotations = annotations.filter_map(|(n, t)| check("annotation", n, t));
    labels.chain(annotations).collect()
}
