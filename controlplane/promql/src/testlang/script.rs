//! From a script's text to its commands.

use bellwether_model::{Labels, duration};
use regex::Regex;

use super::values::{self, SequenceValue};
use crate::parser::literal::unquote;

/// One command.
#[derive(Clone, Debug)]
pub enum Command {
    /// Forget all series.
    Clear,
    /// Add samples; value i belongs to the time `i * step_ms`.
    Load {
        /// Distance of values in milliseconds.
        step_ms: i64,
        /// Also build custom-bucket histograms from the classic ones.
        with_nhcb: bool,
        /// Series and their values.
        series: Vec<(Labels, Vec<SequenceValue>)>,
    },
    /// Evaluate and compare.
    Eval(Box<Eval>),
}

/// When to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At one time, in milliseconds.
    Instant(i64),
    /// Start, end and step in milliseconds.
    Range(i64, i64, i64),
}

/// An expected text: any, equal, or found by a pattern.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Anything.
    Any,
    /// Exactly this.
    Message(String),
    /// Something that the pattern is found in.
    Pattern(Regex),
}

impl Expected {
    /// Whether a text is what was expected.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Message(message) => message == text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

/// An evaluation and what it has to give.
#[derive(Clone, Debug)]
pub struct Eval {
    /// Line number of the command, from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// When to evaluate it.
    pub when: When,
    /// The query has to fail so.
    pub fail: Option<Expected>,
    /// Warnings that have to be there, and no others.
    pub warn: Vec<Expected>,
    /// Infos that have to be there, and no others.
    pub info: Vec<Expected>,
    /// No warnings allowed.
    pub no_warn: bool,
    /// No infos allowed.
    pub no_info: bool,
    /// The order of an instant vector counts.
    pub ordered: bool,
    /// The result is this string.
    pub string: Option<String>,
    /// The result is this scalar.
    pub scalar: Option<f64>,
    /// The times of expected values when an instant query returns a range vector: start, end, step.
    pub range_vector: Option<(i64, i64, i64)>,
    /// Expected series in the order of the script.
    pub series: Vec<(Labels, Vec<SequenceValue>)>,
}

/// A script that does not follow the language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Parses a script.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    // A comment counts as a blank line.
    let lines: Vec<&str> = text
        .lines()
        .map(|l| {
            if l.trim_start().starts_with('#') {
                ""
            } else {
                l.trim()
            }
        })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let first = at;
        at += 1;
        if line.is_empty() {
            continue;
        }
        let block_end = lines[at..]
            .iter()
            .position(|l| l.is_empty())
            .map_or(lines.len(), |n| at + n);
        let word = line.split_whitespace().next().unwrap_or_default();
        let error = |line: usize, message: String| ScriptError {
            line: line + 1,
            message,
        };
        if word == "clear" {
            commands.push(Command::Clear);
        } else if word == "load" || word == "load_with_nhcb" {
            let step_ms = time(line[word.len()..].trim()).map_err(|m| error(first, m))?;
            let mut series = Vec::new();
            for (i, line) in lines.iter().enumerate().take(block_end).skip(at) {
                series.push(values::series(line).map_err(|m| error(i, m))?);
            }
            at = block_end;
            commands.push(Command::Load {
                step_ms,
                with_nhcb: word == "load_with_nhcb",
                series,
            });
        } else if word.starts_with("eval") {
            let mut eval = header(line, first + 1).map_err(|m| error(first, m))?;
            while at < block_end {
                let more = expectation(&mut eval, lines[at]).map_err(|m| error(at, m))?;
                at += 1;
                if !more {
                    break;
                }
            }
            commands.push(Command::Eval(Box::new(eval)));
        } else {
            return Err(error(first, format!("unknown command {line:?}")));
        }
    }
    Ok(commands)
}

/// A time or duration in milliseconds; durations may be negative.
fn time(text: &str) -> Result<i64, String> {
    let (text, sign) = match text.strip_prefix('-') {
        Some(text) => (text, -1),
        None => (text, 1),
    };
    Ok(sign * duration::parse_millis(text).map_err(|e| e.to_string())?)
}

