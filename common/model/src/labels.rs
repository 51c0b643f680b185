//! Label sets in one allocation.
//!
//! A label set is packed into a single shared string: for each label the length of the name, the name, the
//! length of the value, the value. Lengths use six bits a byte (bit 6 says "more follows"), so the packed
//! form stays ASCII between the texts and the whole is valid UTF-8. A clone is a reference count; equality
//! and hashing are one pass over bytes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The upper bound of a classic histogram's bucket.
pub const BUCKET_LABEL: &str = "le";
/// The label that says a series' type, with the feature `type-and-unit-labels`.
pub const TYPE_LABEL: &str = "__type__";
/// The label that says a series' unit, with the feature `type-and-unit-labels`.
pub const UNIT_LABEL: &str = "__unit__";
/// The quantile of a summary's sample.
pub const QUANTILE_LABEL: &str = "quantile";
/// The scrape job's name.
pub const JOB: &str = "job";
/// The scraped instance, `host:port` by default.
pub const INSTANCE: &str = "instance";

/// One borrowed label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label<'a> {
    /// Name, never empty inside a [`Labels`].
    pub name: &'a str,
    /// Value, never empty inside a [`Labels`].
    pub value: &'a str,
}

/// An immutable label set: sorted bytewise by name, names unique, no empty values.
#[derive(Clone)]
pub struct Labels(Arc<str>);

static EMPTY: LazyLock<Labels> = LazyLock::new(|| Labels(Arc::from("")));

impl Default for Labels {
    fn default() -> Self {
        EMPTY.clone()
    }
}

fn push_len(out: &mut String, mut len: usize) {
    loop {
        let low = (len & 0x3f) as u8;
        len >>= 6;
        if len == 0 {
            out.push(char::from(low));
            return;
        }
        out.push(char::from(low | 0x40));
    }
}

#[inline]
fn take_len(data: &[u8], pos: &mut usize) -> usize {
    let mut len = 0usize;
    let mut shift = 0;
    loop {
        let byte = data[*pos];
        *pos += 1;
        len |= usize::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            return len;
        }
        shift += 6;
    }
}

impl Labels {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Builds a set from pairs in any order. Pairs with an empty value are left out, because an empty
    /// value equals a missing label; of equal names the last wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Packs pairs that are already sorted by name, unique and without empty values.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::from_sorted_in(&mut String::with_capacity(256), pairs)
    }

    /// [`Labels::from_sorted`] by way of a buffer, whose content does not matter: who packs many sets keeps one.
    pub fn from_sorted_in<'a>(
        buffer: &mut String,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        buffer.clear();
        for (name, value) in pairs {
            push_len(buffer, name.len());
            buffer.push_str(name);
            push_len(buffer, value.len());
            buffer.push_str(value);
        }
        Self::from_packed(buffer)
    }

    fn from_packed(packed: &str) -> Self {
        if packed.is_empty() {
            Self::empty()
        } else {
            Self(Arc::from(packed))
        }
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The packed bytes: equal sets have equal bytes. A stable key for hash maps.
    #[must_use]
    pub fn as_packed(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether both are clones of one set. Equal sets need not be.
    #[inline]
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same number for all clones of a set as long as one of them lives.
    #[inline]
    #[must_use]
    pub fn identity(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Labels in order of their names.
    #[must_use]
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter {
            packed: &self.0,
            pos: 0,
        }
    }

    /// The value of a label, `None` where it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        for label in self {
            match label.name.cmp(name) {
                Ordering::Equal => return Some(label.value),
                Ordering::Greater => return None,
                Ordering::Less => {}
            }
        }
        None
    }

    /// The value of a label, the empty string where it is missing.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, where the set has one.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// The same set without one label.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        if self.get(name).is_none() {
            return self.clone();
        }
        self.filter(|own| own != name)
    }

    /// The labels for which `keep` says yes.
    #[must_use]
    pub fn filter(&self, keep: impl FnMut(&str) -> bool) -> Self {
        self.filter_in(&mut Selection::default(), keep)
    }

    /// [`Labels::filter`] by way of a buffer, whose content does not matter.
    #[must_use]
    pub fn filter_in(&self, buffer: &mut Selection, keep: impl FnMut(&str) -> bool) -> Self {
        buffer.fill(self, keep);
        buffer.to_labels()
    }

    /// A builder that starts from this set.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self
                .iter()
                .map(|l| (l.name.to_owned(), l.value.to_owned()))
                .collect(),
        }
    }

    /// A fast 64-bit hash, stable within one process run only.
    #[must_use]
    pub fn fast_hash(&self) -> u64 {
        use std::hash::BuildHasher;
        static STATE: LazyLock<foldhash::fast::FixedState> =
            LazyLock::new(|| foldhash::fast::FixedState::with_seed(0x5eed));
        STATE.hash_one(self.0.as_bytes())
    }
}

/// Labels chosen from a set, as a key for look-ups that allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Selection(String);

impl Selection {
    /// Takes the labels for which `keep` says yes, in place of what was there.
    pub fn fill(&mut self, labels: &Labels, mut keep: impl FnMut(&str) -> bool) {
        self.0.clear();
        let mut all = labels.iter();
        loop {
            let from = all.pos;
            let Some(label) = all.next() else {
                return;
            };
            if keep(label.name) {
                self.0.push_str(&labels.0[from..all.pos]);
            }
        }
    }

    /// The same bytes as [`Labels::as_packed`] of the set.
    #[must_use]
    pub fn as_packed(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The set.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        Labels::from_packed(&self.0)
    }
}

