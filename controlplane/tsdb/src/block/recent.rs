//! What the latest look-ups in a block's index found.
//!
//! Dashboards ask for the same series again and again, in every block that their range touches. A block never
//! changes, so what was found once stays right; deletions are looked at apart. Only small answers are kept: they are
//! those whose look-up costs more than what is done with them.

use std::collections::VecDeque;
use std::sync::Arc;

use bellwether_model::{Labels, Matcher};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::index_write::ChunkMeta;

/// Answers that a block keeps.
const KEPT: usize = 32;
/// Bytes that they take together, about.
const KEPT_BYTES: usize = 128 * 1024;
/// Bytes of the largest one.
const LARGEST_BYTES: usize = KEPT_BYTES / 4;

/// What was asked, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(Arc<str>);

impl Key {
    /// The series that match.
    pub(crate) fn series(matchers: &[Matcher]) -> Self {
        Self(text("", matchers).into())
    }

    /// The values of a label among the series that match.
    pub(crate) fn values(label: &str, matchers: &[Matcher]) -> Self {
        Self(text(label, matchers).into())
    }
}

/// Texts with their lengths before them, so that no other question has the same.
fn text(label: &str, matchers: &[Matcher]) -> String {
    let mut out = format!("{}:{label}", label.len());
    for m in matchers {
        for part in [m.name.as_str(), m.op.as_str(), m.value.as_str()] {
            out.push_str(&part.len().to_string());
            out.push(':');
            out.push_str(part);
        }
    }
    out
}

/// A series as the index has it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) reference: u32,
    pub(crate) labels: Labels,
    pub(crate) chunks: Arc<[ChunkMeta]>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Few series, in order of labels.
    Few(Arc<[Known]>),
    Many(Arc<RoaringBitmap>),
    Values(Arc<[String]>),
}

impl Found {
    /// Bytes in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Few(series) => series
                .iter()
                .map(|s| {
                    size_of::<Known>() + s.labels.as_packed().len() + 32 + size_of_val(&*s.chunks)
                })
                .sum(),
            Self::Many(series) => series.serialized_size(),
            Self::Values(texts) => texts.iter().map(|t| t.len() + size_of::<String>()).sum(),
        }
    }
}

struct Entry {
    key: Key,
    found: Found,
    bytes: usize,
}

/// The latest answers, the newest first.
#[derive(Default)]
pub(crate) struct Recent {
    entries: Mutex<VecDeque<Entry>>,
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent")
            .field("entries", &self.entries.lock().len())
            .finish()
    }
}

impl Recent {
    /// The answer to a question that was asked lately.
    pub(crate) fn get(&self, key: &Key) -> Option<Found> {
        let mut entries = self.entries.lock();
        let at = entries.iter().position(|e| e.key == *key)?;
        if at > 0
            && let Some(entry) = entries.remove(at)
        {
            entries.push_front(entry);
        }
        entries.front().map(|e| e.found.clone())
    }

    /// Keeps an answer for a while, if it is small.
    pub(crate) fn put(&self, key: &Key, found: &Found) {
        let bytes = key.0.len() + found.bytes() + size_of::<Entry>();
        if bytes > LARGEST_BYTES {
            return;
        }
        let mut entries = self.entries.lock();
        // Two may have looked it up at the same time.
        entries.retain(|e| e.key != *key);
        entries.push_front(Entry {
            key: key.clone(),
            found: found.clone(),
            bytes,
        });
        let total = |entries: &VecDeque<Entry>| entries.iter().map(|e| e.bytes).sum::<usize>();
        while entries.len() > KEPT || total(&entries) > KEPT_BYTES {
            entries.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize) -> Found {
        Found::Values(vec!["x".repeat(n)].into())
    }

    fn key(text: &str) -> Key {
        Key::values(text, &[])
    }

    #[test]
    fn questions_differ_by_every_part() {
        let equal = |n, v| Matcher::equal(n, v);
        let keys = [
            Key::series(&[]),
            Key::series(&[equal("a", "b")]),
            Key::series(&[equal("a", "b1:c")]),
            Key::series(&[equal("a", "b"), equal("a", "c")]),
            Key::values("a", &[]),
            Key::values("a", &[equal("a", "b")]),
        ];
        for (i, one) in keys.iter().enumerate() {
            for (j, other) in keys.iter().enumerate() {
                assert_eq!(one == other, i == j);
            }
        }
    }

    #[test]
    fn what_was_not_asked_for_longest_is_forgotten_first() {
        let recent = Recent::default();
        for i in 0..KEPT {
            recent.put(&key(&i.to_string()), &values(1));
        }
        assert!(recent.get(&key("0")).is_some());
        recent.put(&key("new"), &values(1));
        assert!(recent.get(&key("0")).is_some());
        assert!(recent.get(&key("1")).is_none());
    }

    #[test]
    fn answers_take_little_memory() {
        let recent = Recent::default();
        recent.put(&key("large"), &values(LARGEST_BYTES));
        assert!(recent.get(&key("large")).is_none());
        for i in 0..KEPT {
            recent.put(&key(&i.to_string()), &values(LARGEST_BYTES / 2));
        }
        let bytes: usize = recent.entries.lock().iter().map(|e| e.bytes).sum();
        assert!((KEPT_BYTES / 2..=KEPT_BYTES).contains(&bytes), "{bytes}");
    }
}
