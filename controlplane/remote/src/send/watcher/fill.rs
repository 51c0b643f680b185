//! From samples to batches to the shards' queues.

use std::time::Instant;

use bellwether_tsdb::LogPosition;

use super::record::{Left, One, Samples, count};
use super::{End, FULL_WAIT, Watcher};
use crate::config::Message;
use crate::send::batch::Other;
use crate::send::body::has_custom_bounds;
use crate::send::metrics::Reason;
use crate::send::progress::Place;
use crate::send::series::Known;
use crate::send::shards::oldest_ms;

impl Watcher {
    /// Puts a record's samples into batches.
    pub(super) fn take(&mut self, samples: Samples, at: LogPosition) -> Result<(), End> {
        let mut left = Left::default();
        let mut newest = 0;
        let oldest = oldest_ms(&self.shared.settings).unwrap_or(i64::MIN);
        let result = match samples {
            Samples::None => Ok(()),
            Samples::Floats => {
                let all = std::mem::take(&mut self.scratch);
                let result = all
                    .iter()
                    .enumerate()
                    .try_for_each(|(n, (reference, t, v))| {
                        let place = Place {
                            record: at,
                            index: n as u32,
                        };
                        let one = One {
                            reference: *reference,
                            t: *t,
                            v: *v,
                            other: None,
                        };
                        newest = newest.max(*t);
                        self.one(one, place, oldest, &mut left)
                    });
                self.scratch = all;
                result
            }
            Samples::Others(all) => all.into_iter().enumerate().try_for_each(|(n, one)| {
                let place = Place {
                    record: at,
                    index: n as u32,
                };
                newest = newest.max(one.t);
                self.one(one, place, oldest, &mut left)
            }),
        };
        if at <= self.began_at && self.unaccounted.total() > 0 {
            self.shared.metrics.pre_tailing.inc();
        }
        self.account(&left, newest);
        result?;
        self.note_read(Place::end_of(at));
        Ok(())
    }

    /// Puts one sample into its shard's batch.
    #[inline]
    fn one(&mut self, one: One, place: Place, oldest: i64, left: &mut Left) -> Result<(), End> {
        if place <= self.read {
            return Ok(());
        }
        let index = (one.reference % self.shards.len() as u64) as usize;
        let open = &mut self.open[index];
        if place <= open.done {
            return Ok(());
        }
        if one.t < oldest {
            count(&mut left.too_old, one.other.as_ref());
            return Ok(());
        }
        if one.other.as_ref().is_some_and(|other| {
            self.shared.settings.message == Message::V1
                && matches!(other, Other::Histogram(record) if has_custom_bounds(record))
        }) {
            left.custom_bounds.histograms += 1;
            return Ok(());
        }
        let slot = match self.table.get(one.reference) {
            Known::Slot(slot) => slot,
            Known::Dropped => {
                count(&mut left.dropped, one.other.as_ref());
                return Ok(());
            }
            Known::No => {
                count(&mut left.unknown, one.other.as_ref());
                return Ok(());
            }
        };
        if open.seal_at.is_some_and(|seal| place > seal) {
            open.seal_at = None;
            self.hand_over(index, true)?;
        }
        let open = &mut self.open[index];
        if open.batch.is_empty() {
            self.shared.progress.begin_batch(index);
            open.batch.since = Instant::now();
        }
        count(&mut self.unaccounted, one.other.as_ref());
        match one.other {
            None => open.batch.push(slot, one.t, one.v),
            Some(other) => open.batch.push_other(slot, one.t, one.v, other),
        }
        open.batch.end = place;
        let is_full = open.batch.len() >= self.shared.settings.max_samples_per_send;
        if is_full && open.seal_at.is_none() {
            self.hand_over(index, true)?;
        }
        Ok(())
    }

    /// Metrics of a record.
    fn account(&mut self, left: &Left, newest: i64) {
        let metrics = &self.shared.metrics;
        if self.unaccounted.total() > 0 {
            let newest = newest.div_euclid(1000) as f64;
            if newest > metrics.newest.get() {
                metrics.newest.set(newest);
            }
        }
        metrics.pending(std::mem::take(&mut self.unaccounted));
        let reasons = [
            (left.too_old, Reason::TooOld),
            (left.dropped, Reason::DroppedSeries),
            (left.unknown, Reason::UnknownSeries),
            (left.custom_bounds, Reason::CustomBounds),
        ];
        for (counts, reason) in reasons {
            if counts.total() > 0 {
                metrics.dropped(counts, reason);
            }
        }
        let unsent = left.dropped.total() + left.unknown.total();
        self.shared.dropped_rate.add(unsent);
        if left.unknown.total() > 0 && !std::mem::replace(&mut self.unknown_told, true) {
            tracing::warn!(
                remote_name = self.shared.settings.name,
                "the log has samples of series that it does not name; they are not sent (told once)"
            );
        }
    }

    /// Hands over the batches that wait for too long, where there is room.
    pub(super) fn hand_over_due(&mut self) {
        let deadline = self.shared.settings.batch_send_deadline;
        for index in 0..self.open.len() {
            let open = &mut self.open[index];
            if !open.is_whole(self.read) {
                continue;
            }
            if open.batch.is_empty() {
                // Nothing is left of the batch of before the restart.
                if open.seal_at.take().is_some() {
                    self.shared.progress.settle(index);
                }
            } else if open.batch.since.elapsed() >= deadline {
                let _ = self.hand_over(index, false);
            }
        }
    }

    /// Gives a shard its batch. Without room it waits if it may, and else leaves the batch as it is.
    pub(super) fn hand_over(&mut self, index: usize, may_wait: bool) -> Result<(), End> {
        if self.open[index].batch.is_empty() {
            return Ok(());
        }
        if self.open[index].is_whole(self.read) {
            self.open[index].seal_at = None;
        }
        self.shared
            .metrics
            .pending(std::mem::take(&mut self.unaccounted));
        let empty = self.shared.new_batch();
        let mut batch = std::mem::replace(&mut self.open[index].batch, empty);
        let mut wait = FULL_WAIT.0;
        loop {
            let seen = self.shared.room.seen();
            match self.shards[index].push(batch) {
                Ok(()) => return Ok(()),
                Err(back) => batch = back,
            }
            if !may_wait || self.shared.is_stopping() {
                self.open[index].batch = batch;
                return Err(End::Stopped);
            }
            self.shared.metrics.enqueue_retries.inc();
            self.shared.room.wait(seen, wait);
            wait = (wait * 2).min(FULL_WAIT.1);
            self.save_sometimes();
        }
    }
}