/// Takes the word after `keyword` from a text.
fn after<'a>(text: &'a str, keyword: &str) -> Result<(&'a str, &'a str), String> {
    let rest = text
        .trim_start()
        .strip_prefix(keyword)
        .ok_or_else(|| format!("{keyword:?} expected in {text:?}"))?;
    let rest = rest.trim_start();
    Ok(rest.split_once(char::is_whitespace).unwrap_or((rest, "")))
}

fn header(line: &str, number: usize) -> Result<Eval, String> {
    let (command, rest) = line
        .split_once(char::is_whitespace)
        .ok_or("bad eval command")?;
    let rest = rest.trim_start();
    let (when, expr) = if let Some(rest) = rest.strip_prefix("instant") {
        let (at, expr) = after(rest, "at")?;
        (When::Instant(time(at)?), expr)
    } else if let Some(rest) = rest.strip_prefix("range") {
        let (from, rest) = after(rest, "from")?;
        let (to, rest) = after(rest, "to")?;
        let (step, expr) = after(rest, "step")?;
        (When::Range(time(from)?, time(to)?, time(step)?), expr)
    } else {
        return Err(format!("instant or range expected in {line:?}"));
    };
    let any = |word: &str| {
        if command == word {
            vec![Expected::Any]
        } else {
            Vec::new()
        }
    };
    if ![
        "eval",
        "eval_fail",
        "eval_warn",
        "eval_info",
        "eval_ordered",
    ]
    .contains(&command)
    {
        return Err(format!("unknown command {command:?}"));
    }
    Ok(Eval {
        line: number,
        expr: expr.trim().to_owned(),
        when,
        fail: (command == "eval_fail").then_some(Expected::Any),
        warn: any("eval_warn"),
        info: any("eval_info"),
        no_warn: false,
        no_info: false,
        ordered: command == "eval_ordered",
        string: None,
        scalar: None,
        range_vector: None,
        series: Vec::new(),
    })
}

/// Takes one expectation line; false when it was the last one.
fn expectation(eval: &mut Eval, line: &str) -> Result<bool, String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        eval.fail = Some(Expected::Message(message.trim().to_owned()));
        return Ok(false);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        eval.fail = Some(pattern_of(pattern)?);
        return Ok(false);
    }
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let (from, rest) = after(rest, "from")?;
        let (to, rest) = after(rest, "to")?;
        let (step, _) = after(rest, "step")?;
        let times = (time(from)?, time(to)?, time(step)?);
        eval.range_vector = Some(times);
        // Upstream evaluates at the end of the expected times.
        eval.when = When::Instant(times.1);
        return Ok(true);
    }
    if let Some(text) = line.strip_prefix("expect string ") {
        eval.string = Some(unquote(text.trim()).ok_or("a quoted string is required")?);
        return Ok(true);
    }
    if let Some(rest) = line.strip_prefix("expect ") {
        let rest = rest.trim();
        let (kind, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let detail = detail.trim();
        let expected = if let Some(message) = detail.strip_prefix("msg:") {
            Expected::Message(message.trim().to_owned())
        } else if let Some(pattern) = detail.strip_prefix("regex:") {
            pattern_of(pattern)?
        } else if detail.is_empty() {
            Expected::Any
        } else {
            return Err(format!("msg: or regex: expected in {line:?}"));
        };
        match kind {
            "fail" => eval.fail = Some(expected),
            "warn" => eval.warn.push(expected),
            "info" => eval.info.push(expected),
            "no_warn" => eval.no_warn = true,
            "no_info" => eval.no_info = true,
            "ordered" => eval.ordered = true,
            other => return Err(format!("unknown expectation {other:?}")),
        }
        return Ok(true);
    }
    if let Ok(v) = values::number(line) {
        eval.scalar = Some(v);
        return Ok(false);
    }
    eval.series.push(values::series(line)?);
    Ok(true)
}

fn pattern_of(text: &str) -> Result<Expected, String> {
    Regex::new(text.trim())
        .map(Expected::Pattern)
        .map_err(|e| e.to_string())
}
