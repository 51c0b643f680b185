//! Expansion of `${…}` in the values of a configuration.
//!
//! | text | result |
//! |---|---|
//! | `${env:X}`, `${X}` | value of the environment variable X |
//! | `${env:X:-d}` | `d` when X is not set; a variable that is set but empty stays empty |
//! | `${env:X:-}` | the empty string when X is not set |
//! | `${file:path}` | content of a file |
//! | `${yaml:text}` | the text |
//! | `$$` | a single `$`; `$${X}` stays `${X}` |
//! | `$X` | not expanded |
//!
//! When the whole value is one expansion its text is read as YAML (`8888` becomes a number, `[a, b]`
//! a list), while a string field still gets the original text. Keys are never expanded.

use super::error::Problem;
use super::node::{self, Node, Scalar, Value};

/// Looks up an environment variable.
pub(crate) type EnvLookup<'e> = &'e (dyn Fn(&str) -> Option<String> + Sync);

const EXPANSIONS_MAX: usize = 1000;
const DEPTH_MAX: usize = 20;

/// Expands all values of a tree in place. Returns the references to variables that are not set.
///
/// # Errors
/// A bad variable name, an unknown scheme, an unreadable file, or too many expansions.
pub(super) fn expand(node: &mut Node, env: EnvLookup<'_>) -> Result<Vec<Problem>, Problem> {
    let mut expander = Expander {
        env,
        count: 0,
        unset: Vec::new(),
    };
    expander.node(node, 0)?;
    Ok(expander.unset)
}

struct Expander<'e> {
    env: EnvLookup<'e>,
    count: usize,
    unset: Vec<Problem>,
}

/// A part of a scalar.
enum Part {
    Text(String),
    Reference(String),
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, depth: usize) -> Result<(), Problem> {
        match &mut node.value {
            Value::Null => Ok(()),
            Value::Seq(items) => items.iter_mut().try_for_each(|n| self.node(n, depth)),
            Value::Map(entries) => entries
                .iter_mut()
                .try_for_each(|e| self.node(&mut e.value, depth)),
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                let scalar = scalar.clone();
                self.scalar(node, &scalar, depth)
            }
            Value::Scalar(_) => Ok(()),
        }
    }

    fn scalar(&mut self, node: &mut Node, scalar: &Scalar, depth: usize) -> Result<(), Problem> {
        let fail = |message: String| Problem::at(&node.at, "", message);
        let parts = split(&scalar.text).map_err(fail)?;
        if let [Part::Reference(reference)] = parts.as_slice() {
            let text = self.resolve(reference, node, depth)?;
            let Some(text) = text else {
                node.value = Value::Null;
                return Ok(());
            };
            node.value = typed(node, reference, text)?;
            return Ok(());
        }
        let mut out = String::with_capacity(scalar.text.len());
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(&text),
                Part::Reference(reference) => {
                    out.push_str(&self.resolve(&reference, node, depth)?.unwrap_or_default());
                }
            }
        }
        node.value = Value::Scalar(Scalar {
            text: out,
            quoted: scalar.quoted,
            expanded: true,
        });
        Ok(())
    }

    /// The text of a reference, itself expanded; `None` stands for null.
    fn resolve(
        &mut self,
        reference: &str,
        node: &Node,
        depth: usize,
    ) -> Result<Option<String>, Problem> {
        let fail = |message: String| Problem::at(&node.at, "", message);
        self.count += 1;
        if self.count > EXPANSIONS_MAX || depth > DEPTH_MAX {
            return Err(fail(format!(
                "more than {EXPANSIONS_MAX} expansions, or an expansion that contains itself"
            )));
        }
        let reference = self.inline(reference, node, depth + 1)?;
        let (scheme, rest) = match reference.split_once(':') {
            Some((scheme, rest)) if !rest.starts_with('-') && is_scheme(scheme) => (scheme, rest),
            _ => ("env", reference.as_str()),
        };
        let text = match scheme {
            "env" => self.variable(rest, node).map_err(fail)?,
            "yaml" => Some(rest.to_owned()),
            "file" => {
                let text = std::fs::read_to_string(rest)
                    .map_err(|e| fail(format!("cannot read ${{file:{rest}}}: {e}")))?;
                Some(text.trim_end_matches('\n').to_owned())
            }
            other => {
                return Err(fail(format!(
                    "unknown scheme {other:?} in ${{{reference}}} (env, file and yaml exist)"
                )));
            }
        };
        match text {
            Some(text) if text.contains("${") => self.inline(&text, node, depth + 1).map(Some),
            other => Ok(other),
        }
    }

    /// Expands references inside a text (nested ones, and those in a default).
    fn inline(&mut self, text: &str, node: &Node, depth: usize) -> Result<String, Problem> {
        if !text.contains('$') {
            return Ok(text.to_owned());
        }
        let parts = split(text).map_err(|m| Problem::at(&node.at, "", m))?;
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(&text),
                Part::Reference(inner) => {
                    out.push_str(&self.resolve(&inner, node, depth + 1)?.unwrap_or_default());
                }
            }
        }
        Ok(out)
    }

    fn variable(&mut self, rest: &str, node: &Node) -> Result<Option<String>, String> {
        let (name, default) = match rest.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (rest, None),
        };
        if !is_variable_name(name) {
            return Err(format!(
                "invalid environment variable name {name:?}: it must match [A-Za-z_][A-Za-z0-9_]*"
            ));
        }
        match (self.env)(name) {
            Some(value) => {
                if value.is_empty() {
                    tracing::info!(variable = name, "environment variable is empty");
                }
                Ok(Some(value))
            }
            None => {
                if default.is_none() {
                    let message = format!("environment variable {name} is not set");
                    self.unset.push(Problem::at(&node.at, "", message));
                }
                Ok(default.map(str::to_owned))
            }
        }
    }
}

