//! A piece of an answer in the making: bytes with room behind them, which short texts are written to in place.

use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;

/// Bytes that are written to at least.
const LEAST: usize = 1024;

/// Memory of pieces that were sent, for those that follow: new memory would have to come from the system.
#[derive(Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// Bytes that return when they are no longer needed.
struct Lent {
    bytes: Vec<u8>,
    len: usize,
    spare: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.spare.0.lock().push(bytes);
    }
}

/// Text so far.
pub(super) struct Piece {
    /// The text and zeros, or what else was written there.
    bytes: Vec<u8>,
    len: usize,
    /// For what is only written to strings.
    scratch: String,
}

impl Piece {
    /// Room for so many bytes, in spare memory if there is any.
    pub(super) fn new(bytes: usize, spare: &Spare) -> Self {
        let known = spare.0.lock().pop();
        Self {
            bytes: known.unwrap_or_else(|| vec![0; bytes]),
            len: 0,
            scratch: String::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push_str(&mut self, text: &str) {
        let end = self.len + text.len();
        if end > self.bytes.len() {
            self.grow(text.len());
        }
        self.bytes[self.len..end].copy_from_slice(text.as_bytes());
        self.len = end;
    }

    /// Appends what `write` appends to a string.
    pub(super) fn with(&mut self, write: impl FnOnce(&mut String)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        write(&mut scratch);
        self.push_str(&scratch);
        scratch.clear();
        self.scratch = scratch;
    }

    /// Lets `write` write to the place behind the text and takes as many bytes as it says; `None` takes none.
    #[inline(always)]
    pub(super) fn in_place<const N: usize>(
        &mut self,
        write: impl FnOnce(&mut [u8; N]) -> Option<usize>,
    ) -> bool {
        if self.bytes.len() - self.len < N {
            self.grow(N);
        }
        let len = self.bytes[self.len..].first_chunk_mut().and_then(write);
        self.len += len.unwrap_or(0).min(N);
        len.is_some()
    }

    /// Takes the last byte back.
    pub(super) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.len + more).max(2 * self.bytes.len()).max(LEAST);
        self.bytes.resize(wanted, 0);
    }

    /// The text. Its memory becomes spare when it is no longer needed.
    pub(super) fn lend(self, spare: &Spare) -> Bytes {
        Bytes::from_owner(Lent {
            bytes: self.bytes,
            len: self.len,
            spare: spare.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_as_it_must() {
        let spare = Spare::default();
        let mut piece = Piece::new(2, &spare);
        let mut wanted = Vec::new();
        for i in 0..3000 {
            match i % 3 {
                0 => piece.push_str("three"),
                1 => piece.with(|out| out.push_str("three")),
                _ => {
                    assert!(!piece.in_place::<7>(|_| None));
                    assert!(piece.in_place(|room: &mut [u8; 8]| {
                        room.copy_from_slice(b"three!!!");
                        Some(6)
                    }));
                    piece.pop();
                }
            }
            wanted.extend_from_slice(b"three");
            assert_eq!(piece.len(), wanted.len());
        }
        let bytes = piece.lend(&spare);
        assert_eq!(bytes, wanted);
        let place = bytes.as_ptr();
        drop(bytes);
        let mut again = Piece::new(2, &spare);
        again.push_str("again");
        let again = again.lend(&spare);
        assert_eq!((again.as_ptr(), &*again), (place, &b"again"[..]));
    }
}
