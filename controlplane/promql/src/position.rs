//! Byte offsets to lines and columns.

/// Line and column (both from 1, the column in bytes) of a byte offset, as Prometheus counts them. An offset
/// beyond the text counts as its end.
#[must_use]
pub fn line_col(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    (line, before.len() - line_start + 1)
}
