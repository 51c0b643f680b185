//! `bellwether tool promql-test`: runs scripts in Prometheus' PromQL test language.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_promql::testlang::{Case, engine_options, run_cases};
use bellwether_promql::{EngineOptions, ParseOptions};
use clap::{Args, ValueEnum};
use regex::Regex;

use super::output;

#[derive(Debug, Args)]
pub(crate) struct PromqlTestArgs {
    /// Scripts; of a directory all files that end in `.test`.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Only the evaluations whose `FILE:LINE: EXPRESSION` this regular expression is found in.
    #[arg(long, value_name = "PATTERN")]
    run: Option<Regex>,
    /// Show every evaluation with its result, not only those that fail.
    #[arg(long)]
    debug: bool,
    /// Also write the outcome as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How the engine is set up.
    #[arg(long, value_enum, default_value_t = Setup::Tests)]
    engine: Setup,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Setup {
    /// As Prometheus' own tests: all experimental features, names dropped at the end, start timestamps, at most 10000
    /// samples per query.
    Tests,
    /// As a server without feature flags.
    Server,
}

impl Setup {
    fn options(self) -> EngineOptions {
        match self {
            Self::Tests => engine_options(),
            Self::Server => EngineOptions {
                parse: ParseOptions::default(),
                ..EngineOptions::default()
            },
        }
    }
}

/// What became of one script.
struct Suite {
    name: String,
    cases: Vec<Case>,
    /// Line and message when the script is not understood.
    error: Option<(usize, String)>,
}

impl Suite {
    fn failures(&self) -> usize {
        let failed = self.cases.iter().filter(|c| c.failure.is_some()).count();
        failed + usize::from(self.error.is_some())
    }
}

pub(super) fn run(args: &PromqlTestArgs) -> anyhow::Result<ExitCode> {
    let options = args.engine.options();
    let mut suites = Vec::new();
    for file in scripts(&args.files)? {
        let suite = run_file(args, &options, &file)?;
        let passed = suite.cases.len() + usize::from(suite.error.is_some()) - suite.failures();
        output::line(&format!(
            "{}: {passed} passed, {} failed",
            suite.name,
            suite.failures()
        ))?;
        suites.push(suite);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&suites))
            .with_context(|| format!("write {}", path.display()))?;
    }
    if suites
        .iter()
        .all(|s| s.cases.is_empty() && s.error.is_none())
    {
        match &args.run {
            Some(pattern) => bail!("no evaluation matches {:?}", pattern.as_str()),
            None => bail!("the scripts evaluate nothing"),
        }
    }
    Ok(if suites.iter().any(|s| s.failures() > 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The files, those of directories in the order of their names.
fn scripts(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let context = || format!("read {}", path.display());
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).with_context(context)? {
            let file = entry.with_context(context)?.path();
            if file.extension().is_some_and(|e| e == "test") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            bail!("{} has no files that end in .test", path.display());
        }
        inside.sort();
        all.extend(inside);
    }
    Ok(all)
}

fn run_file(args: &PromqlTestArgs, options: &EngineOptions, file: &Path) -> anyhow::Result<Suite> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let name = file.display().to_string();
    let mut cases = Vec::new();
    let mut printed = Ok(());
    let wanted = |line: usize, expr: &str| {
        let run = args.run.as_ref();
        run.is_none_or(|r| r.is_match(&format!("{name}:{line}: {expr}")))
    };
    let outcome = run_cases(
        &text,
        options,
        &mut |eval| wanted(eval.line, &eval.expr),
        &mut |case| {
            if case.failure.is_some() || args.debug {
                let shown = output::put(&describe(&name, &case, args.debug));
                if printed.is_ok() {
                    printed = shown;
                }
            }
            cases.push(case);
        },
    );
    printed?;
    let error = outcome.err().map(|e| (e.line, e.message));
    if let Some((line, message)) = &error {
        output::line(&format!("{name}:{line}: {message}"))?;
    }
    Ok(Suite { name, cases, error })
}

/// An evaluation with what is to be said about it, indented.
fn describe(file: &str, case: &Case, debug: bool) -> String {
    let mut out = format!("{file}:{}: {}", case.line, case.expr);
    if debug {
        let word = if case.failure.is_some() {
            "FAILED"
        } else {
            "ok"
        };
        let _ = write!(out, " ({word}, {:.1} ms)", millis(case.took));
    }
    out.push('\n');
    match &case.failure {
        Some(failure) => indent(&mut out, failure.lines()),
        None => indent(&mut out, case.got.iter().map(String::as_str)),
    }
    out
}

fn indent<'a>(out: &mut String, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        let _ = writeln!(out, "    {line}");
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn junit(suites: &[Suite]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
            escape(&suite.name),
            suite.cases.len(),
            suite.cases.iter().filter(|c| c.failure.is_some()).count(),
            usize::from(suite.error.is_some()),
        );
        for case in &suite.cases {
            let _ = write!(
                out,
                "    <testcase classname=\"{}\" name=\"line {}/{}\" time=\"{:.6}\"",
                escape(&suite.name),
                case.line,
                escape(&case.expr),
                case.took.as_secs_f64(),
            );
            match &case.failure {
                None => out.push_str("/>\n"),
                Some(failure) => {
                    let first = failure.lines().next().unwrap_or_default();
                    let _ = writeln!(
                        out,
                        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                        escape(first),
                        escape(failure),
                    );
                }
            }
        }
        if let Some((line, message)) = &suite.error {
            let _ = writeln!(
                out,
                "    <testcase classname=\"{0}\" name=\"line {line}\">\n      <error message=\"{1}\"/>\n    </testcase>",
                escape(&suite.name),
                escape(message),
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}

/// A text inside XML; characters that XML cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
