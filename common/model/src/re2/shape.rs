//! Patterns that need no engine.

use std::collections::HashSet;

use memchr::memmem;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Sets with more texts go to the engine.
const MAX_TEXTS: usize = 256;

/// Longer sets are looked up by hash.
const LINEAR_TEXTS: usize = 16;

/// One of a few texts, perhaps with anything around it.
#[derive(Debug)]
pub(super) struct Shape {
    texts: Vec<String>,
    /// The same texts, when there are many.
    index: Option<HashSet<String>>,
    before: Wild,
    after: Wild,
    /// 0: the text itself only; 1: the only group takes the whole text; `None`: ask the engine.
    groups: Option<usize>,
}

/// What stands before or after the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wild {
    Nothing,
    /// `.*`
    Any,
    /// `.+`
    Some,
}

/// What was learned about a pattern.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    pub(super) shape: Option<Shape>,
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Shape {
    pub(super) fn is_match(&self, text: &str) -> bool {
        match (self.before, self.after) {
            (Wild::Nothing, Wild::Nothing) => match &self.index {
                Some(index) => index.contains(text),
                None => self.texts.iter().any(|t| t == text),
            },
            (Wild::Nothing, after) => self.any(|t| {
                text.strip_prefix(t)
                    .is_some_and(|rest| after == Wild::Any || !rest.is_empty())
            }),
            (before, Wild::Nothing) => self.any(|t| {
                text.strip_suffix(t)
                    .is_some_and(|rest| before == Wild::Any || !rest.is_empty())
            }),
            (before, after) => {
                let mut chars = text.chars();
                if before == Wild::Some && chars.next().is_none() {
                    return false;
                }
                if after == Wild::Some && chars.next_back().is_none() {
                    return false;
                }
                let middle = chars.as_str().as_bytes();
                self.any(|t| memmem::find(middle, t.as_bytes()).is_some())
            }
        }
    }

    fn any(&self, hit: impl Fn(&str) -> bool) -> bool {
        self.texts.iter().any(|t| hit(t))
    }

    /// The texts, when nothing may stand around them.
    pub(super) fn literals(&self) -> Option<&[String]> {
        (self.before == Wild::Nothing && self.after == Wild::Nothing).then_some(&self.texts)
    }

    /// How many groups there are, the whole match included, when all of them take the whole text.
    pub(super) fn groups_of_whole_text(&self) -> Option<usize> {
        self.groups.map(|n| n + 1)
    }
}

/// Looks at an anchored pattern.
pub(super) fn analyse(hir: &Hir) -> Analysis {
    let HirKind::Concat(parts) = hir.kind() else {
        return Analysis::default();
    };
    let [first, body @ .., last] = parts.as_slice() else {
        return Analysis::default();
    };
    if !is_look(first, Look::Start) || !is_look(last, Look::End) {
        return Analysis::default();
    }
    let shape = shape_of(body);
    let (prefix, suffix) = match &shape {
        Some(shape) if shape.before == Wild::Nothing => {
            (common_prefix(&shape.texts), String::new())
        }
        Some(_) => (String::new(), String::new()),
        None => (literal_text(body.first()), literal_text(body.last())),
    };
    Analysis {
        shape,
        prefix,
        suffix,
    }
}

fn is_look(hir: &Hir, look: Look) -> bool {
    matches!(hir.kind(), HirKind::Look(l) if *l == look)
}

fn literal_text(hir: Option<&Hir>) -> String {
    match hir.map(Hir::kind) {
        Some(HirKind::Literal(literal)) => std::str::from_utf8(&literal.0).unwrap_or("").to_owned(),
        _ => String::new(),
    }
}

fn common_prefix(texts: &[String]) -> String {
    let Some((first, rest)) = texts.split_first() else {
        return String::new();
    };
    let mut len = first.len();
    for text in rest {
        let same = first
            .bytes()
            .zip(text.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        len = len.min(same);
    }
    while !first.is_char_boundary(len) {
        len -= 1;
    }
    first[..len].to_owned()
}

fn shape_of(body: &[Hir]) -> Option<Shape> {
    let mut body = body;
    let captures: usize = body
        .iter()
        .map(|h| h.properties().explicit_captures_len())
        .sum();
    let mut groups = (captures == 0).then_some(0);
    // A group around everything is looked through.
    if let [only] = body
        && let HirKind::Capture(capture) = only.kind()
    {
        groups = (captures == 1).then_some(1);
        body = match capture.sub.kind() {
            HirKind::Concat(parts) => parts,
            _ => std::slice::from_ref(&*capture.sub),
        };
    }
    let before = body.first().map_or(Wild::Nothing, wild);
    if before != Wild::Nothing {
        body = &body[1..];
    }
    let after = body.last().map_or(Wild::Nothing, wild);
    if after != Wild::Nothing {
        body = &body[..body.len() - 1];
    }
    let mut texts = vec![Vec::new()];
    for part in body {
        texts = product(&texts, &texts_of(part)?)?;
    }
    let texts: Vec<String> = texts
        .into_iter()
        .map(|t| String::from_utf8(t).ok())
        .collect::<Option<_>>()?;
    let index = (texts.len() > LINEAR_TEXTS).then(|| texts.iter().cloned().collect());
    Some(Shape {
        texts,
        index,
        before,
        after,
        groups,
    })
}

/// `.*` and `.+`, where `.` is any character.
fn wild(hir: &Hir) -> Wild {
    let HirKind::Repetition(repetition) = hir.kind() else {
        return Wild::Nothing;
    };
    let everything = match repetition.sub.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            matches!(class.ranges(), [all] if all.start() == '\0' && all.end() == char::MAX)
        }
        _ => false,
    };
    match (everything, repetition.min, repetition.max) {
        (true, 0, None) => Wild::Any,
        (true, 1, None) => Wild::Some,
        _ => Wild::Nothing,
    }
}

/// Every text that a part matches, when these are few. Bytes: a literal may hold a part of a character.
fn texts_of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => texts_of(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let mut texts = Vec::new();
            for range in class.ranges() {
                for c in range.start()..=range.end() {
                    if texts.len() == MAX_TEXTS {
                        return None;
                    }
                    texts.push(c.encode_utf8(&mut [0; 4]).as_bytes().to_vec());
                }
            }
            Some(texts)
        }
        HirKind::Class(Class::Bytes(class)) => {
            let bytes = class.ranges().iter().flat_map(|r| r.start()..=r.end());
            Some(bytes.map(|b| vec![b]).collect())
        }
        HirKind::Concat(parts) => {
            let mut texts = vec![Vec::new()];
            for part in parts {
                texts = product(&texts, &texts_of(part)?)?;
            }
            Some(texts)
        }
        HirKind::Alternation(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                texts.extend(texts_of(part)?);
                if texts.len() > MAX_TEXTS {
                    return None;
                }
            }
            Some(texts)
        }
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
            let mut texts = texts_of(&repetition.sub)?;
            texts.push(Vec::new());
            Some(texts)
        }
        HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn product(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if heads.len() * tails.len() > MAX_TEXTS {
        return None;
    }
    let mut out = Vec::with_capacity(heads.len() * tails.len());
    for head in heads {
        for tail in tails {
            out.push([head.as_slice(), tail].concat());
        }
    }
    Some(out)
}
