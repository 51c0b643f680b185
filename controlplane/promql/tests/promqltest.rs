//! Runs upstream's PromQL scripts against the engine.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;

use bellwether_promql::testlang::{Report, engine_options, run};

/// Files and the number of evaluations in them that do not pass yet. The figure is exact: when more pass, lower it.
const KNOWN: &[(&str, usize)] = &[
    ("literals", 0),
    ("selectors", 0),
    ("staleness", 0),
    ("operators", 0),
    ("functions", 0),
    ("at_modifier", 0),
    ("subquery", 0),
    ("fill-modifier", 0),
];

fn folder() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/promqltest"
    ));
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

fn run_text(name: &str, text: &str) -> Report {
    run(text, &engine_options()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn upstream_scripts() {
    let Some(folder) = folder() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".test").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files.len(), KNOWN.len(), "{files:?}");
    for name in files {
        let text = std::fs::read_to_string(folder.join(format!("{name}.test"))).unwrap();
        let report = run_text(&name, &text);
        eprintln!(
            "{name}: {} passed, {} failed",
            report.passed,
            report.failures.len()
        );
        let known = KNOWN.iter().find(|(n, _)| *n == name).unwrap().1;
        if report.failures.len() != known {
            for f in &report.failures {
                wrong.push(format!(
                    "{name}.test:{}: {}\n    {}",
                    f.line, f.expr, f.message
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} evaluations differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Our own scripts, for what upstream's copies do not have.
#[test]
fn own_scripts() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"));
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let report = run_text(&name, &std::fs::read_to_string(&path).unwrap());
        assert!(
            report.passed + report.failures.len() > 0,
            "{name} evaluates nothing"
        );
        for f in &report.failures {
            wrong.push(format!("{name}:{}: {}\n    {}", f.line, f.expr, f.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The runner has to notice when an expectation is not met.
#[test]
fn a_changed_expectation_fails() {
    let load = "load 1m\n  m{a=\"b\"} 1+1x10\n\n";
    for (eval, passes) in [
        ("eval instant at 5m m\n  m{a=\"b\"} 6\n", true),
        ("eval instant at 5m m\n  m{a=\"b\"} 7\n", false),
        ("eval instant at 5m m\n  m{a=\"c\"} 6\n", false),
        ("eval instant at 5m m\n", false),
        ("eval instant at 5m sum(m)\n  {} 6\n", true),
        ("eval instant at 5m sum(m)\n  {} 6.001\n", false),
        ("eval instant at 5m 1 + 1\n  2\n", true),
        ("eval instant at 5m 1 + 1\n  3\n", false),
        (
            "eval instant at 5m rate(m[5m])\n  expect no_info\n  {a=\"b\"} 0.016666666\n",
            false,
        ),
        (
            "eval instant at 5m rate(m[5m])\n  expect info\n  {a=\"b\"} 0.016666666\n",
            true,
        ),
        ("eval instant at 5m m + on() m\n  expect fail\n", false),
        (
            "eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2 3\n",
            true,
        ),
        (
            "eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2 4\n",
            false,
        ),
        (
            "eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2\n",
            false,
        ),
        (
            "eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2 _\n",
            false,
        ),
    ] {
        let report = run_text(eval, &format!("{load}{eval}"));
        assert_eq!(report.failures.is_empty(), passes, "{eval}: {report:?}");
    }
}
