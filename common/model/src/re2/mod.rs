//! Regular expressions in RE2's dialect, as Go and so Prometheus use them.
//!
//! A pattern goes through three stages: [`translate`] checks it by Go's rules and rewrites it to the `regex`
//! crate's dialect; `shape` looks whether it is only a set of texts, perhaps with `.*` around them, which
//! needs no engine; whatever else is left is compiled, with a literal beginning and end checked first.
//!
//! Matchers and relabelling use [`Re2::anchored`] (the whole text, `.` matches a newline); templates and test
//! files use [`Re2::unanchored`].

mod class;
mod shape;
#[cfg(test)]
mod tests;
mod translate;

use std::sync::{Arc, OnceLock};

use regex::bytes::{Captures, Regex, RegexBuilder};

use shape::Shape;
use translate::{Translated, translate};

/// Compiled patterns may take this much memory.
const SIZE_LIMIT: usize = 32 << 20;
/// Those that take no more than this are small.
const SMALL: usize = 256 << 10;

/// A pattern that RE2 refuses, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct Re2Error(pub String);

/// A compiled pattern. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Re2(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pattern: String,
    /// In the engine's dialect, anchors included.
    source: String,
    /// Names and indices of the named groups, in order; a name may come twice.
    names: Vec<(String, usize)>,
    /// How to match without the engine; never for unanchored patterns.
    shape: Option<Shape>,
    /// What every match begins and ends with.
    prefix: String,
    suffix: String,
    /// Compiled at once unless there is a shape.
    regex: OnceLock<Regex>,
    is_small: bool,
}

impl Re2 {
    /// Compiles a pattern that has to match the whole text. `.` matches a newline.
    ///
    /// # Errors
    /// When RE2 (or the engine's size limit) refuses it.
    pub fn anchored(pattern: &str) -> Result<Self, Re2Error> {
        let translated = translate(pattern)?;
        let source = format!("^(?s:{})$", translated.source);
        let hir = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .nest_limit(NEST_LIMIT)
            .build()
            .parse(&source)
            .map_err(|e| refused(pattern, &e))?;
        let found = shape::analyse(&hir);
        Self::build(pattern, source, translated, found)
    }

    /// Compiles a pattern that may match anywhere. `.` does not match a newline, as in Go's `regexp.Compile`.
    ///
    /// # Errors
    /// As [`Re2::anchored`].
    pub fn unanchored(pattern: &str) -> Result<Self, Re2Error> {
        let translated = translate(pattern)?;
        let source = translated.source.clone();
        Self::build(pattern, source, translated, shape::Analysis::default())
    }

    fn build(
        pattern: &str,
        source: String,
        translated: Translated,
        found: shape::Analysis,
    ) -> Result<Self, Re2Error> {
        let mut inner = Inner {
            pattern: pattern.to_owned(),
            source,
            names: translated.names,
            shape: found.shape,
            prefix: found.prefix,
            suffix: found.suffix,
            regex: OnceLock::new(),
            is_small: true,
        };
        if inner.shape.is_none() {
            let regex = compile(&inner.source, SMALL).or_else(|_| {
                inner.is_small = false;
                compile(&inner.source, SIZE_LIMIT)
            });
            let regex = regex.map_err(|e| refused(pattern, &e))?;
            // The cell is new, so it is empty.
            let _ = inner.regex.set(regex);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Whether it takes little memory, so that it can be kept.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.0.is_small
    }

    /// Whether it is matched by comparing texts, without the engine.
    #[must_use]
    pub fn is_cheap(&self) -> bool {
        self.0.shape.is_some()
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// Whether the text matches: all of it when anchored, a part otherwise.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.0.shape {
            Some(shape) => shape.is_match(text),
            None => {
                self.may_match(text) && self.engine().is_some_and(|r| r.is_match(text.as_bytes()))
            }
        }
    }

    /// The texts that the pattern stands for, when there are only a few. In no particular order.
    #[must_use]
    pub fn literal_set(&self) -> Option<&[String]> {
        self.0.shape.as_ref()?.literals()
    }

