//! Texts of series, compressed: each is stored as what lies between its common beginning and its common end with
//! the text before it. Neighbours on a page differ in a few bytes, so a text takes a dozen bytes instead of sixty.

use super::EntryId;

/// Every so many texts one is stored whole: reading any text takes at most so many steps.
const GROUP: usize = 16;

/// Texts in the order in which they came, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Per text: length of the common beginning and of the common end (a byte each), then the part between with
    /// its length.
    bytes: Vec<u8>,
    /// Where each group begins.
    groups: Vec<u32>,
    len: usize,
    /// The newest text.
    last: Vec<u8>,
}

/// Reads texts one after the other.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Number of the text that was read last, plus one.
    next: usize,
    /// Where the next one begins.
    at: usize,
    text: Vec<u8>,
}

/// A place in the bytes. A page has less than a gigabyte, and entries that are forgotten are cleaned up before they
/// are more than the others.
fn offset(n: usize) -> u32 {
    u32::try_from(n).expect("the texts of a page have fewer than 2^32 bytes")
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.iter().rev().zip(b.iter().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the texts take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a text.
    pub(super) fn push(&mut self, text: &[u8]) {
        if self.len.is_multiple_of(GROUP) {
            self.groups.push(offset(self.bytes.len()));
            self.last.clear();
        }
        let most = usize::from(u8::MAX);
        let prefix = common_prefix(&self.last, text).min(most);
        let suffix = common_suffix(&self.last[prefix..], &text[prefix..]).min(most);
        let between = &text[prefix..text.len() - suffix];
        self.bytes.extend([prefix as u8, suffix as u8]);
        let mut n = between.len();
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
        self.bytes.extend_from_slice(between);
        self.last.clear();
        self.last.extend_from_slice(text);
        self.len += 1;
    }

    /// Gives back what growing by doubling took too much.
    pub(super) fn shrink(&mut self) {
        super::fit(&mut self.bytes);
        super::fit(&mut self.groups);
    }
}

impl Walk {
    /// The text that was read last; empty before the first.
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Reads the next text and returns its number, `None` at the end.
    #[inline]
    pub(super) fn step(&mut self, texts: &Texts) -> Option<usize> {
        let &[prefix, suffix, ref rest @ ..] = texts.bytes.get(self.at..)? else {
            return None;
        };
        let (prefix, suffix) = (usize::from(prefix), usize::from(suffix));
        let (mut len, mut read) = (usize::from(rest[0]), 1);
        if len >= 0x80 {
            (len, read) = long_length(rest);
        }
        let between = &rest[read..read + len];
        self.at += 2 + read + len;
        let end = prefix + len;
        let old = self.text.len();
        if old != end + suffix {
            self.text.resize(old.max(end + suffix), 0);
            self.text.copy_within(old - suffix..old, end);
            self.text.truncate(end + suffix);
        }
        self.text[prefix..end].copy_from_slice(between);
        self.next += 1;
        Some(self.next - 1)
    }

    /// Makes the next step read a text; there is no next step where there is none of that number.
    pub(super) fn seek(&mut self, texts: &Texts, number: usize) {
        if number >= texts.len {
            (self.next, self.at) = (usize::MAX, usize::MAX);
            return;
        }
        let behind = number < self.next;
        if behind || number / GROUP > self.next / GROUP {
            let group = number / GROUP;
            self.next = group * GROUP;
            self.at = texts.groups[group] as usize;
            self.text.clear();
        }
        while self.next < number {
            self.step(texts);
        }
    }

    /// The text with a number, which must exist.
    pub(super) fn read(&mut self, texts: &Texts, id: EntryId) -> &[u8] {
        self.seek(texts, id as usize);
        self.step(texts);
        &self.text
    }
}

/// A length of more than one byte, and how many bytes it takes.
#[cold]
fn long_length(bytes: &[u8]) -> (usize, usize) {
    let mut len = 0;
    for (i, byte) in bytes.iter().enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return (len, i + 1);
        }
    }
    (len, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_read_as_they_came(
            all in proptest::collection::vec("[ab]{1,6}(x{0,300})[ab]{0,6}", 0..80),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut texts = Texts::default();
            for text in &all {
                texts.push(text.as_bytes());
            }
            let mut walk = Walk::default();
            for (i, text) in all.iter().enumerate() {
                prop_assert_eq!(walk.step(&texts), Some(i));
                prop_assert_eq!(walk.text(), text.as_bytes());
            }
            prop_assert_eq!(walk.step(&texts), None);
            if !all.is_empty() {
                for index in order {
                    let i = index.index(all.len());
                    prop_assert_eq!(walk.read(&texts, i as EntryId), all[i].as_bytes());
                }
            }
        }
    }

    #[test]
    fn neighbours_cost_what_they_differ_in() {
        let mut texts = Texts::default();
        for i in 0..160 {
            let text =
                format!(r#"http_requests_total{{code="{i:03}",pod="shop-7f9c6d5b4-x2x7z"}}"#);
            texts.push(text.as_bytes());
        }
        assert!(texts.bytes() < 160 * 10, "{}", texts.bytes());
    }
}
