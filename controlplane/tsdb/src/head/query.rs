//! Reads of the head.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether_model::storage::{
    Querier, SampleBuffer, Scan, Series, SeriesStream, SeriesVisitor, StorageError, read_each,
};
use bellwether_model::{Labels, Matcher};

use super::Head;
use super::isolation::Reader;
use super::series::MemSeries;
use crate::block::chunks::EncodedChunk;
use crate::chunk::together::{self, Piece};
use crate::error::TsdbError;
use crate::tombstones::{self, Interval};

/// A read of the head between two times.
pub(crate) struct HeadQuerier {
    pub(crate) head: Arc<Head>,
    pub(crate) mint: i64,
    /// Samples that came in order before this are read from blocks.
    pub(crate) in_order_from: i64,
    pub(crate) maxt: i64,
    /// Shared with every series found: the view lives as long as any of them.
    pub(crate) reader: Arc<Reader>,
}

impl Head {
    /// The series that match.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Result<Vec<MemSeries>, TsdbError> {
        let ids = self.matching_ids(matchers)?;
        let slab = self.slab.read();
        Ok(ids.iter().filter_map(|id| slab.get(id)).collect())
    }
}

impl HeadQuerier {
    /// Whether the head has any samples in the range; if not, its labels do not count.
    fn overlaps(&self) -> bool {
        let in_order = self.mint.max(self.in_order_from);
        (in_order <= self.head.max_time() && self.maxt >= self.head.min_time())
            || self.head.has_out_of_order(self.mint, self.maxt)
    }

    /// The matching series with samples in range.
    pub(crate) fn found(&self, matchers: &[Matcher]) -> Result<Vec<MemSeries>, StorageError> {
        let mut series = self.head.matching(matchers)?;
        series.retain(|s| {
            let state = s.state().read();
            state.may_have_any(self.mint, self.in_order_from, self.maxt)
        });
        Ok(series)
    }
}

impl Querier for HeadQuerier {
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        self.stream(sorted, matchers)?.collect()
    }

    fn stream<'a>(
        &'a self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<SeriesStream<'a>, StorageError> {
        let range = Arc::new(Range {
            mint: self.mint,
            in_order_from: self.in_order_from,
            maxt: self.maxt,
            reader: Arc::clone(&self.reader),
        });
        let found = self.found(matchers)?;
        let mut packed = String::new();
        let one = move |series: MemSeries| HeadSeries {
            labels: self.head.labels_in(&series, &mut packed),
            deleted: self.head.tombstones.read().of(u64::from(series.id)).into(),
            range: Arc::clone(&range),
            series,
        };
        if !sorted {
            let all = found.into_iter().map(one);
            return Ok(Box::new(
                all.map(|s| -> Result<Arc<dyn Series>, _> { Ok(Arc::new(s)) }),
            ));
        }
        let mut all: Vec<HeadSeries> = found.into_iter().map(one).collect();
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Box::new(all.into_iter().map(
            |s| -> Result<Arc<dyn Series>, _> { Ok(Arc::new(s)) },
        )))
    }

    fn scan(&self, scan: &Scan<'_>, visit: &mut SeriesVisitor<'_>) -> Result<(), StorageError> {
        self.scan_series(scan, visit)
    }

    fn has_scan(&self) -> bool {
        true
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        if !self.overlaps() {
            return Ok(Vec::new());
        }
        if matchers.is_empty() {
            let symbols = self.head.symbols.read();
            let postings = self.head.postings.read();
            let mut names: Vec<String> = postings
                .names()
                .map(|n| symbols.text(n).to_owned())
                .collect();
            names.sort_unstable();
            return Ok(names);
        }
        let found = self.found(matchers)?;
        let used: BTreeSet<u32> = found
            .iter()
            .flat_map(|s| s.symbols().into_iter().step_by(2))
            .collect();
        let symbols = self.head.symbols.read();
        let mut names: Vec<String> = used.iter().map(|n| symbols.text(*n).to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        if !self.overlaps() {
            return Ok(Vec::new());
        }
        let used: BTreeSet<u32> = if matchers.is_empty() {
            let symbols = self.head.symbols.read();
            let postings = self.head.postings.read();
            match symbols.find(name) {
                Some(n) => postings.values_of(n).map(|v| v.0).collect(),
                None => BTreeSet::new(),
            }
        } else {
            let found = self.found(matchers)?;
            let Some(n) = self.head.symbols.read().find(name) else {
                return Ok(Vec::new());
            };
            found
                .iter()
                .filter_map(|s| {
                    let symbols = s.symbols();
                    let mut pairs = symbols.chunks_exact(2);
                    pairs.find(|p| p[0] == n).map(|p| p[1])
                })
                .collect()
        };
        let symbols = self.head.symbols.read();
        let mut values: Vec<String> = used.iter().map(|v| symbols.text(*v).to_owned()).collect();
        values.sort_unstable();
        Ok(values)
    }
}

/// What the series of a query have together.
struct Range {
    mint: i64,
    in_order_from: i64,
    maxt: i64,
    reader: Arc<Reader>,
}

/// A series of the head within a query. There may be very many.
struct HeadSeries {
    labels: Labels,
    series: MemSeries,
    deleted: Box<[Interval]>,
    range: Arc<Range>,
}

impl Series for HeadSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let from = out.len();
        let range = &*self.range;
        let (mint, maxt) = (mint.max(range.mint), maxt.min(range.maxt));
        self.series
            .state()
            .read()
            .read((mint, range.in_order_from, maxt), range.reader.seen, out)
            .map_err(|e| StorageError::Corrupt {
                place: format!("head chunk of {}", self.labels),
                reason: e.to_string(),
            })?;
        tombstones::mask(out, from, &self.deleted);
        Ok(())
    }

    fn read_group(
        &self,
        group: &[Arc<dyn Series>],
        mint: i64,
        maxt: i64,
        out: &mut [SampleBuffer],
    ) -> Result<(), StorageError> {
        let range = &*self.range;
        let from = mint.max(range.mint).max(range.in_order_from);
        let to = maxt.min(range.maxt);
        if let Some(chunks) = whole_chunks(group, from, to) {
            let pieces: Vec<Vec<Piece<'_>>> = chunks
                .iter()
                .map(|chunks| chunks.iter().map(EncodedChunk::piece).collect())
                .collect();
            if together::read_series(&pieces, from, to, out) {
                return Ok(());
            }
        }
        read_each(group, mint, maxt, out)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The chunks of series that reach into a range, by series. `None` when not all of them are series of the head of
/// which all samples there count.
fn whole_chunks(group: &[Arc<dyn Series>], mint: i64, maxt: i64) -> Option<Vec<Vec<EncodedChunk>>> {
    let chunks = |series: &Arc<dyn Series>| {
        let series: &HeadSeries = series.as_any()?.downcast_ref()?;
        if !series.deleted.is_empty() {
            return None;
        }
        let state = series.series.state().read();
        state.whole_chunks(mint, maxt, series.range.reader.seen)
    };
    group.iter().map(chunks).collect()
}
