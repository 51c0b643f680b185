//! What a Prometheus database's chunks do to the native histograms in them.
//!
//! A chunk holds the histograms of a series as long as their schema, zero threshold and bounds stay and no bucket
//! falls; gauges only need the first. All of them have the buckets of all: those that one of them does not have by
//! itself are empty in it. Some functions see that.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::storage::SampleBuffer;
use bellwether_model::{FloatHistogram, Span, is_stale_nan};

/// Adds a histogram as it would be read. `chunk` is where the open chunk begins.
pub(super) fn push(samples: &mut SampleBuffer, chunk: &mut usize, t: i64, mut h: FloatHistogram) {
    let joins = joins(samples, &h);
    if h.reset_hint != CounterResetHint::Gauge {
        // Unknown for the first of a chunk even if a reset began it: the chunk before may be gone when it is read.
        h.reset_hint = if joins {
            CounterResetHint::NotReset
        } else {
            CounterResetHint::Unknown
        };
    }
    if !joins {
        *chunk = samples.len();
    } else if !is_stale_nan(h.sum) {
        share_buckets(&mut samples.histograms[*chunk..], &mut h);
    }
    samples.push_histogram(t, Arc::new(h));
}

/// Whether a histogram goes to the chunk of the newest sample.
fn joins(before: &SampleBuffer, h: &FloatHistogram) -> bool {
    let newest = before.len().checked_sub(1);
    let Some(previous) = newest.and_then(|i| before.histogram(i)) else {
        return false;
    };
    let gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    if gauge(h) != gauge(previous) || h.reset_hint == CounterResetHint::Reset {
        return false;
    }
    if is_stale_nan(h.sum) {
        return true;
    }
    if is_stale_nan(previous.sum)
        || h.schema != previous.schema
        || h.zero_threshold != previous.zero_threshold
        || h.custom_values != previous.custom_values
    {
        return false;
    }
    let falls = h.count < previous.count
        || h.zero_count < previous.zero_count
        || fall(
            (&previous.positive_spans, &previous.positive_buckets),
            (&h.positive_spans, &h.positive_buckets),
        )
        || fall(
            (&previous.negative_spans, &previous.negative_buckets),
            (&h.negative_spans, &h.negative_buckets),
        );
    gauge(h) || !falls
}

type Side<'a> = (&'a [Span], &'a [f64]);

/// Whether any bucket is smaller than before. Chunks look at all of them, also at those inside the zero bucket.
fn fall(before: Side<'_>, after: Side<'_>) -> bool {
    let mut after = indexes(after.0).zip(after.1).peekable();
    indexes(before.0).zip(before.1).any(|(index, old)| {
        while after.next_if(|(i, _)| *i < index).is_some() {}
        let new = after
            .next_if(|(i, _)| *i == index)
            .map_or(0.0, |(_, new)| *new);
        new < *old
    })
}

/// Gives the histograms of a chunk and the next one of it each other's buckets.
fn share_buckets(chunk: &mut [Option<Arc<FloatHistogram>>], h: &mut FloatHistogram) {
    let Some(Some(last)) = chunk.last() else {
        return;
    };
    let positive = union(&last.positive_spans, &h.positive_spans);
    let negative = union(&last.negative_spans, &h.negative_spans);
    for old in chunk.iter_mut().flatten() {
        let widens = positive.len() > old.positive_buckets.len()
            || negative.len() > old.negative_buckets.len();
        if widens && !is_stale_nan(old.sum) {
            widen(Arc::make_mut(old), &positive, &negative);
        }
    }
    widen(h, &positive, &negative);
}

/// The index of every bucket.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0;
    spans.iter().flat_map(move |span| {
        let start = next + span.offset;
        next = start + span.length as i32;
        start..next
    })
}

fn union(a: &[Span], b: &[Span]) -> BTreeSet<i32> {
    indexes(a).chain(indexes(b)).collect()
}

fn widen(h: &mut FloatHistogram, positive: &BTreeSet<i32>, negative: &BTreeSet<i32>) {
    for (spans, buckets, all) in [
        (&mut h.positive_spans, &mut h.positive_buckets, positive),
        (&mut h.negative_spans, &mut h.negative_buckets, negative),
    ] {
        if buckets.len() == all.len() {
            continue;
        }
        let mut own = indexes(spans).zip(buckets.iter().copied()).peekable();
        let count = |index: &i32| own.next_if(|(i, _)| i == index).map_or(0.0, |own| own.1);
        let counts = all.iter().map(count).collect();
        drop(own);
        *buckets = counts;
        *spans = pack(all);
    }
}

/// The spans of some buckets.
fn pack(indexes: &BTreeSet<i32>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for &index in indexes {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(offset: i32, buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            positive_spans: vec![Span {
                offset,
                length: buckets.len() as u32,
            }],
            positive_buckets: buckets.to_vec(),
            count: buckets.iter().sum(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn histograms_of_a_chunk_have_each_others_buckets() {
        let mut samples = SampleBuffer::default();
        let mut chunk = 0;
        push(&mut samples, &mut chunk, 0, histogram(2, &[1.0, 2.0]));
        push(
            &mut samples,
            &mut chunk,
            1,
            histogram(-1, &[1.0, 0.0, 0.0, 1.0, 3.0]),
        );
        push(&mut samples, &mut chunk, 2, histogram(8, &[1.0]));
        let buckets = |i: usize| samples.histogram(i).map(|h| h.positive_buckets.clone());
        assert_eq!(buckets(0), Some(vec![0.0, 0.0, 0.0, 1.0, 2.0]));
        assert_eq!(buckets(1), Some(vec![1.0, 0.0, 0.0, 1.0, 3.0]));
        // A reset begins another chunk.
        assert_eq!(buckets(2), Some(vec![1.0]));
        assert_eq!(chunk, 2);
        // The buckets inside the zero bucket count too.
        let inside = FloatHistogram {
            zero_threshold: 1e3,
            ..histogram(0, &[1.0])
        };
        let mut next = histogram(2, &[9.0]);
        next.zero_threshold = 1e3;
        push(&mut samples, &mut chunk, 3, inside);
        push(&mut samples, &mut chunk, 4, next);
        assert_eq!(chunk, 4);
    }

    #[test]
    fn gaps_become_spans() {
        let all = BTreeSet::from([-2, -1, 3]);
        let spans = pack(&all);
        assert_eq!(indexes(&spans).collect::<Vec<_>>(), [-2, -1, 3]);
        assert_eq!(spans.len(), 2);
    }
}