/// Iterator over a label set in order of names.
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    packed: &'a str,
    pos: usize,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = Label<'a>;

    #[inline]
    fn next(&mut self) -> Option<Label<'a>> {
        let bytes = self.packed.as_bytes();
        if self.pos >= bytes.len() {
            return None;
        }
        let name_len = take_len(bytes, &mut self.pos);
        let name = &self.packed[self.pos..self.pos + name_len];
        self.pos += name_len;
        let value_len = take_len(bytes, &mut self.pos);
        let value = &self.packed[self.pos..self.pos + value_len];
        self.pos += value_len;
        Some(Label { name, value })
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = Label<'a>;
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes() == other.0.as_bytes()
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

/// How many bytes two slices have in common from their beginnings.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8));
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

/// Prometheus' order: pair by pair, name before value, a prefix first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let same = common_prefix(own, theirs);
        if same == own.len() || same == theirs.len() {
            // A set that is the beginning of the other.
            return own.len().cmp(&theirs.len());
        }
        // The first text that differs, in its content or by its length.
        let mut pos = 0;
        loop {
            let (mut a, mut b) = (pos, pos);
            let (a_len, b_len) = (take_len(own, &mut a), take_len(theirs, &mut b));
            if a_len != b_len || a + a_len > same {
                return own[a..a + a_len].cmp(&theirs[b..b + b_len]);
            }
            pos = a + a_len;
        }
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a label name needs no quotes in PromQL and the text format: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && !bytes[0].is_ascii_digit()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Whether a metric name needs no quotes: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && !bytes[0].is_ascii_digit()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b':')
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // The standard library keeps the same table for its escapes, but escapes a leading combining mark too.
    let text: String = ['a', c].iter().collect();
    text.escape_debug().nth(1) == Some(c)
}

/// Quotes a string as Go's `strconv.Quote` does.
#[must_use]
pub fn quote(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

/// Prometheus' text form of a label set: `{__name__="up", job="x"}` with quoted names where needed.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, label) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(label.name) {
                f.write_str(label.name)?;
            } else {
                f.write_str(&quote(label.name))?;
            }
            write!(f, "={}", quote(label.value))?;
        }
        f.write_str("}")
    }
}

/// A label set under construction.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Ok(i) => value.clone_into(&mut self.pairs[i].1),
            Err(_) if value.is_empty() => {}
            Err(i) => self.pairs.insert(i, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value of a label, the empty string where it is missing.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) => &self.pairs[i].1,
            Err(_) => "",
        }
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Keeps the labels for which `keep(name, value)` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// The finished set.
    #[must_use]
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_values_survive_packing() {
        let long = "x".repeat(100_000);
        let labels = Labels::from_pairs([("b", long.as_str()), ("a", "é")]);
        assert_eq!(labels.get("b"), Some(long.as_str()));
        assert_eq!(labels.get("a"), Some("é"));
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn an_empty_value_is_a_missing_label() {
        let labels = Labels::from_pairs([("a", ""), ("b", "1")]);
        assert_eq!(labels.len(), 1);
        assert_eq!(labels.value("a"), "");
    }

    #[test]
    fn display_quotes_what_needs_quotes() {
        let labels = Labels::from_pairs([("a.b", "x\"y\n"), ("c", "d")]);
        assert_eq!(labels.to_string(), r#"{"a.b"="x\"y\n", c="d"}"#);
    }

    proptest! {
        #[test]
        fn packing_round_trips(pairs in proptest::collection::btree_map(".{0,80}", ".{1,200}", 0..8)) {
            let labels = Labels::from_pairs(pairs.iter());
            let back: Vec<_> = labels.iter().map(|l| (l.name.to_owned(), l.value.to_owned())).collect();
            prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn order_is_that_of_pairs(a in proptest::collection::btree_map("[a-c]{1,2}", "[a-c]{1,2}", 0..3),
                                  b in proptest::collection::btree_map("[a-c]{1,2}", "[a-c]{1,2}", 0..3)) {
            let order = a.iter().cmp(b.iter());
            prop_assert_eq!(Labels::from_pairs(&a).cmp(&Labels::from_pairs(&b)), order);
        }

        #[test]
        fn order_of_long_texts_is_that_of_pairs(
            base in proptest::collection::btree_map("[a-c]{1,3}", "é{30,40}[ab]{20,70}", 1..5),
            (name, end) in ("[a-c]{1,3}", "[ab]{0,2}"),
        ) {
            let mut other = base.clone();
            other.entry(name).or_default().push_str(&end);
            let pairs = |set: &std::collections::BTreeMap<String, String>| {
                set.clone().into_iter().filter(|(_, v)| !v.is_empty()).collect::<Vec<_>>()
            };
            let order = pairs(&base).cmp(&pairs(&other));
            prop_assert_eq!(Labels::from_pairs(&base).cmp(&Labels::from_pairs(&other)), order);
            prop_assert_eq!(Labels::from_pairs(&other).cmp(&Labels::from_pairs(&base)), order.reverse());
        }

        #[test]
        fn a_selection_is_a_filtered_set(pairs in proptest::collection::btree_map("[a-f]{1,2}", ".{1,90}", 0..8)) {
            let labels = Labels::from_pairs(&pairs);
            let mut selection = Selection::default();
            selection.fill(&labels, |name| name.contains('a'));
            let kept = Labels::from_pairs(pairs.iter().filter(|(n, _)| n.contains('a')));
            prop_assert_eq!(selection.as_packed(), kept.as_packed());
            prop_assert_eq!(selection.to_labels(), kept);
        }
    }
}
