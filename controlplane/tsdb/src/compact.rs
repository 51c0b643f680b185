//! Which blocks to merge and which to delete: Prometheus' levelled plan and its two retentions.

use std::collections::HashSet;

use crate::block::meta::BlockMeta;
use crate::head::series::range_start;

/// Every level is this many times the one below.
const LEVEL_FACTOR: i64 = 3;
/// A block with more deleted ranges per series than this is rewritten (large blocks only).
const TOMBSTONE_RATIO: f64 = 0.05;

/// Block ranges from the head's up to the largest allowed, in milliseconds.
pub(crate) fn ranges(min: i64, max: i64) -> Vec<i64> {
    let next = |range: &i64| range.checked_mul(LEVEL_FACTOR).filter(|next| *next <= max);
    std::iter::successors(Some(min), next).collect()
}

/// Indexes of the blocks to merge next, none when all is well. `metas` are by rising first time.
pub(crate) fn plan(metas: &[BlockMeta], ranges: &[i64]) -> Vec<usize> {
    let overlapping = overlapping(metas);
    if !overlapping.is_empty() {
        return overlapping;
    }
    // The newest block may still be followed by a part of its range, and tools may be looking at it.
    let Some((_, metas)) = metas.split_last() else {
        return Vec::new();
    };
    let found = by_range(metas, ranges);
    if !found.is_empty() {
        return found;
    }
    let large = ranges.get(ranges.len() / 2).copied().unwrap_or(i64::MAX);
    for (i, m) in metas.iter().enumerate().rev() {
        if m.max_time.saturating_sub(m.min_time) < large {
            break;
        }
        let ratio = m.stats.num_tombstones as f64 / (m.stats.num_series + 1) as f64;
        if ratio > TOMBSTONE_RATIO && !m.compaction.failed {
            return vec![i];
        }
    }
    Vec::new()
}

/// The first run of blocks that overlap.
fn overlapping(metas: &[BlockMeta]) -> Vec<usize> {
    let mut group: Vec<usize> = Vec::new();
    let mut end = i64::MIN;
    for (i, m) in metas.iter().enumerate() {
        if i > 0 && m.min_time < end {
            if group.is_empty() {
                group.push(i - 1);
            }
            group.push(i);
        } else if !group.is_empty() {
            break;
        }
        end = end.max(m.max_time);
    }
    if group.iter().any(|i| metas[*i].compaction.failed) {
        // Queries merge them anyway.
        return Vec::new();
    }
    group
}

/// Blocks that together fill an aligned range, or that lie before the newest and can only get fewer.
fn by_range(metas: &[BlockMeta], ranges: &[i64]) -> Vec<usize> {
    let Some(newest) = metas.last() else {
        return Vec::new();
    };
    for &range in ranges.iter().skip(1) {
        let mut parts: Vec<(i64, Vec<usize>)> = Vec::new();
        for (i, m) in metas.iter().enumerate() {
            let start = range_start(m.min_time, range);
            // A block that sticks out belongs to a larger range already.
            if m.max_time > start.saturating_add(range) {
                continue;
            }
            match parts.last_mut() {
                Some((s, part)) if *s == start => part.push(i),
                _ => parts.push((start, vec![i])),
            }
        }
        for (_, part) in parts {
            let (Some(first), Some(last)) = (part.first(), part.last()) else {
                continue;
            };
            if part.len() < 2 || part.iter().any(|i| metas[*i].compaction.failed) {
                continue;
            }
            let (mint, maxt) = (metas[*first].min_time, metas[*last].max_time);
            if maxt.saturating_sub(mint) == range || maxt <= newest.min_time {
                return part;
            }
        }
    }
    Vec::new()
}

/// What retention deletes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Doomed {
    /// Identifiers of blocks that are too old.
    pub(crate) by_time: HashSet<String>,
    /// Identifiers of blocks beyond the size limit.
    pub(crate) by_size: HashSet<String>,
}

