//! Runs upstream's PromQL scripts against the engine.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;

use bellwether_promql::testlang::{Report, engine_options, run, run_cases};

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

/// A wrong version of an expectation line; `None` where none is sure to be wrong.
fn mutated(line: &str) -> Option<String> {
    let rest = line.trim_start();
    if let Some(rest) = rest.strip_prefix("expect ") {
        let (kind, detail) = rest.split_once(' ').unwrap_or((rest, ""));
        return match (kind, detail.is_empty()) {
            ("no_warn", _) => Some("expect warn".to_owned()),
            ("no_info", _) => Some("expect info".to_owned()),
            ("warn", true) => Some("expect no_warn".to_owned()),
            ("info", true) => Some("expect no_info".to_owned()),
            ("fail", true) => Some("expect fail msg: another".to_owned()),
            ("warn" | "info" | "fail", false) => Some(format!("{line}?!")),
            ("string", _) => Some("expect string \"another\"".to_owned()),
            _ => None,
        };
    }
    // The last number of a series line, or what stands for one.
    let (start, value) = line.rsplit_once([' ', ':', '['])?;
    let separator = &line[start.len()..=start.len()];
    let digits: String = value.chars().take_while(|c| !"x]}".contains(*c)).collect();
    let tail = &value[digits.len()..];
    let other = match digits.as_str() {
        "NaN" | "Inf" | "+Inf" | "-Inf" | "stale" | "_" => "12345".to_owned(),
        number if number.parse::<f64>().is_ok() => format!("{}", number.parse::<f64>().ok()? + 1.5),
        _ => return None,
    };
    Some(format!("{start}{separator}{other}{tail}"))
}

/// Whether the evaluation at a line passes.
fn passes(text: &str, line: usize) -> Option<bool> {
    let mut outcome = None;
    let ran = run_cases(
        text,
        &engine_options(),
        &mut |eval| eval.line == line,
        &mut |case| outcome = Some(case.failure.is_none()),
    );
    // A script that is not understood any more fails too.
    if ran.is_ok() { outcome } else { Some(false) }
}

/// Every expectation of our scripts, made wrong or left out, has to fail.
#[test]
fn every_changed_expectation_fails() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"));
    let (mut tried, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut eval = None;
        for (at, line) in lines.iter().enumerate() {
            let trimmed = line.trim();
            if trimmed.starts_with("eval") {
                eval = Some(at + 1);
                continue;
            }
            if trimmed.is_empty() || trimmed.starts_with('#') {
                eval = None;
            }
            let Some(eval) = eval else {
                continue;
            };
            let mut changes: Vec<String> = mutated(line).into_iter().collect();
            // Other expectations may be weaker than what came; these say what there has to be.
            let says_what = !trimmed.starts_with("expect ") || trimmed.starts_with("expect fail");
            if says_what {
                // Nothing expected any more, in the place of this line.
                changes.push("  expect no_warn".to_owned());
            }
            for change in changes {
                let mut changed: Vec<&str> = lines.clone();
                changed[at] = &change;
                tried += 1;
                if passes(&changed.join("\n"), eval) != Some(false) {
                    wrong.push(format!("{name}:{}: {line}\n    as {change:?}", at + 1));
                }
            }
        }
    }
    assert!(tried > 100, "only {tried} changes");
    assert!(
        wrong.is_empty(),
        "{} of {tried} pass:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
