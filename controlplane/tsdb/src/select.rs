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
    /// How many series have `name="value"`.
    fn count(&self, name: &str, value: &str) -> Result<u64, TsdbError>;
    /// Leaves of some series those with `name="value"`, which are more.
    fn retain(&self, found: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), TsdbError>;
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
    // The rarest first: of a label that all series have, only those are looked at that are still wanted.
    let (mut equal, others): (Vec<_>, Vec<_>) = matchers
        .iter()
        .filter(|m| !m.matches_empty())
        .partition(|m| m.op == MatchOp::Equal);
    if equal.len() > 1 {
        let mut counted = Vec::with_capacity(equal.len());
        for m in equal {
            counted.push((index.count(&m.name, &m.value)?, m));
        }
        counted.sort_by_key(|(count, _)| *count);
        equal = counted.into_iter().map(|(_, m)| m).collect();
    }
    let mut found: Option<RoaringBitmap> = None;
    for m in equal {
        match &mut found {
            Some(f) => index.retain(f, &m.name, &m.value)?,
            None => found = Some(index.value(&m.name, &m.value)?),
        }
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    for m in others {
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
