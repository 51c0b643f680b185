//! Go's syntax, checked by Go's rules and written in the `regex` crate's dialect.
//!
//! One pass over the pattern. The only state besides the output is where the last repeatable piece stands, as
//! flags may stand between a piece and its repetition (`a(?i)*`).

use std::fmt::Write as _;

use super::Re2Error;
use super::class;

/// Largest count in `{n,m}`, and largest product of nested ones.
const MAX_REPEAT: u32 = 1000;

/// A pattern in the engine's dialect.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) source: String,
    pub(super) names: Vec<(String, usize)>,
}

pub(super) type Outcome<T> = Result<T, Re2Error>;

pub(super) fn fail<T>(what: &str, part: &str) -> Outcome<T> {
    Err(Re2Error(format!("{what}: `{part}`")))
}

/// The last repeatable piece of the output.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    repeated: bool,
    /// The largest product of repetition counts inside.
    weight: u32,
}

struct Group {
    start: usize,
    /// The largest weight of the pieces inside so far.
    weight: u32,
}

struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    names: Vec<(String, usize)>,
    captures: usize,
    groups: Vec<Group>,
    piece: Option<Piece>,
    /// Where the repetition just read begins; a second one right after it is an error.
    last_repeat: Option<usize>,
    /// The largest weight outside all groups.
    weight: u32,
}

pub(super) fn translate(pattern: &str) -> Outcome<Translated> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        names: Vec::new(),
        captures: 0,
        groups: Vec::new(),
        piece: None,
        last_repeat: None,
        weight: 1,
    };
    translator.run()?;
    Ok(Translated {
        source: translator.out,
        names: translator.names,
    })
}

