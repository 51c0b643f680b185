//! Which rules of a group read what others write, and what may therefore run at the same time.

use bellwether_model::Matcher;
use bellwether_model::labels::METRIC_NAME;
use bellwether_promql::ast::{ExprKind, VectorSelector};
use bellwether_promql::walk;

use crate::rule::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE, Rule};

/// By rule: the rules that read its results. `None` when a selector without a name may read anything.
fn dependents(rules: &[Rule]) -> Option<Vec<Vec<usize>>> {
    let mut dependents = vec![Vec::new(); rules.len()];
    if rules.len() <= 1 {
        return Some(dependents);
    }
    for (i, rule) in rules.iter().enumerate() {
        let mut selectors = Vec::new();
        walk::visit(&rule.expr, |expr| match &expr.kind {
            ExprKind::VectorSelector(selector) => selectors.push(&**selector),
            ExprKind::MatrixSelector(selector) => selectors.push(&selector.vector),
            _ => {}
        });
        for selector in selectors {
            let name = matcher(selector, METRIC_NAME)?;
            // Later rules of the group are no input of this one: it reads what they wrote one round before.
            for (j, other) in rules[..i].iter().enumerate() {
                if reads(selector, name, other) {
                    dependents[j].push(i);
                }
            }
        }
    }
    Some(dependents)
}

fn matcher<'s>(selector: &'s VectorSelector, name: &str) -> Option<&'s Matcher> {
    selector.matchers.iter().find(|m| m.name == name)
}

fn reads(selector: &VectorSelector, name: &Matcher, other: &Rule) -> bool {
    if name.matches(&other.name) {
        return true;
    }
    let of_alerts = name.matches(ALERTS) || name.matches(ALERTS_FOR_STATE);
    of_alerts
        && other.is_alerting()
        && matcher(selector, ALERT_NAME).is_none_or(|m| m.matches(&other.name))
}

/// Batches in order; the rules of one batch may run at the same time: first those without input from the group, then
/// one by one those with input and readers, last those that nobody reads. Empty when all have to run in order.
pub(super) fn split(rules: &[Rule]) -> Vec<Vec<usize>> {
    let Some(dependents) = dependents(rules) else {
        return Vec::new();
    };
    let has_input = |i: usize| dependents.iter().any(|d| d.contains(&i));
    let mut first = Vec::new();
    let mut middle = Vec::new();
    let mut last = Vec::new();
    for (i, readers) in dependents.iter().enumerate() {
        if !has_input(i) {
            first.push(i);
        } else if readers.is_empty() {
            last.push(i);
        } else {
            middle.push(vec![i]);
        }
    }
    let batches = std::iter::once(first).chain(middle).chain([last]);
    batches.filter(|batch| !batch.is_empty()).collect()
}
