//! A YAML document as a tree that remembers where everything stood.
//!
//! The collector merges several files and expands variables before it knows which component a value
//! belongs to; only a tree with positions can do that and still point at the right line.

use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

use super::error::Problem;

/// Nesting and size limits: a configuration is small, an alias bomb is not.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 200_000;

/// Where a node stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// File or other source as the user named it.
    pub source: Arc<str>,
    /// 1-based line; 0 when unknown.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
}

impl Position {
    /// A position in a source without lines.
    pub fn of_source(source: &str) -> Self {
        Self {
            source: source.into(),
            line: 0,
            column: 0,
        }
    }
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it starts.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// Text that may still be a number or a boolean.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<Entry>),
}

/// A scalar as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// Text without quotes.
    pub text: String,
    /// Quoted or block scalars are always strings.
    pub quoted: bool,
    /// The result of an expansion counts as a string as well, whatever it looks like.
    pub expanded: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Key.
    pub key: String,
    /// Where the key stands.
    pub key_at: Position,
    /// Value.
    pub value: Node,
}

impl Node {
    /// An empty node of a source.
    pub(crate) fn null(source: &str) -> Self {
        Self {
            at: Position::of_source(source),
            value: Value::Null,
        }
    }

    /// The value under a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|e| e.key.trim() == key)
            .map(|e| &e.value)
    }

    /// The entries of a mapping; nothing for any other kind.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Position of the deepest part of a `::` path that exists below this node.
    pub(crate) fn locate(&self, path: &str) -> Position {
        let mut node = self;
        let mut at = self.at.clone();
        for part in path.split("::").filter(|p| !p.is_empty()) {
            let Some(entry) = node.entries().iter().find(|e| e.key.trim() == part) else {
                break;
            };
            at = entry.key_at.clone();
            node = &entry.value;
        }
        at
    }

    /// What the node is, for error messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing (null)".to_owned(),
            Value::Scalar(s) if s.quoted => format!("the string {:?}", s.text),
            Value::Scalar(s) => format!("`{}`", s.text),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Parses one document. An empty text is a null node.
///
/// # Errors
/// Bad syntax, duplicate keys, more than one document, or a document that is too large.
pub(super) fn parse(source: &str, text: &str) -> Result<Node, Problem> {
    let mut builder = Builder {
        source: source.into(),
        anchors: Vec::new(),
        nodes: 0,
    };
    let mut parser = Parser::new_from_str(text);
    let mut document = None;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|e| builder.scan_error(&e))?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentEnd | Event::DocumentStart(..) => {}
            event if is_node(&event) => {
                let at = builder.position(&span);
                if document.is_some() {
                    return Err(Problem::at(&at, "", "only one YAML document is allowed"));
                }
                document = Some(builder.node(event, at, &mut parser, 0)?);
            }
            _ => {}
        }
    }
    Ok(document.unwrap_or_else(|| Node::null(source)))
}

fn is_node(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_)
    )
}

struct Builder {
    source: Arc<str>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
}

type YamlParser<'i> = Parser<'i, serde_saphyr::granit_parser::StrInput<'i>>;

impl Builder {
    fn position(&self, span: &serde_saphyr::granit_parser::Span) -> Position {
        Position {
            source: Arc::clone(&self.source),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }

    fn scan_error(&self, error: &serde_saphyr::granit_parser::ScanError) -> Problem {
        let at = Position {
            source: Arc::clone(&self.source),
            line: error.marker().line(),
            column: error.marker().col() + 1,
        };
        Problem::at(&at, "", format!("invalid YAML: {}", error.info()))
    }

    fn next<'i>(&self, parser: &mut YamlParser<'i>) -> Result<(Event<'i>, Position), Problem> {
        loop {
            let Some(next) = parser.next_event() else {
                let at = Position::of_source(&self.source);
                return Err(Problem::at(&at, "", "invalid YAML: unexpected end"));
            };
            let (event, span) = next.map_err(|e| self.scan_error(&e))?;
            let wanted = is_node(&event) || matches!(event, Event::SequenceEnd | Event::MappingEnd);
            if wanted {
                return Ok((event, self.position(&span)));
            }
        }
    }

