//! What a remote system is asked.

use bellwether_model::{Labels, MatchOp, Matcher};

use crate::wire::Writer;

/// Numbers of the response types.
const SAMPLES: u64 = 0;
const CHUNKS: u64 = 1;

/// A request with one query, as a snappy block: `ReadRequest` with queries 1 and accepted response types 2.
///
/// # Errors
/// When it is larger than snappy's 4 GiB.
pub(super) fn encode(
    (mint, maxt): (i64, i64),
    matchers: &[Matcher],
) -> Result<Vec<u8>, snap::Error> {
    let mut request = Writer::default();
    request.message(1, |w| {
        w.int(1, mint);
        w.int(2, maxt);
        for matcher in matchers {
            w.message(3, |w| {
                w.uint(1, number(matcher.op));
                w.bytes(2, matcher.name.as_bytes());
                w.bytes(3, matcher.value.as_bytes());
            });
        }
    });
    request.message(2, |w| {
        w.varint(CHUNKS);
        w.varint(SAMPLES);
    });
    snap::raw::Encoder::new().compress_vec(&request.0)
}

fn number(op: MatchOp) -> u64 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

/// The matchers with one for each external label that none of them is about, and the names of those labels.
pub(super) fn with_external(
    matchers: &[Matcher],
    external: &Labels,
) -> (Vec<Matcher>, Vec<String>) {
    let mut all = matchers.to_vec();
    let mut added = Vec::new();
    for label in external {
        if !matchers.iter().any(|m| m.name == label.name) {
            all.push(Matcher::equal(label.name, label.value));
            added.push(label.name.to_owned());
        }
    }
    (all, added)
}
