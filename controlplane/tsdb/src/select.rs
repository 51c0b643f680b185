//! From matchers to series ids: one algorithm for the head's and the blocks' indexes.

use bellwether_model::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use crate::error::TsdbError;

/// An inverted index over dense series ids.
pub(crate) trait Postings {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, TsdbError>;
    /// Series with `name="value"`.
    fn value(&self, name: &str, value: &str) -> Result<RoaringBitmap, TsdbError>;
    /// Series with the label whose value is accepted.
    fn values(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, TsdbError>;
}

/// Series that carry the label with a value that the matcher accepts (`wanted`) or refuses.
fn carrying(index: &dyn Postings, m: &Matcher, wanted: bool) -> Result<RoaringBitmap, TsdbError> {
    let literal = match m.op {
        MatchOp::Equal => Some((std::slice::from_ref(&m.value), true)),
        MatchOp::NotEqual => Some((std::slice::from_ref(&m.value), false)),
        MatchOp::Regex => m.regex().and_then(|r| r.literal_set()).map(|s| (s, true)),
        MatchOp::NotRegex => m.regex().and_then(|r| r.literal_set()).map(|s| (s, false)),
    };
    match literal {
        // Exactly these values: no walk over all values of the label.
        Some((set, accepts)) if accepts == wanted => {
            let mut out = RoaringBitmap::new();
            for value in set.iter().filter(|v| !v.is_empty()) {
                out |= index.value(&m.name, value)?;
            }
            Ok(out)
        }
        _ => index.values(&m.name, &mut |v| m.matches(v) == wanted),
    }
}

/// The series that all matchers accept. A missing label has the empty value: a matcher that accepts it is
/// turned into the removal of the series that carry a refused value.
pub(crate) fn select(
    index: &dyn Postings,
    matchers: &[Matcher],
) -> Result<RoaringBitmap, TsdbError> {
    let mut found: Option<RoaringBitmap> = None;
    for m in matchers.iter().filter(|m| !m.matches_empty()) {
        let carriers = carrying(index, m, true)?;
        match &mut found {
            Some(f) => *f &= carriers,
            None => found = Some(carriers),
        }
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = match found {
        Some(f) => f,
        None => index.all()?,
    };
    for m in matchers.iter().filter(|m| m.matches_empty()) {
        // `{x=~".*"}` accepts everything.
        if m.op == MatchOp::Regex && m.value == ".*" {
            continue;
        }
        found -= carrying(index, m, false)?;
    }
    Ok(found)
}
