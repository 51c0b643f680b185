//! What differs between two answers.

use std::collections::BTreeMap;

use crate::answer::{Answer, Data, Number};

/// An evaluation with both answers; rules may change the answers before they are compared.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) expr: String,
    /// Names go away at the end only.
    pub(crate) late_names: bool,
    pub(crate) ours: Answer,
    pub(crate) theirs: Answer,
    /// Relative difference that numbers may have.
    pub(crate) tolerance: f64,
    /// The answers cannot be compared at all.
    pub(crate) skip: bool,
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || a == b && (tolerance > 0.0 || a != 0.0)
        || (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

fn same(a: &Number, b: &Number, tolerance: f64) -> bool {
    match (a, b) {
        (Number::Float(a), Number::Float(b)) => close(*a, *b, tolerance),
        (Number::Histogram(c, s, a), Number::Histogram(d, t, b)) => {
            close(*c, *d, tolerance)
                && close(*s, *t, tolerance)
                && a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.0 == b.0 && a.1 == b.1 && a.2 == b.2 && close(a.3, b.3, tolerance)
                })
        }
        _ => false,
    }
}

fn sorted(data: &Data) -> BTreeMap<&str, &BTreeMap<i64, Number>> {
    data.series.iter().map(|(l, p)| (l.as_str(), p)).collect()
}

/// The first difference, in words.
pub(crate) fn difference(case: &Case) -> Option<String> {
    if case.skip {
        return None;
    }
    let (ours, theirs) = match (&case.ours.result, &case.theirs.result) {
        (Err(a), Err(b)) => {
            let same = a == b || b.ends_with(&format!(": {a}"));
            return (!same).then(|| format!("errors\n  ours:   {a}\n  theirs: {b}"));
        }
        (Err(a), Ok(b)) => return Some(format!("only ours fails: {a}\n  theirs: {b:?}")),
        (Ok(a), Err(b)) => return Some(format!("only theirs fails: {b}\n  ours: {a:?}")),
        (Ok(a), Ok(b)) => (a, b),
    };
    if ours.kind != theirs.kind || ours.text != theirs.text {
        return Some(format!("types or texts: {ours:?}\n  {theirs:?}"));
    }
    let (a, b) = (sorted(ours), sorted(theirs));
    if a.keys().ne(b.keys()) {
        return Some(format!(
            "labels\n  ours:   {:?}\n  theirs: {:?}",
            a.keys(),
            b.keys()
        ));
    }
    for ((labels, a), b) in a.iter().zip(b.values()) {
        if a.keys().ne(b.keys()) {
            return Some(format!(
                "times of {labels}\n  ours:   {a:?}\n  theirs: {b:?}"
            ));
        }
        for ((t, x), y) in a.iter().zip(b.values()) {
            if !same(x, y, case.tolerance) {
                return Some(format!("{labels} at {t}\n  ours:   {x:?}\n  theirs: {y:?}"));
            }
        }
    }
    if let Some(order) = order_differs(case, ours, theirs) {
        return Some(order);
    }
    annotations(case)
}

/// Only `sort*` decides the order of an instant vector; of equal values any may come first.
fn order_differs(case: &Case, ours: &Data, theirs: &Data) -> Option<String> {
    let counts = ours.kind == "matrix" || case.expr.starts_with("sort") && case.expr.ends_with(')');
    if !counts {
        return None;
    }
    let by_label = ours.kind == "matrix" || case.expr.starts_with("sort_by_label");
    type Points = (String, BTreeMap<i64, Number>);
    let same = |(a, b): (&Points, &Points)| {
        if by_label {
            return a.0 == b.0;
        }
        match (a.1.values().next(), b.1.values().next()) {
            (Some(x), Some(y)) => same(x, y, case.tolerance),
            (x, y) => x == y,
        }
    };
    let equal = ours.series.iter().zip(&theirs.series).all(same);
    let order = |d: &Data| -> Vec<String> { d.series.iter().map(|s| s.0.clone()).collect() };
    (!equal).then(|| {
        format!(
            "order\n  ours:   {:?}\n  theirs: {:?}",
            order(ours),
            order(theirs)
        )
    })
}

fn annotations(case: &Case) -> Option<String> {
    for (what, ours, theirs) in [
        ("warnings", &case.ours.warnings, &case.theirs.warnings),
        ("infos", &case.ours.infos, &case.theirs.infos),
    ] {
        let (mut a, mut b) = (ours.clone(), theirs.clone());
        a.sort();
        b.sort();
        // Prometheus returns ten at most.
        let cut = b.iter().position(|t| t.ends_with(" annotations omitted"));
        if let Some(at) = cut {
            b.remove(at);
            if b.iter().all(|t| a.contains(t)) {
                continue;
            }
        }
        if a != b {
            return Some(format!("{what}\n  ours:   {a:?}\n  theirs: {b:?}"));
        }
    }
    None
}
