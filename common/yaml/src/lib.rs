//! Reading configuration files: YAML into a type, with errors that name file, line, column and key path.
//!
//! Used by every part that a user configures, so that all of them report mistakes in one form:
//! `stack.yml:12:5: planes[1].ports.api: invalid type: string "x", expected u16`.
//! An unknown key gets the nearest known one as a suggestion.
//!
//! | file | what it holds |
//! |---|---|
//! | `go`, `placed` | the files of Go programs, as their YAML library reads them |
//! | `keys` | sections that refuse unknown keys, and keys that several sections share |
//! | `units`, `secret`, `values`, `paths` | durations, byte sizes, hidden texts, nulls, paths |
//! | `node`, `locate` | trees and lines for checks that need the place of every key |
//! | `suggest` | "did you mean" |

mod go;
mod keys;
mod locate;
pub mod node;
mod paths;
mod placed;
mod secret;
mod suggest;
mod units;
mod values;

pub use keys::{Embedded, NoKeys, Strict};
pub use locate::line_of;
pub use paths::join_dir;
pub use placed::Placed;
pub use secret::Secret;
pub use suggest::nearest;
pub use units::{ByteSize, ByteSizeError, PromDuration};
pub use values::{list, null_is_default};

use serde::de::DeserializeOwned;

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{position}: {path}{message}", position = position_text(*.line, *.column), path = path_text(.path))]
pub struct YamlError {
    /// File as the user named it.
    pub file: String,
    /// 1-based line, 0 where unknown.
    pub line: u64,
    /// 1-based column, 0 where unknown.
    pub column: u64,
    /// Key path such as `planes[1].ports`; empty or `.` for the document.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

fn position_text(line: u64, column: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}:{column}")
    }
}

fn path_text(path: &str) -> String {
    // A question mark stands where the path ends before the place of the mistake.
    if path.is_empty() || path == "." || path == "?" {
        String::new()
    } else {
        format!("{path}: ")
    }
}

/// Scalars, sequences and mappings in one document at most. The library's default of 250,000 is too small
/// for generated configurations; a million still bounds what an alias bomb can cost.
const NODES_MAX: usize = 1_000_000;

/// Reads a document into a type. An empty document is an empty mapping. `file` is only used in errors.
///
/// # Errors
/// [`YamlError`] for bad syntax, unknown keys (where the type denies them) and wrong types.
pub fn from_str<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    let is_blank = text.lines().all(|l| {
        let l = l.trim();
        l.is_empty() || l.starts_with('#') || l == "---"
    });
    let text = if is_blank { "{}" } else { text };
    let mut path = String::new();
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX },
    };
    let result =
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            serde_path_to_error::deserialize::<_, T>(deserializer).map_err(|error| {
                path = error.path().to_string();
                error.into_inner()
            })
        });
    result.map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((0, 0), |l| (l.line(), l.column()));
        YamlError {
            file: file.to_owned(),
            line,
            column,
            path,
            message: message(&error.to_string()),
        }
    })
}

/// [`from_str`] for the files of Go programs, as their YAML library reads them: a key without a value is the type's zero
/// value (false, 0, an empty text or list, a section's defaults), numbers and truth values stand without quotes, only the
/// first document counts.
///
/// # Errors
/// As [`from_str`].
pub fn from_str_with_nulls<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    go::read(file, text)
}

/// The library's text without its own position, and with a suggestion for an unknown key.
fn message(text: &str) -> String {
    let mut text = text.trim();
    if let Some(at) = text.find(" at line ") {
        text = &text[..at];
    }
    let text = plain(text.trim_end_matches(':'));
    match suggest::for_unknown_field(&text) {
        Some(suggestion) => format!("{text}; did you mean `{suggestion}`?"),
        None => text,
    }
}

/// What the library says in words of its own, for somebody who has never seen it.
fn plain(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set ").next().unwrap_or(rest);
        return format!("the key `{key}` stands here twice");
    }
    match text {
        "invalid u16" => "expected a whole number from 0 to 65535",
        "invalid u8" | "invalid u32" | "invalid u64" | "invalid usize" => {
            "expected a whole number, 0 or more"
        }
        "invalid i8" | "invalid i16" | "invalid i32" | "invalid i64" => "expected a whole number",
        "invalid f32" | "invalid f64" | "invalid float" => "expected a number",
        "invalid bool" | "invalid boolean" => "expected true or false",
        "invalid IP address syntax" => "expected an IP address such as 127.0.0.1 or 0.0.0.0",
        "expected mapping start" => "expected keys with values (`key: value`)",
        "expected sequence start" => "expected a list (`- value`)",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        #[serde(default)]
        planes: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        name: String,
        #[serde(default)]
        port: u16,
    }

    #[test]
    fn a_wrong_type_names_line_and_path() {
        let error = from_str::<Outer>("s.yml", "planes:\n  - name: a\n    port: x\n").unwrap_err();
        assert_eq!(
            (error.line, error.path.as_str()),
            (3, "planes[0].port"),
            "{error}"
        );
        assert!(error.to_string().starts_with("s.yml:3:"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_named_with_a_suggestion() {
        let error = from_str::<Outer>("s.yml", "planes:\n  - name: a\n    prot: 1\n").unwrap_err();
        assert_eq!(error.line, 3, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("prot") && text.contains("did you mean `port`?"),
            "{text}"
        );
    }

    #[test]
    fn mistakes_are_said_in_plain_words() {
        for (text, expected) in [
            (
                "planes:\n  - name: a\n    port: 70000\n",
                "s.yml:3:11: planes[0].port: expected a whole number from 0 to 65535",
            ),
            (
                "planes: []\nplanes: []\n",
                "s.yml:2:1: the key `planes` stands here twice",
            ),
            (
                "[]\n",
                "s.yml:1:1: expected keys with values (`key: value`)",
            ),
            (
                "planes: 1\n",
                "s.yml:1:9: planes: expected a list (`- value`)",
            ),
        ] {
            let error = from_str::<Outer>("s.yml", text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn bad_syntax_has_a_position() {
        let error = from_str::<Outer>("s.yml", "planes: [\n").unwrap_err();
        assert!(error.line > 0, "{error}");
    }

    #[test]
    fn an_empty_document_is_an_empty_mapping() {
        assert!(
            from_str::<Outer>("s.yml", "# nothing\n\n")
                .unwrap()
                .planes
                .is_empty()
        );
    }
}
