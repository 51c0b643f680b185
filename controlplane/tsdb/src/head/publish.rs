//! Making a logged transaction visible.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use parking_lot::RwLockWriteGuard;

use super::Head;
use super::appender::{HeadAppender, Pending, PendingFloat};
use super::open::OpenHistogram;
use super::series::{Appended, MemSeries, SeriesState, Txn};
use super::slab::Page;
use crate::block::write::Sample;
use crate::chunk::histogram::Flat;

/// Float samples that are published in one go.
const BATCH: usize = 16;

impl HeadAppender<'_> {
    /// Series and their chunks are scattered over the memory. A batch of them is brought near at once, so that the
    /// processor waits for all of them together instead of for one after the other.
    fn publish_floats(&self, floor: i64, txn: Txn, done: &mut Published) {
        let pages = &self.b.pages;
        let mut held = Vec::with_capacity(BATCH);
        for batch in self.b.floats.chunks(BATCH) {
            let states = batch.iter().map(|p| p.page(pages).state(p.id));
            black_box(states.filter(|s| s.is_locked()).count());
            for p in batch {
                let page = &**p.page(pages);
                if p.t < floor {
                    self.head.counters.out_of_bounds.inc();
                    continue;
                }
                let state = page.state(p.id).try_write().unwrap_or_else(|| {
                    // A reader has it, or this batch has an older sample of the series.
                    publish_held(&mut held, txn, done);
                    page.state(p.id).write()
                });
                held.push((p, page, state));
            }
            black_box(held.iter().map(|h| u32::from(h.2.last_byte())).sum::<u32>());
            publish_held(&mut held, txn, done);
        }
    }

    pub(super) fn publish(&mut self, txn: Txn) {
        let head = self.head;
        let mut done = Published::default();
        // Checked again: a block may have been cut since the samples were taken.
        let floor = head.min_valid.load(Ordering::Acquire);
        self.publish_floats(floor, txn, &mut done);
        head.counters.floats.add(done.stored);
        let floats = done.stored;
        publish_histograms(head, &mut self.b.histograms, floor, txn, &mut done);
        publish_histograms(head, &mut self.b.float_histograms, floor, txn, &mut done);
        head.counters.histograms.add(done.stored - floats);
        head.counters.chunks_created.add(done.chunks);
        head.num_chunks
            .fetch_add(done.chunks as i64, Ordering::Relaxed);
        head.widen_times(done.mint, done.maxt);
        if !self.b.exemplars.is_empty() {
            let mut ring = head.exemplars.lock();
            for p in self.b.exemplars.drain(..) {
                if ring.add(p.series.id, p.t, p.value) {
                    head.counters.exemplars_appended.inc();
                }
            }
        }
        if !self.b.metadata.is_empty() {
            let mut all = head.metadata.write();
            for (s, m) in self.b.metadata.drain(..) {
                all.insert(s.id, m);
            }
        }
    }

    pub(super) fn publish_late(&mut self, txn: Txn) {
        let late = &mut self.b.late;
        let head = self.head;
        let insert = |series: &MemSeries, t: i64, sample: Sample| {
            match series.insert_out_of_order(t, sample, txn) {
                Ok(true) => {
                    head.out_of_order.lock().note(series.id, t, t);
                    head.counters.out_of_order_appended.inc();
                    return true;
                }
                Ok(false) => {}
                Err(e) => {
                    tracing::error!(error = %e, "out-of-order chunk does not encode, samples dropped");
                }
            }
            false
        };
        for p in late.floats.drain(..) {
            let stored = insert(&p.series, p.t, Sample::Float(p.value));
            head.counters.floats.add(u64::from(stored));
        }
        for p in late.histograms.drain(..) {
            let sample = Sample::Histogram(Box::new(Flat::from(p.value)));
            let stored = insert(&p.series, p.t, sample);
            head.counters.histograms.add(u64::from(stored));
        }
        for p in late.float_histograms.drain(..) {
            let sample = Sample::FloatHistogram(Box::new(Flat::from(p.value)));
            let stored = insert(&p.series, p.t, sample);
            head.counters.histograms.add(u64::from(stored));
        }
    }
}

/// A float sample with its page and its locked series.
type Held<'p> = (
    &'p PendingFloat,
    &'p Page,
    RwLockWriteGuard<'p, SeriesState>,
);

fn publish_held(held: &mut Vec<Held<'_>>, txn: Txn, done: &mut Published) {
    for (p, page, mut state) in held.drain(..) {
        let result = state.append_float(p.t, p.value, txn);
        page.marks().raise_newest(p.id, p.t);
        done.note(result, p.t);
    }
}

fn publish_histograms<H, T: OpenHistogram>(
    head: &Head,
    all: &mut Vec<Pending<H>>,
    floor: i64,
    txn: Txn,
    done: &mut Published,
) where
    Flat<T>: From<H>,
{
    for p in all.drain(..) {
        if p.t < floor {
            head.counters.out_of_bounds.inc();
            continue;
        }
        match p.series.append_histogram(p.t, Flat::from(p.value), txn) {
            Ok(result) => done.note(result, p.t),
            Err(e) => {
                tracing::error!(error = %e, "histogram chunk does not decode, sample dropped");
            }
        }
    }
}

/// Sums of one publication.
struct Published {
    stored: u64,
    chunks: u64,
    mint: i64,
    maxt: i64,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            stored: 0,
            chunks: 0,
            mint: i64::MAX,
            maxt: i64::MIN,
        }
    }
}

impl Published {
    #[inline]
    fn note(&mut self, result: Appended, t: i64) {
        if let Appended::Stored { new_chunk } = result {
            self.stored += 1;
            self.chunks += u64::from(new_chunk);
            self.mint = self.mint.min(t);
            self.maxt = self.maxt.max(t);
        }
    }
}
