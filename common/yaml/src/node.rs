//! A document as a tree in which every key and value knows its place.
//!
//! For files whose mistakes are reported many at a time, or in another program's words: there serde would stop at
//! the first one. Aliases are resolved and `<<` is merged while the tree is built; how much that may cost is bounded.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// Deepest nesting.
const MAX_DEPTH: usize = 100;
/// Most nodes, those that aliases repeat included.
const MAX_NODES: usize = 1_000_000;

/// Where something begins; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: NodeKind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A text; whether it was written without quotes and so may be a number, a truth value or null.
    Scalar {
        /// The text, quotes and escapes resolved.
        text: String,
        /// Without quotes and without a tag.
        is_plain: bool,
        /// The tag that stands before it, `!!str` for example.
        tag: Option<String>,
    },
    /// Items in order.
    Sequence(Vec<Node>),
    /// Keys and values in order, as written: a key may stand there twice.
    Mapping(Vec<(Node, Node)>),
}

/// Why a text is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}", line = .place.line)]
pub struct NodeError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

/// The documents of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The first one; `None` for a blank text.
    pub first: Option<Node>,
    /// Whether more follow. They are not read.
    pub has_more: bool,
}

impl Node {
    /// Whether it is null: nothing, `~` or `null` without quotes.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, is_plain: true, .. }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The YAML type that a plain scalar resolves to, as `!!int`.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        match &self.kind {
            NodeKind::Sequence(_) => "!!seq",
            NodeKind::Mapping(_) => "!!map",
            NodeKind::Scalar {
                is_plain: false, ..
            } => "!!str",
            NodeKind::Scalar { .. } if self.is_null() => "!!null",
            NodeKind::Scalar { text, .. } => plain_tag(text),
        }
    }
}

fn plain_tag(text: &str) -> &'static str {
    if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") {
        return "!!bool";
    }
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if is_number && (plain.parse::<i128>().is_ok() || is_radix(digits)) {
        return "!!int";
    }
    let special = matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    if special || (is_number && plain.parse::<f64>().is_ok()) {
        return "!!float";
    }
    "!!str"
}

fn is_radix(digits: &str) -> bool {
    let parts = [("0x", 16), ("0o", 8), ("0b", 2)];
    parts.into_iter().any(|(prefix, radix)| {
        let rest = digits.strip_prefix(prefix);
        rest.is_some_and(|r| !r.is_empty() && r.chars().all(|c| c.is_digit(radix)))
    })
}

/// What becomes of `<<`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Its mapping is merged: what stands in a mapping itself wins.
    Now,
    /// It stays a key.
    Keep,
}

/// Reads the first document of a text.
///
/// # Errors
/// Bad syntax, unknown aliases, and what passes the limits.
pub fn parse(text: &str) -> Result<Documents, NodeError> {
    parse_with(text, Merge::Now)
}

