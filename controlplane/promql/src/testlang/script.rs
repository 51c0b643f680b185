//! From a script's text to its commands.

use bellwether_model::re2::Re2;
use bellwether_model::{Labels, duration};

use super::values::{self, SequenceValue};
use crate::parser::literal::unquote;

/// One command.
#[derive(Clone, Debug)]
pub enum Command {
    /// Forget all series.
    Clear,
    /// Add samples.
    Load(Load),
    /// Evaluate and compare.
    Eval(Box<Eval>),
}

/// Samples to add; value i belongs to the time `i * step_ms`.
#[derive(Clone, Debug)]
pub struct Load {
    /// Line number of the command, from 1.
    pub line: usize,
    /// Distance of values in milliseconds.
    pub step_ms: i64,
    /// Also build custom-bucket histograms from the classic ones.
    pub with_nhcb: bool,
    /// Series and their values. A series that stands in several lines has the values of the last.
    pub series: Vec<LoadSeries>,
}

/// A series to load.
#[derive(Clone, Debug)]
pub struct LoadSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its values.
    pub values: Vec<SequenceValue>,
    /// Start timestamps in milliseconds relative to the time of the value of the same position; empty without an
    /// `@st` line.
    pub starts: Vec<Option<i64>>,
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
    Pattern(Re2),
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
    /// Whether an `expect fail` line says so.
    pub fail_line: bool,
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

/// The lines of a script while it is read.
struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        // A comment counts as a blank line.
        let line = |l: &'a str| {
            let l = l.trim();
            if l.starts_with('#') { "" } else { l }
        };
        Self {
            lines: text.lines().map(line).collect(),
            next: 0,
        }
    }

    /// The next line that is not blank, with its number.
    fn command(&mut self) -> Option<(usize, &'a str)> {
        loop {
            let line = *self.lines.get(self.next)?;
            self.next += 1;
            if !line.is_empty() {
                return Some((self.next, line));
            }
        }
    }

    /// The next line of a command's block, which a blank line ends, with its number.
    fn block(&mut self) -> Option<(usize, &'a str)> {
        let line = *self.lines.get(self.next).filter(|l| !l.is_empty())?;
        self.next += 1;
        Some((self.next, line))
    }
}

/// Turns a message into an error at a line.
fn at(line: usize) -> impl Fn(String) -> ScriptError {
    move |message| ScriptError { line, message }
}

/// Parses a script.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    let mut lines = Lines::new(text);
    let mut commands = Vec::new();
    while let Some((number, line)) = lines.command() {
        let word = line.split_whitespace().next().unwrap_or_default();
        let lower = word.to_ascii_lowercase();
        commands.push(if lower == "clear" {
            Command::Clear
        } else if lower.starts_with("load") {
            Command::Load(load(&mut lines, number, line, word)?)
        } else if lower.starts_with("eval") {
            let mut eval = header(line, number).map_err(at(number))?;
            while let Some((number, line)) = lines.block() {
                if !expectation(&mut eval, line).map_err(at(number))? {
                    break;
                }
            }
            Command::Eval(Box::new(eval))
        } else {
            return Err(at(number)(format!("invalid command {line:?}")));
        });
    }
    Ok(commands)
}

fn load(lines: &mut Lines<'_>, number: usize, line: &str, word: &str) -> Result<Load, ScriptError> {
    if word != "load" && word != "load_with_nhcb" {
        let message = "invalid load command. (load[_with_nhcb] <step:duration>)";
        return Err(at(number)(message.to_owned()));
    }
    let mut load = Load {
        line: number,
        step_ms: time(line[word.len()..].trim(), "step").map_err(at(number))?,
        with_nhcb: word == "load_with_nhcb",
        series: Vec::new(),
    };
    let mut pending: Option<(usize, Labels, Vec<Option<i64>>)> = None;
    let alone = |(line, ..): &(usize, Labels, Vec<Option<i64>>)| {
        at(*line)("@st line has no following sample line".to_owned())
    };
    while let Some((number, line)) = lines.block() {
        if let Some(parsed) = values::start_times(line) {
            if let Some(pending) = &pending {
                return Err(alone(pending));
            }
            let (labels, starts) = parsed.map_err(at(number))?;
            pending = Some((number, labels, starts));
            continue;
        }
        let (labels, values) = values::series(line).map_err(at(number))?;
        let mut starts = Vec::new();
        if let Some((st_line, st_labels, st_values)) = pending.take() {
            if st_labels != labels {
                let message = "@st metric does not match the following sample line metric";
                return Err(at(st_line)(message.to_owned()));
            }
            if st_values.len() != values.len() {
                return Err(at(st_line)(format!(
                    "@st line has {} values but sample line has {}",
                    st_values.len(),
                    values.len()
                )));
            }
            starts = st_values;
        }
        load.series.retain(|s| s.labels != labels);
        load.series.push(LoadSeries {
            labels,
            values,
            starts,
        });
    }
    match &pending {
        Some(pending) => Err(alone(pending)),
        None => Ok(load),
    }
}

