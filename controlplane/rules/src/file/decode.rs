//! From the tree to a [`RuleFile`], with the errors of Go's YAML library.
//!
//! Prometheus decodes a file twice: into plain structs, where unknown keys are errors, and into structs that keep the
//! nodes, where they are not. A mistake that both see is reported twice; so it is here.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_model::duration;
use bellwether_yaml::node::{self, Node, NodeKind};

use super::{GroupSpec, RuleFile, RulePlaces, RuleSpec};

/// Reads a text.
///
/// # Errors
/// One text per pass that fails.
pub(super) fn decode(text: &str, ignore_unknown: bool) -> Result<RuleFile, Vec<String>> {
    let documents = node::parse(text).map_err(|error| vec![format!("yaml: {error}"); 2])?;
    if documents.has_more {
        tracing::warn!(
            "Multiple document yaml rules files are not supported, only the first document is processed"
        );
    }
    let mut decoder = Decoder {
        ignore_unknown,
        mistakes: Vec::new(),
    };
    let file = match &documents.first {
        Some(root) => decoder.file(root),
        None => Ok(RuleFile::default()),
    };
    let mut errors = Vec::new();
    match &file {
        // A bad duration ends the pass; what was found before it is not reported.
        Err(Abort(message)) => errors.extend([message.clone(), message.clone()]),
        Ok(_) => {
            errors.extend(decoder.report(|_| true, |m| m.message.clone()));
            // The structs of the second pass have other names.
            let again = |m: &Mistake| m.message.replace(GROUPS, "rulefmt.ruleGroups");
            let again = |m: &Mistake| match again(m) {
                message if message.ends_with(GROUP) || message.ends_with(RULE) => message + "Node",
                message => message,
            };
            errors.extend(decoder.report(|m| m.seen_twice, again));
        }
    }
    match file {
        Ok(file) if errors.is_empty() => Ok(file),
        _ => Err(errors),
    }
}

/// Names of Prometheus' structs, for messages.
const GROUPS: &str = "rulefmt.RuleGroups";
const GROUP: &str = "rulefmt.RuleGroup";
const RULE: &str = "rulefmt.Rule";

/// Ends a pass.
#[derive(Clone)]
struct Abort(String);

struct Mistake {
    message: String,
    /// Whether the pass with nodes sees it too.
    seen_twice: bool,
}

struct Decoder {
    ignore_unknown: bool,
    mistakes: Vec<Mistake>,
}

impl Decoder {
    fn report(
        &self,
        wanted: impl Fn(&Mistake) -> bool,
        text: impl Fn(&Mistake) -> String,
    ) -> Option<String> {
        let lines: Vec<String> = self
            .mistakes
            .iter()
            .filter(|m| wanted(m))
            .map(|m| format!("\n  {}", text(m)))
            .collect();
        (!lines.is_empty()).then(|| format!("yaml: unmarshal errors:{}", lines.concat()))
    }

    fn mistake(&mut self, node: &Node, seen_twice: bool, message: &str) {
        self.mistakes.push(Mistake {
            message: format!("line {}: {message}", node.place.line),
            seen_twice,
        });
    }

    fn mismatch(&mut self, node: &Node, type_name: &str, seen_twice: bool) {
        let value = match &node.kind {
            NodeKind::Scalar { text, .. } if text.len() > 10 => {
                let mut end = 7;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                format!(" `{}...`", &text[..end])
            }
            NodeKind::Scalar { text, .. } => format!(" `{text}`"),
            _ => String::new(),
        };
        let tag = node.tag();
        let message = format!("cannot unmarshal {tag}{value} into {type_name}");
        self.mistake(node, seen_twice, &message);
    }