/// Blocks beyond the retention limits; zero switches a limit off. `blocks` are descriptions with sizes,
/// `other_bytes` is what log and head take.
pub(crate) fn doomed(
    blocks: &[(BlockMeta, u64)],
    retention_ms: i64,
    retention_bytes: u64,
    other_bytes: u64,
) -> Doomed {
    let mut by_end: Vec<&(BlockMeta, u64)> = blocks.iter().collect();
    by_end.sort_by_key(|b| std::cmp::Reverse(b.0.max_time));
    let mut out = Doomed::default();
    let Some(newest) = by_end.first() else {
        return out;
    };
    let mut total = other_bytes;
    for (i, (meta, size)) in by_end.iter().enumerate() {
        total = total.saturating_add(*size);
        // Counted from the newest block, not from the clock: a server that was off keeps its data.
        if i > 0
            && retention_ms > 0
            && newest.0.max_time.saturating_sub(meta.max_time) >= retention_ms
        {
            out.by_time.insert(meta.ulid.clone());
        }
        if retention_bytes > 0 && total > retention_bytes {
            out.by_size.insert(meta.ulid.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::block::meta::{BlockCompaction, BlockStats};

    fn meta(mint: i64, maxt: i64) -> BlockMeta {
        BlockMeta {
            ulid: format!("{mint}-{maxt}"),
            min_time: mint,
            max_time: maxt,
            stats: BlockStats {
                num_series: 9,
                ..BlockStats::default()
            },
            compaction: BlockCompaction::default(),
            version: 1,
            extra: serde_json::Map::new(),
        }
    }

    fn check(blocks: &[(i64, i64)], wanted: &[usize]) {
        let metas: Vec<_> = blocks.iter().map(|b| meta(b.0, b.1)).collect();
        assert_eq!(plan(&metas, &[20, 60, 180]), wanted, "{blocks:?}");
    }

    #[test]
    fn plans_follow_the_levels() {
        check(&[], &[]);
        check(&[(0, 20)], &[]);
        // The newest block is left alone, so three more are needed to fill 0..60.
        check(&[(0, 20), (20, 40), (40, 60)], &[]);
        check(&[(0, 20), (20, 40), (40, 60), (60, 80)], &[0, 1, 2]);
        // A gap: the range cannot be filled any more once a later block exists.
        check(&[(0, 20), (40, 60), (60, 80)], &[0, 1]);
        check(&[(0, 20), (20, 40), (60, 80)], &[]);
        check(&[(0, 20), (20, 40), (60, 80), (80, 100)], &[0, 1]);
        check(&[(0, 60), (60, 120), (120, 180), (180, 200)], &[0, 1, 2]);
        check(&[(0, 20), (10, 30), (30, 50)], &[0, 1]);
        check(&[(0, 60), (20, 40), (40, 80), (90, 100)], &[0, 1, 2]);
    }

    #[test]
    fn ranges_end_with_time() {
        assert_eq!(ranges(20, 200), [20, 60, 180]);
        assert_eq!(ranges(i64::MAX, i64::MAX), [i64::MAX]);
        let all = ranges(1, i64::MAX);
        assert_eq!(all.last(), Some(&3i64.pow(39)));
        let metas = [(i64::MIN, 0), (0, 10), (10, i64::MAX)].map(|b| meta(b.0, b.1));
        assert!(plan(&metas, &all).is_empty());
    }

    #[test]
    fn a_large_block_with_many_tombstones_is_rewritten() {
        let mut metas = vec![meta(0, 60), meta(60, 80)];
        metas[0].stats.num_tombstones = 1;
        assert_eq!(plan(&metas, &[20, 60, 180]), [0]);
        metas[0].stats.num_series = 100;
        assert!(plan(&metas, &[20, 60, 180]).is_empty());
    }

    #[test]
    fn retention_counts_from_the_newest_block() {
        let blocks: Vec<_> = [(0, 20), (20, 40), (40, 60)]
            .map(|b| (meta(b.0, b.1), 100))
            .into();
        let time = doomed(&blocks, 20, 0, 0);
        assert_eq!(time.by_time, ["0-20", "20-40"].map(String::from).into());
        let size = doomed(&blocks, 0, 250, 50);
        assert_eq!(size.by_size, ["0-20"].map(String::from).into());
        assert_eq!(doomed(&blocks, 0, 0, 1 << 60), Doomed::default());
    }
}
