//! The multi-line form. The one-line form is tested with the parser.
#![allow(clippy::unwrap_used)]

use super::pretty;
use crate::parser::{ParseOptions, parse};

fn formatted(text: &str) -> String {
    pretty(&parse(text, &ParseOptions::all()).unwrap())
}

#[test]
fn short_expressions_stay_on_one_line() {
    for text in [
        "a + b",
        "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))",
        "x[1h:5m] offset 1d",
    ] {
        assert_eq!(formatted(text), text);
    }
    let exactly_100 = format!("{} + b", "a".repeat(96));
    assert_eq!(formatted(&exactly_100), exactly_100);
    let longer = format!("{} + b", "a".repeat(97));
    assert_eq!(formatted(&longer), format!("  {}\n+\n  b", "a".repeat(97)));
}

#[test]
fn long_expressions_are_split_by_structure() {
    let a = "a".repeat(50);
    let b = "b".repeat(50);
    for (text, want) in [
        (
            format!("{a} / on(x) group_left() {b} > bool 5"),
            format!("    {a}\n  / on (x) group_left ()\n    {b}\n> bool\n  5"),
        ),
        (
            format!("topk by (job) (5, {a} + {b})"),
            format!("topk by (job) (\n  5,\n    {a}\n  +\n    {b}\n)"),
        ),
        (
            format!("histogram_quantile(0.9, sum by (le) (rate({a}{{{b}=\"x\"}}[5m])))"),
            format!(
                "histogram_quantile(\n  0.9,\n  sum by (le) (\n    rate(\n      {a}{{{b}=\"x\"}}[5m]\n    )\n  )\n)"
            ),
        ),
        (
            format!("-({a} + {b})"),
            format!("-(\n    {a}\n  +\n    {b}\n)"),
        ),
        (
            format!("({a} + {b})[1h:5m] offset 1d"),
            format!("(\n    {a}\n  +\n    {b}\n)[1h:5m] offset 1d"),
        ),
    ] {
        let found = formatted(&text);
        assert_eq!(found, want);
        assert_eq!(formatted(&found), want, "not stable");
    }
}

/// Neither time nor stack grow more than with the output.
#[test]
fn long_chains() {
    let text = format!("{}{}", "a", " or a".repeat(5000));
    let found = formatted(&text);
    assert!(found.ends_with("\nor\n  a"));
    assert_eq!(
        found.lines().filter(|l| l.trim() == "or").count() + found.matches("a or").count(),
        5000
    );
}