/// [`parse`] with a choice about `<<`.
pub(crate) fn parse_with(text: &str, merge: Merge) -> Result<Documents, NodeError> {
    let mut builder = Builder {
        text,
        merge,
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut first = None;
    loop {
        match builder.next() {
            // Whatever follows the first document is another one, good or bad.
            Err(_) | Ok(Some((Event::DocumentStart(..), _))) if first.is_some() => {
                return Ok(Documents {
                    first: first.filter(|node: &Node| !node.is_null()),
                    has_more: true,
                });
            }
            Err(error) => return Err(error),
            Ok(None | Some((Event::StreamEnd, _))) => break,
            Ok(Some((event, span))) if event.is_node() => {
                let node = builder.node(event, span, 0)?;
                first = Some(node);
            }
            Ok(Some(_)) => {}
        }
    }
    let first = first.filter(|node| !node.is_null());
    Ok(Documents {
        first,
        has_more: false,
    })
}

struct Builder<'a> {
    text: &'a str,
    merge: Merge,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    /// By anchor, with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, NodeError> {
        loop {
            match self.events.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => {
                    return Err(NodeError {
                        place: Place {
                            line: error.marker().line(),
                            column: error.marker().col() + 1,
                        },
                        message: error.info(),
                    });
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), NodeError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(NodeError {
                place,
                message: format!("document contains more than {MAX_NODES} values"),
            });
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, NodeError> {
        let place = Place {
            line: span.start.line(),
            column: span.start.col() + 1,
        };
        self.count(1, place)?;
        if depth > MAX_DEPTH {
            return Err(NodeError {
                place,
                message: format!("nested more than {MAX_DEPTH} levels deep"),
            });
        }
        let before = self.nodes;
        let is_block = matches!(
            event.scalar(),
            Some((_, ScalarStyle::Literal | ScalarStyle::Folded))
        );
        let header = is_block
            .then(|| block_header(self.text, place.line))
            .flatten();
        let anchor = event.anchor_id();
        let kind = match event {
            Event::Scalar(text, style, _, tag) => NodeKind::Scalar {
                is_plain: style == ScalarStyle::Plain && tag.is_none(),
                text: Cow::into_owned(text),
                tag: tag.map(|tag| match tag.handle() {
                    "tag:yaml.org,2002:" => format!("!!{}", tag.suffix()),
                    handle => format!("{handle}{}", tag.suffix()),
                }),
            },
            Event::SequenceStart(..) => NodeKind::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => NodeKind::Mapping(self.mapping(depth)?),
            Event::Alias(id) => {
                let Some((node, nodes)) = self.anchors.get(&id).cloned() else {
                    return Err(NodeError {
                        place,
                        message: "unknown anchor referenced".to_owned(),
                    });
                };
                self.count(nodes, place)?;
                return Ok(node);
            }
            _ => {
                return Err(NodeError {
                    place,
                    message: "unknown anchor referenced".to_owned(),
                });
            }
        };
        let node = Node {
            place: header.unwrap_or(place),
            kind,
        };
        if let Some(anchor) = anchor {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, NodeError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(items)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, NodeError> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, span, depth + 1)?;
            let is_merge =
                matches!(&key.kind, NodeKind::Scalar { text, is_plain: true, .. } if text == "<<");
            if is_merge && self.merge == Merge::Now {
                merged.extend(merge_sources(value));
            } else {
                entries.push((key, value));
            }
        }
        // What stands in the mapping itself wins, then the earlier merged one.
        for (key, value) in merged {
            if !entries.iter().any(|(k, _)| k.kind == key.kind) {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }
}

/// The place of the `|` or `>` above the text of a block scalar: that is where its value begins for a reader.
fn block_header(text: &str, content_line: usize) -> Option<Place> {
    let above: Vec<&str> = text.lines().take(content_line.saturating_sub(1)).collect();
    for (i, line) in above.iter().enumerate().rev() {
        let line = line
            .split_once(" #")
            .map_or(*line, |(before, _)| before)
            .trim_end();
        // Behind the sign stand only digits and the signs for the end of the text.
        let sign = line.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
        let start = sign.ends_with(['|', '>']).then(|| sign.len() - 1);
        if let Some(start) = start {
            return Some(Place {
                line: i + 1,
                column: line[..start].chars().count() + 1,
            });
        }
        if !line.is_empty() {
            return None;
        }
    }
    None
}

/// The entries of the mapping, or of the mappings of the list, behind `<<`.
fn merge_sources(value: Node) -> Vec<(Node, Node)> {
    match value.kind {
        NodeKind::Mapping(entries) => entries,
        NodeKind::Sequence(items) => items.into_iter().flat_map(merge_sources).collect(),
        NodeKind::Scalar { .. } => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scalar(node: &Node) -> (&str, usize, usize, &'static str) {
        match &node.kind {
            NodeKind::Scalar { text, .. } => (text, node.place.line, node.place.column, node.tag()),
            _ => ("?", 0, 0, node.tag()),
        }
    }

    fn entries(node: &Node) -> &[(Node, Node)] {
        match &node.kind {
            NodeKind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let text = "a: 1\nb:\n  - 'x'\n  - |\n    block\nc: {d: 1.5, e: ~}\n";
        let root = parse(text).unwrap().first.unwrap();
        let entries_ = entries(&root);
        assert_eq!(scalar(&entries_[0].0), ("a", 1, 1, "!!str"));
        assert_eq!(scalar(&entries_[0].1), ("1", 1, 4, "!!int"));
        let NodeKind::Sequence(items) = &entries_[1].1.kind else {
            panic!("a list");
        };
        let folded = parse("x: >-  # why\n\n    text\n").unwrap().first.unwrap();
        assert_eq!(scalar(&entries(&folded)[0].1), ("\ntext", 1, 4, "!!str"));
        assert_eq!(scalar(&items[0]), ("x", 3, 5, "!!str"));
        assert_eq!(scalar(&items[1]), ("block\n", 4, 5, "!!str"));
        let inner = entries(&entries_[2].1);
        assert_eq!(scalar(&inner[0].1).3, "!!float");
        assert_eq!(scalar(&inner[1].1).3, "!!null");
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let text = "x: &a {k: 1, l: 2}\ny: *a\nz:\n  <<: *a\n  k: 3\n";
        let root = parse(text).unwrap().first.unwrap();
        let [(_, x), (_, y), (_, z)] = entries(&root) else {
            panic!("three entries");
        };
        assert_eq!(x.kind, y.kind);
        let z: Vec<_> = entries(z)
            .iter()
            .map(|(k, v)| (scalar(k).0, scalar(v).0))
            .collect();
        assert_eq!(z, [("k", "3"), ("l", "2")]);
    }

    #[test]
    fn blank_texts_second_documents_and_bombs() {
        for text in ["", "# nothing\n", "---\n", "null"] {
            assert_eq!(parse(text).unwrap().first, None, "{text:?}");
        }
        assert!(parse("a: 1\n---\nb: 2\n").unwrap().has_more);
        assert!(!parse("a: 1\n...\n").unwrap().has_more);
        assert!(parse("a: [1\n").is_err());
        assert!(parse("a: *b\n").is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n".to_owned();
        for i in 1..12 {
            let uses = vec![format!("*a{}", i - 1); 9].join(",");
            bomb += &format!("a{i}: &a{i} [{uses}]\n");
        }
        let error = parse(&bomb).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
