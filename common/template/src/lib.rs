//! Go's `text/template` language: what annotations and labels of alerts are written in.
//!
//! ```text
//! text --lex--> tokens --parse--> Template (trees by name) --exec, with data and a Host--> text
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `lex` | tokens, trimming of white space, comments |
//! | `node`, `parse` | the tree and how it prints; the parser |
//! | `value` | values, their Go types, fields of foreign objects |
//! | `exec` | running a tree |
//! | `host` | functions that the embedding program adds |
//! | `builtin`, `compare`, `escape` | the language's own functions |
//! | `print`, `number` | Go's `fmt` verbs; literals and float formats |
//!
//! Actions, pipelines, variables, `if`, `with`, `range` (lists, maps, whole numbers), `define`, `template`, `block`,
//! `break`, `continue` and comments behave and fail as in Go 1.26; the option `missingkey=zero` always holds, as
//! Prometheus sets it. Complex numbers, channels and functions as values do not exist.
//!
//! Templates come from configuration files and data from anywhere, so all is bounded: nesting and calls
//! ([`MAX_DEPTH`]), steps ([`MAX_STEPS`]), output and every text on the way ([`MAX_OUTPUT_BYTES`]). Nothing panics.

mod builtin;
mod compare;
mod escape;
mod exec;
mod host;
mod lex;
mod node;
mod number;
mod parse;
mod print;
mod value;

pub use escape::{html, query_escape};
pub use exec::{ExecError, MAX_DEPTH, MAX_OUTPUT_BYTES, MAX_STEPS};
pub use host::{Host, NoFunctions, Signature, Type};
pub use parse::{ParseError, Template};
pub use print::{quote, sprint, sprintf};
pub use value::{List, Map, Object, Struct, Value};