/// A time or duration in milliseconds; it may be negative, which Prometheus' own runner does not know.
fn time(text: &str, what: &str) -> Result<i64, String> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    let ms = duration::parse_millis(digits)
        .map_err(|e| format!("invalid {what} definition {text:?}: {e}"))?;
    Ok(sign * ms)
}

/// Start, end and step.
fn times(from: &str, to: &str, step: &str) -> Result<(i64, i64, i64), String> {
    let (start, end) = (time(from, "start timestamp")?, time(to, "end timestamp")?);
    if end < start {
        return Err(format!(
            "invalid test definition, end timestamp ({to}) is before start timestamp ({from})"
        ));
    }
    Ok((start, end, time(step, "step")?))
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
    let bad = || {
        "invalid evaluation command. Must be either 'eval[_fail|_warn|_info|_ordered] instant at <offset:duration> <query>' or 'eval[_fail|_warn|_info] range from <from> to <to> step <step> <query>'".to_owned()
    };
    let (command, rest) = line.split_once(char::is_whitespace).ok_or_else(bad)?;
    let rest = rest.trim_start();
    let (when, expr) = if let Some(rest) = rest.strip_prefix("instant") {
        let (at, expr) = after(rest, "at").map_err(|_| bad())?;
        (When::Instant(time(at, "timestamp")?), expr)
    } else if let Some(rest) = rest.strip_prefix("range") {
        let (from, rest) = after(rest, "from").map_err(|_| bad())?;
        let (to, rest) = after(rest, "to").map_err(|_| bad())?;
        let (step, expr) = after(rest, "step").map_err(|_| bad())?;
        let (start, end, step) = times(from, to, step)?;
        (When::Range(start, end, step), expr)
    } else {
        return Err(bad());
    };
    let any = |word: &str| {
        if command == word {
            vec![Expected::Any]
        } else {
            Vec::new()
        }
    };
    let ordered = command == "eval_ordered";
    let known = ["eval", "eval_fail", "eval_warn", "eval_info"].contains(&command)
        || (ordered && matches!(when, When::Instant(_)));
    if !known {
        return Err(bad());
    }
    Ok(Eval {
        line: number,
        expr: expr.trim().to_owned(),
        when,
        fail: (command == "eval_fail").then_some(Expected::Any),
        fail_line: false,
        warn: any("eval_warn"),
        info: any("eval_info"),
        no_warn: false,
        no_info: false,
        ordered,
        string: None,
        scalar: None,
        range_vector: None,
        series: Vec::new(),
    })
}

/// Takes one expectation line; false when it was the last one.
fn expectation(eval: &mut Eval, line: &str) -> Result<bool, String> {
    if eval.fail.is_some() {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            eval.fail = Some(Expected::Message(message.trim().to_owned()));
            return Ok(false);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            eval.fail = Some(pattern_of(pattern)?);
            return Ok(false);
        }
    }
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let bad = |_| format!("invalid range vector definition {line:?}");
        let (from, rest) = after(rest, "from").map_err(bad)?;
        let (to, rest) = after(rest, "to").map_err(bad)?;
        let (step, _) = after(rest, "step").map_err(bad)?;
        let times = times(from, to, step)?;
        eval.range_vector = Some(times);
        // Upstream evaluates at the end of the expected times.
        eval.when = When::Instant(times.1);
        return Ok(true);
    }
    if let Some(text) = line.strip_prefix("expect string") {
        let text = unquote(text.trim()).ok_or(
            "expected string literal not valid - check that the string is correctly quoted",
        )?;
        eval.string = Some(text);
        return Ok(true);
    }
    if let Some(rest) = line.strip_prefix("expect ") {
        expect(eval, line, rest.trim())?;
        return Ok(true);
    }
    if let Ok(v) = values::number(line) {
        eval.scalar = Some(v);
        return Ok(false);
    }
    let (labels, values) = values::series(line)?;
    if values.len() > 1 && matches!(eval.when, When::Instant(_)) && eval.range_vector.is_none() {
        return Err("expecting multiple values in instant evaluation not allowed. consider using 'expect range vector' directive to enable a range vector result for an instant query".to_owned());
    }
    // The last line of a series counts.
    eval.series.retain(|(l, _)| *l != labels);
    eval.series.push((labels, values));
    Ok(true)
}

