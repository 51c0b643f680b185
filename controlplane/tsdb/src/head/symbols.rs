//! Interned label names and values: every text is in memory once, series hold numbers.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Number of a symbol; reused after the symbol is dropped.
pub(crate) type Symbol = u32;

/// The table of texts.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    texts: Vec<Option<Box<str>>>,
    free: Vec<Symbol>,
    table: HashTable<Symbol>,
    hasher: RandomState,
    bytes: usize,
}

impl Symbols {
    /// The text of a symbol in use.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        self.texts
            .get(symbol as usize)
            .and_then(Option::as_deref)
            .unwrap_or("")
    }

    /// The symbol of a text, where it has one.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |s| self.text(*s) == text).copied()
    }

    /// The symbol of a text, made where it has none.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        if let Some(symbol) = self.find(text) {
            return symbol;
        }
        let symbol = match self.free.pop() {
            Some(s) => {
                self.texts[s as usize] = Some(text.into());
                s
            }
            None => {
                self.texts.push(Some(text.into()));
                (self.texts.len() - 1) as Symbol
            }
        };
        self.bytes += text.len();
        let Self {
            texts,
            table,
            hasher,
            ..
        } = self;
        table.insert_unique(hasher.hash_one(text), symbol, |s| {
            hasher.hash_one(texts[*s as usize].as_deref().unwrap_or(""))
        });
        symbol
    }

    /// Drops a symbol.
    pub(crate) fn remove(&mut self, symbol: Symbol) {
        let hash = self.hasher.hash_one(self.text(symbol));
        if let Ok(entry) = self.table.find_entry(hash, |s| *s == symbol) {
            entry.remove();
            self.bytes -= self.texts[symbol as usize].take().map_or(0, |t| t.len());
            self.free.push(symbol);
        }
    }

    /// Symbols in use.
    pub(crate) fn len(&self) -> usize {
        self.texts.len() - self.free.len()
    }

    /// Bytes of the texts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_numbers_are_used_again() {
        let mut s = Symbols::default();
        let a = s.intern("a");
        let b = s.intern("b");
        assert_eq!(s.intern("a"), a);
        s.remove(a);
        s.remove(a);
        assert_eq!(s.find("a"), None);
        assert_eq!(s.intern("c"), a);
        assert_eq!((s.text(a), s.text(b), s.len(), s.bytes()), ("c", "b", 2, 2));
    }
}
