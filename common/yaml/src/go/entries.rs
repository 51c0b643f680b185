//! The keys of a mapping.

use std::collections::HashMap;

use super::error::Error;
use crate::node::{Node, NodeKind};

/// What the mapping becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A section: what is merged and what stands there overwrite each other in the order of the file.
    Section,
    /// Any keys, labels for example: also what is merged counts as standing there.
    Map,
}

/// A key with its value.
pub(super) type Entry<'n> = (&'n Node, &'n Node);

/// The entries with those of `<<` among them.
///
/// # Errors
/// A key that comes twice, and what cannot be merged.
pub(super) fn entries<'n>(
    pairs: &'n [(Node, Node)],
    target: Target,
) -> Result<Vec<Entry<'n>>, Error> {
    let mut collector = Collector {
        target,
        entries: Vec::with_capacity(pairs.len()),
        places: HashMap::new(),
    };
    collector.add(pairs)?;
    Ok(collector.entries)
}

struct Collector<'n> {
    target: Target,
    entries: Vec<Entry<'n>>,
    /// Where a key is among the entries.
    places: HashMap<&'n str, usize>,
}

impl<'n> Collector<'n> {
    fn add(&mut self, pairs: &'n [(Node, Node)]) -> Result<(), Error> {
        // Keys that stand in this very mapping.
        let mut own = HashMap::new();
        for (key, value) in pairs {
            let NodeKind::Scalar { text, is_plain, .. } = &key.kind else {
                self.entries.push((key, value));
                continue;
            };
            if *is_plain && text == "<<" {
                self.merge(value)?;
                continue;
            }
            let known = self.places.get(text.as_str()).copied();
            let twice = match self.target {
                Target::Section => own.insert(text, ()).is_some(),
                Target::Map => known.is_some(),
            };
            if twice {
                let message = format!("the key `{text}` stands here twice");
                return Err(Error::new(message, key.place));
            }
            match known {
                Some(at) => self.entries[at] = (key, value),
                None => {
                    self.places.insert(text, self.entries.len());
                    self.entries.push((key, value));
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, value: &'n Node) -> Result<(), Error> {
        let wrong = || {
            let message = "map merge requires map or sequence of maps as the value";
            Error::new(message, value.place)
        };
        match &value.kind {
            NodeKind::Mapping(pairs) => self.add(pairs),
            // Backwards, so that the first one wins.
            NodeKind::Sequence(items) => items.iter().rev().try_for_each(|item| match &item.kind {
                NodeKind::Mapping(pairs) => self.add(pairs),
                _ => Err(wrong()),
            }),
            NodeKind::Scalar { .. } => Err(wrong()),
        }
    }
}