    /// What every matching text begins with; often empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Expands a Go replacement template (`$1`, `${1}`, `$name`, `$$`) with the first match, if there is one.
    #[must_use]
    pub fn replace(&self, text: &str, template: &str) -> Option<String> {
        if let Some(shape) = &self.0.shape
            && let Some(groups) = shape.groups_of_whole_text()
        {
            let group = |key: &str| match key.parse::<usize>() {
                Ok(index) => index < groups,
                Err(_) => self.0.names.iter().any(|(name, _)| name == key),
            };
            return shape
                .is_match(text)
                .then(|| expand(template, |key| if group(key) { text } else { "" }));
        }
        if !self.may_match(text) {
            return None;
        }
        let captures = self.engine()?.captures(text.as_bytes())?;
        Some(self.expand_captures(text, template, &captures))
    }

    /// Replaces every match that does not overlap the one before, as Go's `ReplaceAllString` does.
    #[must_use]
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let Some(regex) = self.engine() else {
            return text.to_owned();
        };
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in regex.captures_iter(text.as_bytes()) {
            let Some(whole) = captures.get(0) else {
                continue;
            };
            // An empty match can be found between the bytes of a character.
            let Some(between) = text.get(copied..whole.start()) else {
                continue;
            };
            if !text.is_char_boundary(whole.end()) {
                continue;
            }
            out.push_str(between);
            out.push_str(&self.expand_captures(text, template, &captures));
            copied = whole.end();
        }
        out.push_str(&text[copied..]);
        out
    }

    fn expand_captures(&self, text: &str, template: &str, captures: &Captures<'_>) -> String {
        let group = |index: usize| {
            let found = captures.get(index)?;
            text.get(found.range())
        };
        expand(template, |key| match key.parse::<usize>() {
            Ok(index) => group(index).unwrap_or(""),
            // Of groups with the same name the first that took part.
            Err(_) => self
                .0
                .names
                .iter()
                .filter(|(name, _)| name == key)
                .find_map(|(_, index)| group(*index))
                .unwrap_or(""),
        })
    }

    fn may_match(&self, text: &str) -> bool {
        let (prefix, suffix) = (&self.0.prefix, &self.0.suffix);
        // Not for the sake of the answer: `memcmp` of nothing at the address of nothing, which is where an empty text
        // without memory lies, takes a processor with AVX-512 fifty times as long as a comparison.
        (prefix.is_empty() || text.starts_with(prefix))
            && (suffix.is_empty() || text.ends_with(suffix))
    }

    /// `None` only for a shape that the engine refuses, which takes more memory than any shape has.
    fn engine(&self) -> Option<&Regex> {
        if let Some(regex) = self.0.regex.get() {
            return Some(regex);
        }
        let regex = compile(&self.0.source, SIZE_LIMIT).ok()?;
        Some(self.0.regex.get_or_init(|| regex))
    }
}

/// Deeper groups are refused; Go's own limit is higher, but its patterns take no native stack.
const NEST_LIMIT: u32 = 500;

fn compile(source: &str, size_limit: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source)
        .size_limit(size_limit)
        .nest_limit(NEST_LIMIT)
        .build()
}

/// What the translation let through and the engine refuses is too large or too deep.
fn refused(pattern: &str, error: &dyn std::fmt::Display) -> Re2Error {
    let text = error.to_string();
    if text.contains("nest") {
        Re2Error(format!("expression nests too deeply: `{pattern}`"))
    } else if text.contains("size limit") {
        Re2Error(format!("expression too large: `{pattern}`"))
    } else {
        Re2Error(text)
    }
}

/// Go's `Regexp.Expand`: the longest run of word characters names the group; a bad `$` stays as it is.
fn expand<'a>(template: &str, group: impl Fn(&str) -> &'a str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match tail.strip_prefix('{') {
            Some(inner) => match inner.find('}') {
                Some(end) => (&inner[..end], &inner[end + 1..]),
                None => ("", tail),
            },
            None => tail.split_at(tail.find(|c: char| !word(c)).unwrap_or(tail.len())),
        };
        if name.is_empty() || !name.chars().all(word) {
            out.push('$');
            rest = tail;
            continue;
        }
        out.push_str(group(name));
        rest = after;
    }
    out.push_str(rest);
    out
}
