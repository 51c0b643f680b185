//! A piece of an answer in the making: bytes with room behind them, which short texts are written to in place.

/// Bytes that are written to at least.
const LEAST: usize = 1024;

/// Text so far.
pub(super) struct Piece {
    /// The text and zeros, or what else was written there.
    bytes: Vec<u8>,
    len: usize,
    /// For what is only written to strings.
    scratch: String,
}

impl Piece {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes],
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

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_as_it_must() {
        let mut piece = Piece::new(2);
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
        assert_eq!(piece.into_bytes(), wanted);
    }
}
