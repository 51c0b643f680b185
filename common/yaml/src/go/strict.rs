//! What Go's YAML library refuses and a newer parser takes.

use granit_parser::{Event, Parser, StructureStyle};

use super::error::Error;
use crate::node::Place;

/// Checks a text before it is parsed.
///
/// # Errors
/// A version of YAML that did not exist when that library was written; a tab where the indentation is counted.
pub(super) fn check(text: &str) -> Result<(), Error> {
    check_version(text)?;
    if text.contains('\t') {
        check_tabs(text)?;
    }
    Ok(())
}

/// `%YAML` may only ask for version 1.1.
fn check_version(text: &str) -> Result<(), Error> {
    let head = text.lines().enumerate();
    for (n, line) in head.take_while(|(_, line)| !line.starts_with("---")) {
        let version = line.strip_prefix("%YAML").map(str::trim);
        if version.is_some_and(|version| version != "1.1") {
            let place = Place {
                line: n + 1,
                column: 1,
            };
            return Err(Error::new("found incompatible YAML document", place));
        }
    }
    Ok(())
}

/// Whether a tab may stand between two tokens of a block: never where a key or an item could begin.
struct Gap {
    may_begin: bool,
}

impl Gap {
    /// Looks through the text between two tokens; the offset of a tab that must not be there.
    fn scan(&mut self, text: &str) -> Option<usize> {
        let mut in_comment = false;
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            match c {
                '\n' => {
                    self.may_begin = true;
                    in_comment = false;
                }
                _ if in_comment => {}
                '#' if before.is_whitespace() => in_comment = true,
                '\t' if self.may_begin => return Some(at),
                '-' | '?' if before.is_whitespace() => self.may_begin = true,
                ' ' | '\t' | '\r' => {}
                _ => self.may_begin = false,
            }
            before = c;
        }
        None
    }
}

fn check_tabs(text: &str) -> Result<(), Error> {
    let mut gap = Gap { may_begin: true };
    let mut seen = 0;
    // Open collections; whether each is in brackets.
    let mut open: Vec<bool> = Vec::new();
    // Mistakes of syntax are found again, and told, by who reads the text.
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else {
            break;
        };
        let in_brackets = open.last().copied().unwrap_or(false);
        let token_end = match &event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                let flow = *style == StructureStyle::Flow;
                open.push(flow);
                flow.then_some(end)
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().unwrap_or(false).then_some(end),
            Event::Scalar(..) | Event::Alias(..) => Some(end),
            Event::DocumentEnd => break,
            _ => None,
        };
        let Some(token_end) = token_end else { continue };
        if !in_brackets
            && start > seen
            && let Some(at) = gap.scan(text.get(seen..start).unwrap_or_default())
        {
            return Err(tab(text, seen + at));
        }
        seen = seen.max(token_end);
        gap.may_begin = text
            .as_bytes()
            .get(..seen)
            .is_some_and(|t| t.ends_with(b"\n"));
    }
    match gap.scan(text.get(seen..).unwrap_or_default()) {
        Some(at) if open.is_empty() => Err(tab(text, seen + at)),
        _ => Ok(()),
    }
}

fn tab(text: &str, at: usize) -> Error {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let place = Place {
        line: before.matches('\n').count() + 1,
        column: at - line_start + 1,
    };
    let message = "found character that cannot start any token: a tab, use spaces";
    Error::new(message, place)
}