/// The value of a scalar that was one reference as a whole.
fn typed(node: &Node, reference: &str, text: String) -> Result<Value, Problem> {
    if text.is_empty() {
        // `${env:X:-}` asks for an empty string; an empty variable is null.
        return Ok(if reference.contains(":-") {
            Value::Scalar(Scalar {
                text,
                quoted: true,
                expanded: true,
            })
        } else {
            Value::Null
        });
    }
    let parsed = node::parse(&node.at.source, &text);
    let value = match parsed.map(|n| n.value) {
        Ok(Value::Scalar(inner)) => Value::Scalar(Scalar {
            // A string field gets the text as it was in the variable.
            text: if inner.quoted { inner.text } else { text },
            quoted: inner.quoted,
            expanded: true,
        }),
        Ok(mut other) => {
            place_at(&mut other, node);
            other
        }
        // Not YAML (a password with odd characters): a plain string.
        Err(_) => Value::Scalar(Scalar {
            text,
            quoted: true,
            expanded: true,
        }),
    };
    Ok(value)
}

/// Positions inside a variable mean nothing to the user: point at the reference.
fn place_at(value: &mut Value, node: &Node) {
    let nodes: Vec<&mut Node> = match value {
        Value::Seq(items) => items.iter_mut().collect(),
        Value::Map(entries) => entries
            .iter_mut()
            .map(|e| {
                e.key_at = node.at.clone();
                &mut e.value
            })
            .collect(),
        _ => return,
    };
    for inner in nodes {
        inner.at = node.at.clone();
        place_at(&mut inner.value, node);
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() >= 2
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Splits a text at its outermost references and undoes `$$`.
fn split(text: &str) -> Result<Vec<Part>, String> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'$' {
            let end = text[at..].find('$').map_or(text.len(), |i| at + i);
            plain.push_str(&text[at..end]);
            at = end;
            continue;
        }
        match bytes.get(at + 1) {
            Some(b'$') => {
                plain.push('$');
                at += 2;
            }
            Some(b'{') => {
                let end = closing(bytes, at + 2)
                    .ok_or_else(|| format!("missing }} in {:?}", &text[at..]))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Reference(text[at + 2..end].to_owned()));
                at = end + 1;
            }
            _ => {
                plain.push('$');
                at += 1;
            }
        }
    }
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// Index of the brace that closes a reference whose content starts at `from`.
fn closing(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 1;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        Some(
            match name {
                "PORT" => "8888",
                "EMPTY" => "",
                "ZEROS" => "0123",
                "LIST" => "[a, b]",
                "NAME" => "PORT",
                "HOST" => "h",
                _ => return None,
            }
            .to_owned(),
        )
    }

    fn expanded(value: &str) -> Value {
        let mut node = node::parse("t", &format!("a: {value}")).unwrap();
        expand(&mut node, &env).unwrap();
        node.get("a").unwrap().value.clone()
    }

    fn text(value: &str) -> String {
        match expanded(value) {
            Value::Scalar(s) => s.text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_row_of_the_table() {
        assert_eq!(text("${env:PORT}"), "8888");
        assert_eq!(text("${PORT}"), "8888");
        assert_eq!(text("${env:NOPE:-d}"), "d");
        assert_eq!(text("${NOPE:-d}"), "d");
        assert_eq!(text("${env:NOPE:-}"), "");
        assert_eq!(expanded("${env:EMPTY:-d}"), expanded("'${env:EMPTY:-d}'"));
        assert_eq!(text("${env:EMPTY:-d}"), "");
        assert_eq!(expanded("${env:EMPTY}"), Value::Null);
        assert_eq!(expanded("${env:NOPE}"), Value::Null);
        assert_eq!(text("${env:ZEROS}"), "0123");
        assert_eq!(text("x-${HOST}:${PORT}"), "x-h:8888");
        assert_eq!(text("$PORT"), "$PORT");
        assert_eq!(text("$${PORT}"), "${PORT}");
        assert_eq!(text("a$$b"), "a$b");
        assert_eq!(text("${env:${env:NAME}}"), "8888");
        assert_eq!(text("${env:NOPE:-${env:HOST}}"), "h");
        assert!(matches!(expanded("${LIST}"), Value::Seq(items) if items.len() == 2));
    }

    #[test]
    fn mistakes() {
        for (value, expected) in [
            ("${env:1X}", "invalid environment variable name \"1X\""),
            ("${gopher:x}", "unknown scheme \"gopher\""),
            ("${env:X", "missing }"),
        ] {
            let mut node = node::parse("t", &format!("a: '{value}'")).unwrap();
            let error = expand(&mut node, &env).unwrap_err().to_string();
            assert!(error.starts_with("t:1:4: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
