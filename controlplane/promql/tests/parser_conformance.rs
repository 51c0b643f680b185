//! The parser against expressions of others: Prometheus' own test scripts, and the promql-parser crate.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;

use bellwether_promql::ast::{Expr, ExprKind};
use bellwether_promql::parser::{ParseOptions, parse};
use bellwether_promql::walk;

fn scripts() -> Option<Vec<(String, String)>> {
    let dir = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/promqltest"
    ));
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("SKIPPED: no test scripts in {}", dir.display());
        return None;
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    Some(found)
}

/// The expression of an `eval` line, and whether it may fail: `eval_fail`, or `expect fail` below it.
fn evaluations(script: &str) -> Vec<(String, bool)> {
    let lines: Vec<&str> = script.lines().collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let mut words = line.split_whitespace();
        let Some(command) = words.next().filter(|w| w.starts_with("eval")) else {
            continue;
        };
        let skipped = match words.next() {
            Some("instant") => 2,
            Some("range") => 6,
            _ => continue,
        };
        let skip = words.by_ref().take(skipped).count();
        assert_eq!(skip, skipped, "{line}");
        // What is left, with its spaces as they are.
        let Some(first) = words.next() else { continue };
        let at = first.as_ptr() as usize - line.as_ptr() as usize;
        let expression = line[at..].to_owned();
        let fails = command == "eval_fail"
            || lines[i + 1..]
                .iter()
                .take_while(|l| l.starts_with([' ', '\t']))
                .any(|l| l.trim_start().starts_with("expect fail"));
        found.push((expression, fails));
    }
    found
}

#[test]
fn every_expression_of_the_test_scripts_parses() {
    let Some(scripts) = scripts() else { return };
    let mut parsed = 0;
    let mut problems = Vec::new();
    for (name, script) in &scripts {
        for (text, fails) in evaluations(script) {
            match parse(&text, &ParseOptions::all()) {
                Ok(expr) => {
                    parsed += 1;
                    if text.contains(r"\xff") {
                        // Not UTF-8: the tree holds a replacement character, which is no valid query text.
                        continue;
                    }
                    let printed = expr.to_string();
                    let again = parse(&printed, &ParseOptions::all()).map(|e| e.to_string());
                    if again.as_deref() != Ok(printed.as_str()) {
                        problems.push(format!("{name}: {text}: printed as {printed}: {again:?}"));
                    }
                }
                Err(_) if fails => {}
                Err(e) => problems.push(format!("{name}: {text}: {e}")),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(parsed > 500, "only {parsed} expressions found");
}

/// Whether promql-parser is known to read or print this differently (it lags behind Prometheus).
fn beyond_the_oracle(expr: &Expr, text: &str) -> bool {
    let words = [
        "anchored",
        "smoothed",
        "</",
        ">/",
        "fill",
        "step()",
        "range()",
        "min_of",
        "max_of",
        "_0",
        "\\",
        "info(",
        "start_timestamp",
        "histogram_quantiles",
    ];
    let mut beyond = words.iter().any(|w| text.contains(w));
    walk::visit(expr, |e| {
        beyond |= match &e.kind {
            // Durations lose their unit, signs vanish, NaN differs from itself.
            ExprKind::Number(n) => {
                n.duration || !n.value.is_finite() || n.value.abs() > 1e15 || n.value.abs() < 1e-5
            }
            ExprKind::Unary(..) => true,
            ExprKind::VectorSelector(v) => v.at.is_some() || text.contains("offset"),
            ExprKind::MatrixSelector(m) => m.vector.at.is_some() || text.contains("offset"),
            ExprKind::Subquery(s) => s.at.is_some() || text.contains("offset"),
            _ => false,
        };
    });
    beyond
}

/// Valid expressions that both read have to print alike.
#[test]
fn agrees_with_promql_parser() {
    let Some(scripts) = scripts() else { return };
    let mut compared = 0;
    let mut problems = Vec::new();
    for (name, script) in &scripts {
        for (text, _) in evaluations(script) {
            let Ok(ours) = parse(&text, &ParseOptions::all()) else {
                continue;
            };
            if beyond_the_oracle(&ours, &text) {
                continue;
            }
            match promql_parser::parser::parse(&text) {
                Ok(theirs) => {
                    compared += 1;
                    // Their printer neither sorts matchers nor spaces lists as Prometheus does: read it again.
                    let reread =
                        parse(&theirs.to_string(), &ParseOptions::all()).map(|e| e.to_string());
                    if reread.as_deref() != Ok(ours.to_string().as_str()) {
                        problems.push(format!(
                            "{name}: {text}\n  ours   {ours}\n  theirs {theirs}"
                        ));
                    }
                }
                Err(e) => problems.push(format!("{name}: {text}: refused by the oracle: {e}")),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(compared > 300, "only {compared} expressions compared");
}
