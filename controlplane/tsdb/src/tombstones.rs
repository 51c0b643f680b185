//! Deleted ranges: per series in memory, and the `tombstones` file of a block.

use std::collections::BTreeMap;
use std::path::Path;

use bellwether_model::storage::SampleBuffer;

use crate::encoding::{Dec, DecodeError, crc32c, put_uvarint, put_varint};
use crate::error::TsdbError;
use crate::files::Files;

/// Name of the file in a block.
pub(crate) const FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;

/// A deleted range, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
}

/// Adds a range to sorted, disjoint ranges and keeps them so.
pub(crate) fn add(ranges: &mut Vec<Interval>, mut new: Interval) {
    ranges.retain(|r| {
        // Neighbours without a millisecond in between are one range too.
        let apart = r.maxt.saturating_add(1) < new.mint || new.maxt.saturating_add(1) < r.mint;
        if !apart {
            new.mint = new.mint.min(r.mint);
            new.maxt = new.maxt.max(r.maxt);
        }
        apart
    });
    let at = ranges.partition_point(|r| r.mint < new.mint);
    ranges.insert(at, new);
}

/// Whether a time is deleted.
pub(crate) fn covers(ranges: &[Interval], t: i64) -> bool {
    ranges.iter().any(|r| r.mint <= t && t <= r.maxt)
}

/// Whether one range covers all of `mint..=maxt`.
pub(crate) fn covers_all(ranges: &[Interval], mint: i64, maxt: i64) -> bool {
    ranges.iter().any(|r| r.mint <= mint && maxt <= r.maxt)
}

/// Removes deleted samples from a buffer, from index `from` on.
pub(crate) fn mask(out: &mut SampleBuffer, from: usize, ranges: &[Interval]) {
    if ranges.is_empty() {
        return;
    }
    let mut kept = from;
    for i in from..out.timestamps.len() {
        if !covers(ranges, out.timestamps[i]) {
            out.timestamps.swap(kept, i);
            out.values.swap(kept, i);
            if !out.histograms.is_empty() {
                out.histograms.swap(kept, i);
            }
            kept += 1;
        }
    }
    out.timestamps.truncate(kept);
    out.values.truncate(kept);
    if !out.histograms.is_empty() {
        out.histograms.truncate(kept);
    }
}

/// Deleted ranges by series reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones {
    by_series: BTreeMap<u64, Vec<Interval>>,
}

impl Tombstones {
    /// Forgets a series.
    pub(crate) fn remove(&mut self, series: u64) {
        self.by_series.remove(&series);
    }

    /// Adds a range.
    pub(crate) fn add(&mut self, series: u64, range: Interval) {
        add(self.by_series.entry(series).or_default(), range);
    }

    /// The ranges of a series.
    pub(crate) fn of(&self, series: u64) -> &[Interval] {
        self.by_series.get(&series).map_or(&[], Vec::as_slice)
    }

    /// All ranges by rising series.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Interval)> {
        self.by_series
            .iter()
            .flat_map(|(s, ranges)| ranges.iter().map(|r| (*s, *r)))
    }

    /// Keeps series and ranges for which `keep` says yes.
    pub(crate) fn retain(&mut self, keep: impl Fn(u64, Interval) -> bool) {
        self.by_series.retain(|s, ranges| {
            ranges.retain(|r| keep(*s, *r));
            !ranges.is_empty()
        });
    }

    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.by_series.values().map(Vec::len).sum()
    }

    /// The file's bytes: magic, version, entries, CRC-32C of the entries.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_be_bytes().to_vec();
        out.push(VERSION);
        for (series, range) in self.iter() {
            put_uvarint(&mut out, series);
            put_varint(&mut out, range.mint);
            put_varint(&mut out, range.maxt);
        }
        let crc = crc32c(&out[5..]);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut dec = Dec::new(bytes);
        if dec.be32()? != MAGIC {
            return Err(DecodeError("tombstones: wrong magic number"));
        }
        if dec.u8()? != VERSION {
            return Err(DecodeError("tombstones: unknown version"));
        }
        let body = dec.bytes(
            dec.remaining()
                .checked_sub(4)
                .ok_or(DecodeError("tombstones: file is cut off"))?,
        )?;
        if dec.be32()? != crc32c(body) {
            return Err(DecodeError("tombstones: checksum mismatch"));
        }
        let mut out = Self::default();
        let mut dec = Dec::new(body);
        while !dec.is_empty() {
            let series = dec.uvarint()?;
            let range = Interval {
                mint: dec.varint()?,
                maxt: dec.varint()?,
            };
            out.add(series, range);
        }
        Ok(out)
    }

    /// Reads a block's file; a missing one deletes nothing.
    pub(crate) fn load(files: &dyn Files, block: &Path) -> Result<Self, TsdbError> {
        let path = block.join(FILE);
        match files.read(&path) {
            Ok(bytes) => Self::decode(&bytes).map_err(|e| TsdbError::corrupt(&path, e.0)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(TsdbError::io("cannot read", &path)(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_cover_exactly_what_was_added(ranges in proptest::collection::vec((0i64..60, 0i64..8), 0..12)) {
            let mut merged = Vec::new();
            let all: Vec<_> = ranges.iter().map(|(a, n)| Interval { mint: *a, maxt: a + n }).collect();
            for r in &all { add(&mut merged, *r); }
            for t in -1..80 {
                prop_assert_eq!(covers(&merged, t), covers(&all, t));
            }
            prop_assert!(merged.windows(2).all(|w| w[0].maxt + 1 < w[1].mint));
        }

        #[test]
        fn files_round_trip(items in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<i64>()), 0..20)) {
            let mut stones = Tombstones::default();
            for (s, a, b) in items { stones.add(s, Interval { mint: a.min(b), maxt: a.max(b) }); }
            let bytes = stones.encode();
            prop_assert_eq!(Tombstones::decode(&bytes).unwrap(), stones);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Tombstones::decode(&bytes);
        }
    }

    #[test]
    fn an_empty_file_has_nine_bytes() {
        assert_eq!(Tombstones::default().encode().len(), 9);
    }

    #[test]
    fn masking_removes_only_deleted_samples() {
        let mut out = SampleBuffer::default();
        for t in 0..6 {
            out.push_float(t, t as f64);
        }
        mask(
            &mut out,
            1,
            &[Interval { mint: 0, maxt: 2 }, Interval { mint: 4, maxt: 4 }],
        );
        assert_eq!(out.timestamps, [0, 3, 5]);
        assert_eq!(out.values, [0.0, 3.0, 5.0]);
    }
}