/// `expect KIND`, `expect KIND msg: TEXT`, `expect KIND regex: PATTERN`
fn expect(eval: &mut Eval, line: &str, rest: &str) -> Result<(), String> {
    let bad = || {
        format!(
            "invalid expect statement {line:?}, must match `expect <type> <match_type>: <string>` format"
        )
    };
    let (kind, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let detail = detail.trim();
    let expected = if let Some(message) = detail.strip_prefix("msg:") {
        Expected::Message(message.trim().to_owned())
    } else if let Some(pattern) = detail.strip_prefix("regex:") {
        pattern_of(pattern)?
    } else if detail.is_empty() {
        Expected::Any
    } else {
        return Err(bad());
    };
    match kind {
        "fail" if eval.fail_line => {
            return Err(
                "invalid expect lines, multiple expect fail lines are not allowed".to_owned(),
            );
        }
        "fail" => {
            eval.fail_line = true;
            eval.fail = Some(expected);
        }
        "warn" => eval.warn.push(expected),
        "info" => eval.info.push(expected),
        "no_warn" => eval.no_warn = true,
        "no_info" => eval.no_info = true,
        "ordered" => eval.ordered = true,
        _ => return Err(bad()),
    }
    for (with, without, word) in [
        (&eval.info, eval.no_info, "info"),
        (&eval.warn, eval.no_warn, "warn"),
    ] {
        if !with.is_empty() && without {
            return Err(format!(
                "invalid expect lines, {word} and no_{word} cannot be used together"
            ));
        }
    }
    Ok(())
}

fn pattern_of(text: &str) -> Result<Expected, String> {
    Re2::unanchored(text.trim())
        .map(Expected::Pattern)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_bad_script_is_named() {
        for (text, line, part) in [
            ("# x\n\nfetch 1m\n", 3, "invalid command"),
            ("load\n", 1, "invalid step definition"),
            ("load_it 1m\n", 1, "invalid load command"),
            ("load 1m\n  m 1 2 y\n", 2, "bad value"),
            ("load 1m\n  m@st -1s\n\n", 2, "no following sample line"),
            ("load 1m\n  m@st -1s\n  n 1\n", 2, "does not match"),
            ("load 1m\n  m@st -1sx3\n  m 1\n", 2, "has 4 values"),
            ("eval instant 1\n", 1, "invalid evaluation command"),
            (
                "eval_ordered range from 0 to 1m step 1m m\n",
                1,
                "invalid evaluation command",
            ),
            (
                "eval range from 2m to 1m step 1m m\n",
                1,
                "is before start timestamp",
            ),
            ("eval instant at 0 m\n  m 1 2\n", 2, "multiple values"),
            (
                "eval instant at 0 m\n  expect nothing\n",
                2,
                "invalid expect",
            ),
            (
                "eval instant at 0 m\n  expect warn\n  expect no_warn\n",
                3,
                "cannot be used together",
            ),
            (
                "eval instant at 0 m\n  expect fail regex: a(\n",
                2,
                "missing closing )",
            ),
            (
                "eval instant at 0 m\n  expect fail\n  expect fail\n",
                3,
                "multiple expect fail",
            ),
            ("eval instant at 0 m\n  expect string x\n", 2, "quoted"),
            (
                "eval instant at 0 m\n  expected_fail_message five\n",
                2,
                "bad value",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.message.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn patterns_are_those_of_go() {
        let text = "eval_fail instant at 0 m\n  expect fail regex: \\Q(1)\\E {a=\"b\"} \\< \\z\n";
        let [Command::Eval(eval)] = &parse(text).unwrap()[..] else {
            panic!("one evaluation");
        };
        let pattern = eval.fail.as_ref().unwrap();
        assert!(pattern.matches("here: (1) {a=\"b\"} < "));
        assert!(!pattern.matches("here: (1) {a=\"b\"} < ?"));
    }

    #[test]
    fn the_last_line_of_a_series_counts() {
        let commands = parse("LOAD 1m\n").unwrap_err();
        assert_eq!(commands.line, 1);
        let commands = parse("Clear\nload 1m\n  m 1 2 3\n  m 4\n").unwrap();
        let [Command::Clear, Command::Load(load)] = &commands[..] else {
            panic!("{commands:?}");
        };
        assert_eq!(load.series.len(), 1);
        assert_eq!(load.series[0].values, [SequenceValue::Float(4.0)]);
    }
}