impl<'p> Translator<'p> {
    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    fn run(&mut self) -> Outcome<()> {
        while let Some(c) = self.rest().chars().next() {
            let begin = self.at;
            let mut repeat = None;
            match c {
                '(' if self.rest().starts_with("(?") => self.perl_group()?,
                '(' => {
                    self.captures += 1;
                    self.at += 1;
                    self.open("(");
                }
                ')' => self.close()?,
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                    self.piece = None;
                }
                '^' => self.emit_piece(1, "(?:^)"),
                '$' => self.emit_piece(1, "(?:$)"),
                '.' => self.emit_piece(1, "."),
                '[' => {
                    let (text, len) = class::bracket(self.rest())?;
                    self.emit_piece(len, &text);
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.repeat(begin, &c.to_string(), 1)?;
                    repeat = Some(begin);
                }
                '{' => match counts(self.rest()) {
                    None => self.literal(1, '{'),
                    Some(count) => {
                        self.at += count.len;
                        self.counted(begin, &count)?;
                        repeat = Some(begin);
                    }
                },
                '\\' => self.escape()?,
                c => self.literal(c.len_utf8(), c),
            }
            self.last_repeat = repeat;
        }
        if self.groups.is_empty() {
            Ok(())
        } else {
            fail("missing closing )", self.pattern)
        }
    }

    fn emit_piece(&mut self, len: usize, text: &str) {
        self.at += len;
        let start = self.out.len();
        self.out.push_str(text);
        self.piece = Some(Piece {
            start,
            end: self.out.len(),
            repeated: false,
            weight: 1,
        });
    }

    fn literal(&mut self, len: usize, c: char) {
        let mut text = String::new();
        push_literal(&mut text, c);
        self.emit_piece(len, &text);
    }

    fn open(&mut self, text: &str) {
        self.groups.push(Group {
            start: self.out.len(),
            weight: 1,
        });
        self.out.push_str(text);
        self.piece = None;
    }

    fn close(&mut self) -> Outcome<()> {
        let Some(group) = self.groups.pop() else {
            return fail("unexpected )", self.pattern);
        };
        self.at += 1;
        self.out.push(')');
        self.note_weight(group.weight);
        self.piece = Some(Piece {
            start: group.start,
            end: self.out.len(),
            repeated: false,
            weight: group.weight,
        });
        Ok(())
    }

    fn note_weight(&mut self, weight: u32) {
        let current = match self.groups.last_mut() {
            Some(group) => &mut group.weight,
            None => &mut self.weight,
        };
        *current = weight.max(*current);
    }

    fn counted(&mut self, begin: usize, count: &Counts) -> Outcome<()> {
        let shown = &self.pattern[begin..self.at];
        let too_many = |n: Option<u32>| n.is_none_or(|n| n > MAX_REPEAT);
        let (min, max) = match (count.min, &count.max) {
            (min, _) if too_many(min) => return fail("invalid repeat count", shown),
            (Some(min), Max::Same) => (min, Some(min)),
            (Some(min), Max::Unlimited) => (min, None),
            (Some(min), Max::Number(max)) if !too_many(*max) && max.is_some_and(|m| min <= m) => {
                (min, *max)
            }
            _ => return fail("invalid repeat count", shown),
        };
        let operator = match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        self.repeat(begin, &operator, max.unwrap_or(min).max(1))
    }

    /// Applies a repetition to the last piece; `at` stands behind the operator.
    fn repeat(&mut self, begin: usize, operator: &str, times: u32) -> Outcome<()> {
        let lazy = self.rest().starts_with('?');
        if lazy {
            self.at += 1;
        }
        if let Some(previous) = self.last_repeat {
            return fail(
                "invalid nested repetition operator",
                &self.pattern[previous..self.at],
            );
        }
        let shown = &self.pattern[begin..self.at];
        let Some(mut piece) = self.piece else {
            return fail("missing argument to repetition operator", shown);
        };
        let weight = piece.weight.saturating_mul(times);
        if times > 1 && weight > MAX_REPEAT {
            return fail("invalid repeat count", shown);
        }
        let mut insert = operator.to_owned();
        if lazy {
            insert.push('?');
        }
        if piece.repeated {
            self.out.insert(piece.end, ')');
            self.out.insert_str(piece.start, "(?:");
            piece.end += 4;
        }
        self.out.insert_str(piece.end, &insert);
        piece.end += insert.len();
        piece.repeated = true;
        piece.weight = weight;
        self.note_weight(weight);
        self.piece = Some(piece);
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` and `(?flags:`.
    fn perl_group(&mut self) -> Outcome<()> {
        let rest = self.rest();
        let name_at = if rest.len() > 4 && rest.starts_with("(?P<") {
            Some(4)
        } else if rest.len() > 3 && rest.starts_with("(?<") {
            Some(3)
        } else {
            None
        };
        let Some(name_at) = name_at else {
            return self.flags();
        };
        let Some(end) = rest.find('>') else {
            return fail("invalid named capture", rest);
        };
        let name = rest.get(name_at..end).unwrap_or("");
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return fail("invalid named capture", &rest[..=end]);
        }
        self.captures += 1;
        self.names.push((name.to_owned(), self.captures));
        self.at += end + 1;
        self.open("(");
        Ok(())
    }

    fn flags(&mut self) -> Outcome<()> {
        const INVALID: &str = "invalid or unsupported Perl syntax";
        let rest = self.rest();
        // The last setting of a flag counts: `(?i-i)` is off.
        let mut settings: [(char, Option<bool>); 4] =
            [('i', None), ('m', None), ('s', None), ('U', None)];
        let (mut on, mut saw_flag) = (true, false);
        for (index, c) in rest.char_indices().skip(2) {
            let end = index + c.len_utf8();
            if let Some(setting) = settings.iter_mut().find(|(flag, _)| *flag == c) {
                setting.1 = Some(on);
                saw_flag = true;
                continue;
            }
            match c {
                '-' if on => {
                    on = false;
                    saw_flag = false;
                }
                ':' | ')' if on || saw_flag => {
                    self.at += end;
                    self.emit_flags(&settings, c == ':');
                    return Ok(());
                }
                _ => return fail(INVALID, &rest[..end]),
            }
        }
        fail(INVALID, rest)
    }

    fn emit_flags(&mut self, settings: &[(char, Option<bool>)], group: bool) {
        let pick = |wanted: bool| -> String {
            settings
                .iter()
                .filter(|(_, set)| *set == Some(wanted))
                .map(|(flag, _)| *flag)
                .collect()
        };
        let (on, off) = (pick(true), pick(false));
        let minus = if off.is_empty() { "" } else { "-" };
        if group {
            self.open(&format!("(?{on}{minus}{off}:"));
        } else if !(on.is_empty() && off.is_empty()) {
            // The last piece stays repeatable.
            let _ = write!(self.out, "(?{on}{minus}{off})");
        }
    }

    fn escape(&mut self) -> Outcome<()> {
        let rest = self.rest();
        match rest[1..].chars().next() {
            Some('A') => self.emit_piece(2, "(?:\\A)"),
            Some('z') => self.emit_piece(2, "(?:\\z)"),
            Some('b') => self.emit_piece(2, "(?-u:\\b)"),
            Some('B') => self.emit_piece(2, "(?-u:\\B)"),
            Some('C') => return fail("invalid escape sequence", "\\C"),
            Some('Q') => {
                let (quoted, len) = match rest.find("\\E") {
                    Some(end) => (&rest[2..end], end + 2),
                    None => (&rest[2..], rest.len()),
                };
                for c in quoted.chars() {
                    self.literal(0, c);
                }
                self.at += len;
            }
            Some('p' | 'P') => {
                let (text, len) = class::unicode(rest)?;
                self.emit_piece(len, &text);
            }
            Some(c) => {
                if let Some(items) = class::perl(c) {
                    let not = if c.is_ascii_uppercase() { "^" } else { "" };
                    self.emit_piece(2, &format!("[{not}{items}]"));
                } else {
                    let (code, len) = class::escape(rest)?;
                    self.code_point(len, code);
                }
            }
            None => class::escape(rest).map(|_| ())?,
        }
        Ok(())
    }

    fn code_point(&mut self, len: usize, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.literal(len, c),
            // A surrogate: no text holds it.
            None => self.emit_piece(len, class::NOTHING),
        }
    }
}

pub(super) fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02x}", u32::from(c));
    }
}

enum Max {
    /// `{n}`
    Same,
    /// `{n,}`
    Unlimited,
    /// `{n,m}`; `None` when the number is absurd.
    Number(Option<u32>),
}

struct Counts {
    min: Option<u32>,
    max: Max,
    len: usize,
}

/// `{n}`, `{n,}`, `{n,m}`; anything else is literal text.
fn counts(text: &str) -> Option<Counts> {
    let body = text.strip_prefix('{')?;
    let end = body.find('}')?;
    let body = &body[..end];
    let (min, max) = match body.split_once(',') {
        None => (count(body)?, Max::Same),
        Some((min, "")) => (count(min)?, Max::Unlimited),
        Some((min, max)) => (count(min)?, Max::Number(count(max)?)),
    };
    Some(Counts {
        min,
        max,
        len: end + 2,
    })
}

/// Digits without a leading zero. The inner `None` stands for a number too large to matter.
#[allow(clippy::option_option)]
fn count(text: &str) -> Option<Option<u32>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let zeros = text.len() > 1 && text.starts_with('0');
    (digits && !zeros).then(|| text.parse().ok())
}