    fn node(
        &mut self,
        event: Event<'_>,
        at: Position,
        parser: &mut YamlParser<'_>,
        depth: usize,
    ) -> Result<Node, Problem> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(Problem::at(
                &at,
                "",
                "the YAML is nested too deeply or too large",
            ));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style, at), anchor),
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, item_at) = self.next(parser)?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, item_at, parser, depth + 1)?);
                }
                let value = Value::Seq(items);
                (Node { at, value }, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let value = Value::Map(self.entries(parser, depth)?);
                (Node { at, value }, anchor)
            }
            Event::Alias(id) => {
                let target = self.anchors.iter().find(|(known, _)| *known == id);
                let Some((_, target)) = target else {
                    return Err(Problem::at(&at, "", "alias of an unknown anchor"));
                };
                let copy = target.clone();
                self.nodes += count(&copy);
                if self.nodes > NODES_MAX {
                    return Err(Problem::at(&at, "", "aliases make the YAML too large"));
                }
                (copy, 0)
            }
            _ => return Err(Problem::at(&at, "", "invalid YAML")),
        };
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn entries(
        &mut self,
        parser: &mut YamlParser<'_>,
        depth: usize,
    ) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, key_at) = self.next(parser)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_node = self.node(event, key_at.clone(), parser, depth + 1)?;
            let key = match key_node.value {
                Value::Scalar(s) => s.text,
                Value::Null => "null".to_owned(),
                _ => return Err(Problem::at(&key_at, "", "a key must be a plain word")),
            };
            let (event, at) = self.next(parser)?;
            let value = self.node(event, at, parser, depth + 1)?;
            if key == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(first) = entries.iter().find(|e| e.key == key) {
                let message = format!("duplicate key (first on line {})", first.key_at.line);
                return Err(Problem::at(&key_at, &key, message));
            }
            entries.push(Entry { key, key_at, value });
        }
        for node in merged {
            merge_into(&mut entries, node);
        }
        Ok(entries)
    }
}

/// `<<`: entries of the referenced mapping(s) that are not set here.
fn merge_into(entries: &mut Vec<Entry>, node: Node) {
    match node.value {
        Value::Map(inherited) => {
            for entry in inherited {
                if !entries.iter().any(|e| e.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
        Value::Seq(items) => {
            for item in items {
                merge_into(entries, item);
            }
        }
        _ => {}
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Seq(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|e| count(&e.value)).sum(),
        _ => 0,
    }
}

fn scalar(text: &str, style: ScalarStyle, at: Position) -> Node {
    let quoted = style != ScalarStyle::Plain;
    let value = if !quoted && is_null(text) {
        Value::Null
    } else {
        Value::Scalar(Scalar {
            text: text.to_owned(),
            quoted,
            expanded: false,
        })
    };
    Node { at, value }
}

pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Puts `later` over `earlier`: mappings join, everything else is replaced, a null removes.
pub(super) fn merge(earlier: Node, later: Node) -> Node {
    match (earlier.value, later.value) {
        (Value::Map(mut entries), Value::Map(over)) => {
            for entry in over {
                match entries.iter().position(|e| e.key == entry.key) {
                    Some(index) => {
                        let old = entries.remove(index);
                        let value = merge(old.value, entry.value);
                        entries.insert(
                            index,
                            Entry {
                                value,
                                key: entry.key,
                                key_at: entry.key_at,
                            },
                        );
                    }
                    None => entries.push(entry),
                }
            }
            Node {
                at: earlier.at,
                value: Value::Map(entries),
            }
        }
        (_, value) => Node {
            at: later.at,
            value,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse("t.yaml", text).unwrap()
    }

    #[test]
    fn positions_anchors_and_merge_keys() {
        let node = one("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n");
        let used = node.get("use").unwrap();
        let texts: Vec<_> = used
            .entries()
            .iter()
            .map(|e| (e.key.as_str(), e.value.describe()))
            .collect();
        assert_eq!(texts, [("y", "`3`".to_owned()), ("x", "`1`".to_owned())]);
        let at = node.locate("use::y::nothing");
        assert_eq!((at.line, at.column), (4, 3));
    }

    #[test]
    fn later_documents_win() {
        let merged = merge(
            one("a: {x: 1, y: [1, 2]}\nb: {z: 1}\n"),
            one("a: {y: [3]}\nb:\n"),
        );
        let a = merged.get("a").unwrap();
        assert_eq!(a.get("x").unwrap().describe(), "`1`");
        let Value::Seq(items) = &a.get("y").unwrap().value else {
            panic!("not a list")
        };
        assert_eq!(items.len(), 1);
        assert_eq!(merged.get("b").unwrap().value, Value::Null);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, expected) in [
            (
                "a: 1\na: 2\n",
                "t.yaml:2:1: a: duplicate key (first on line 1)",
            ),
            ("a: [1\n", "t.yaml:"),
            ("a: 1\n---\nb: 2\n", "only one YAML document is allowed"),
            ("a: *x\n", "t.yaml:1:"),
        ] {
            let error = parse("t.yaml", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
