//! Documents as Go's YAML library reads them, which is how Prometheus reads its configuration.
//!
//! It follows `go.yaml.in/yaml/v2` in what a document means: only the first one of a text counts, a value without quotes
//! is what YAML 1.1 says (`yes` is true, `010` is 8) and a quoted one is a text, a whole number may be written `1e3`, a
//! key without a value is the type's zero value, merged keys come in the order of the file, no key may come twice.
//!
//! | file | what it holds |
//! |---|---|
//! | `scalar` | what a scalar is: null, truth value, number, text |
//! | `entries` | the keys of a mapping with merged ones, none of them twice |
//! | `value` | the tree as a serde deserializer |
//! | `strict` | what that library refuses and others take: tabs, versions of YAML |
//! | `error` | what is wrong, with its place and the path to it |

mod entries;
mod error;
mod scalar;
mod strict;
mod value;

use serde::de::DeserializeOwned;

use crate::node::{Merge, Node, NodeKind, Place, parse_with};
use crate::{YamlError, message};
use error::Error;

pub(crate) use value::PLACED;

/// Reads the first document of a text into a type.
pub(crate) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    decode(text).map_err(|error| {
        let place = error.place.unwrap_or_default();
        YamlError {
            file: file.to_owned(),
            line: place.line as u64,
            column: place.column as u64,
            path: error.path(),
            message: message(&error.message),
        }
    })
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    strict::check(text)?;
    let document = parse_with(text, Merge::Keep).map_err(|error| Error {
        message: error.message,
        place: Some(error.place),
        segments: Vec::new(),
    })?;
    let nothing = Node {
        place: Place { line: 1, column: 1 },
        kind: NodeKind::Scalar {
            text: String::new(),
            is_plain: true,
            tag: None,
        },
    };
    let root = document.first.unwrap_or(nothing);
    T::deserialize(value::Value::new(&root)).map_err(|error| error.at(root.place))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