    /// The entries of a mapping with texts as keys; none after a mistake.
    fn entries<'n>(
        &mut self,
        node: &'n Node,
        type_name: &str,
    ) -> Vec<(&'n str, &'n Node, &'n Node)> {
        let NodeKind::Mapping(entries) = &node.kind else {
            if !node.is_null() {
                self.mismatch(node, type_name, true);
            }
            return Vec::new();
        };
        let before = self.mistakes.len();
        for (i, (first, _)) in entries.iter().enumerate() {
            for (second, _) in &entries[i + 1..] {
                let (NodeKind::Scalar { text, .. }, NodeKind::Scalar { text: other, .. }) =
                    (&first.kind, &second.kind)
                else {
                    continue;
                };
                if text == other {
                    let message = format!(
                        "mapping key {} already defined at line {}",
                        super::quote(text),
                        first.place.line
                    );
                    self.mistake(second, true, &message);
                }
            }
        }
        if self.mistakes.len() > before {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (key, value) in entries {
            match &key.kind {
                NodeKind::Scalar { text, .. } => found.push((text.as_str(), key, value)),
                _ => self.mismatch(key, "string", true),
            }
        }
        found
    }

    fn unknown(&mut self, key: &Node, name: &str, type_name: &str) {
        if !self.ignore_unknown {
            let message = format!("field {name} not found in type {type_name}");
            self.mistake(key, false, &message);
        }
    }

    fn items<'n>(&mut self, node: &'n Node, type_name: &str) -> &'n [Node] {
        match &node.kind {
            NodeKind::Sequence(items) => items,
            _ => {
                if !node.is_null() {
                    self.mismatch(node, type_name, true);
                }
                &[]
            }
        }
    }

    fn text(&mut self, node: &Node, seen_twice: bool) -> String {
        match &node.kind {
            NodeKind::Scalar { text, .. } if !node.is_null() => text.clone(),
            NodeKind::Scalar { .. } => String::new(),
            _ => {
                self.mismatch(node, "string", seen_twice);
                String::new()
            }
        }
    }

    fn texts(&mut self, node: &Node) -> BTreeMap<String, String> {
        let entries = self.entries(node, "map[string]string");
        let read = |(name, _, value): (&str, _, &Node)| (name.to_owned(), self.text(value, true));
        entries.into_iter().map(read).collect()
    }

    fn whole(&mut self, node: &Node) -> i64 {
        match &node.kind {
            NodeKind::Scalar { .. } if node.is_null() => 0,
            NodeKind::Scalar { text, .. } if node.tag() == "!!int" => {
                text.replace('_', "").parse().unwrap_or(i64::MAX)
            }
            NodeKind::Scalar { text, .. } if node.tag() == "!!float" => {
                text.parse::<f64>().map_or(0, |v| v as i64)
            }
            _ => {
                self.mismatch(node, "int", true);
                0
            }
        }
    }

    fn duration(&mut self, node: &Node) -> Result<Duration, Abort> {
        let before = self.mistakes.len();
        let text = self.text(node, true);
        if self.mistakes.len() > before {
            return Ok(Duration::ZERO);
        }
        duration::parse(&text).map_err(|error| Abort(error.to_string()))
    }

    fn file(&mut self, root: &Node) -> Result<RuleFile, Abort> {
        let mut file = RuleFile::default();
        for (name, key, value) in self.entries(root, GROUPS) {
            if name == "groups" {
                for group in self.items(value, "[]rulefmt.RuleGroup") {
                    // An entry without a value does not count.
                    if group.is_null() {
                        continue;
                    }
                    file.groups.push(self.group(group)?);
                }
            } else {
                self.unknown(key, name, GROUPS);
            }
        }
        Ok(file)
    }

    fn group(&mut self, node: &Node) -> Result<GroupSpec, Abort> {
        let mut group = GroupSpec::default();
        for (name, key, value) in self.entries(node, GROUP) {
            match name {
                "name" => group.name = self.text(value, true),
                "interval" => group.interval = self.duration(value)?,
                "query_offset" if value.is_null() => {}
                "query_offset" => group.query_offset = Some(self.duration(value)?),
                "limit" => group.limit = self.whole(value),
                "labels" => group.labels = self.texts(value),
                "rules" => {
                    for rule in self.items(value, "[]rulefmt.Rule") {
                        if rule.is_null() {
                            continue;
                        }
                        group.rules.push(self.rule(rule)?);
                    }
                }
                _ => self.unknown(key, name, GROUP),
            }
        }
        Ok(group)
    }

    fn rule(&mut self, node: &Node) -> Result<RuleSpec, Abort> {
        let mut rule = RuleSpec::default();
        let mut places = RulePlaces::default();
        for (name, key, value) in self.entries(node, RULE) {
            match name {
                "record" => {
                    places.record = value.place;
                    rule.record = self.text(value, false);
                }
                "alert" => {
                    places.alert = value.place;
                    rule.alert = self.text(value, false);
                }
                "expr" => {
                    places.expr = value.place;
                    rule.expr = self.text(value, false);
                }
                "for" => rule.hold = self.duration(value)?,
                "keep_firing_for" => rule.keep_firing_for = self.duration(value)?,
                "labels" => rule.labels = self.texts(value),
                "annotations" => rule.annotations = self.texts(value),
                _ => self.unknown(key, name, RULE),
            }
        }
        rule.places = places;
        Ok(rule)
    }
}
