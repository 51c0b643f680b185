//! The plain model: every sample that was ever offered, and what must be true of it now.

use std::collections::{BTreeMap, BTreeSet};

/// A value, comparable bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// The bits of a float.
    Float(u64),
    /// The number that a histogram was made of.
    Histogram(u64),
    /// A histogram that the simulation never makes.
    Foreign,
}

/// Samples by series and time.
pub(crate) type Samples = BTreeMap<String, BTreeMap<i64, Value>>;

/// A segment below all: what is in it survives a power cut.
const SETTLED: i64 = -1;
/// A segment above all: what is in it survives a power cut only once it is in a block.
pub(crate) const VOLATILE: i64 = i64::MAX;

/// What must be true of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is there. It was acknowledged when this segment was written.
    There(i64),
    /// It is not there: a deletion was acknowledged when this segment was written.
    Deleted(i64),
    /// There or not; nobody was told.
    Maybe,
    /// Not there, but a restart may find it in the log: its commit failed, and so did the undoing.
    Refused,
    /// It came late into a range that was deleted before: there are marks, for a time, that hide what comes later.
    Marked,
}

#[derive(Clone, Debug)]
struct Entry {
    values: Vec<Value>,
    fate: Fate,
    /// A deletion may hide it from queries while the head still has it.
    hidden: bool,
    /// It may be in the log of out-of-order samples.
    late: bool,
}

impl Entry {
    fn new(values: Vec<Value>, fate: Fate) -> Self {
        Self {
            values,
            fate,
            hidden: false,
            late: false,
        }
    }
}

/// A sample that was offered: series, time, value.
pub(crate) type Offer = (String, i64, Value);

/// How a commit or deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged while this segment was written.
    Done(i64),
    /// An error came back.
    Failed,
    /// The process was killed on the way.
    Killed,
}

/// What survives a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durability {
    /// The log is synced at every commit.
    pub(crate) every_commit: bool,
    /// Segments below this are synced.
    pub(crate) segment: i64,
    /// Samples before this time are in blocks.
    pub(crate) blocks_until: i64,
}

#[derive(Default)]
pub(crate) struct Model {
    series: BTreeMap<String, BTreeMap<i64, Entry>>,
    /// Every value that was ever offered.
    offered: BTreeMap<String, BTreeMap<i64, BTreeSet<Value>>>,
    /// Bounds of the newest time that the head has of a series.
    newest: BTreeMap<String, (i64, i64)>,
    /// The head may forget series whose newest samples it had.
    forgetful: bool,
    /// Text, first and last time of every deletion.
    deletions: Vec<(String, i64, i64)>,
}

impl Model {
    /// Least and greatest time that a series' newest sample can have.
    pub(crate) fn newest(&self, series: &str) -> (i64, i64) {
        let none = (i64::MIN, i64::MIN);
        self.newest.get(series).copied().unwrap_or(none)
    }

    /// Notes that the head may have forgotten any series: it may take what is older.
    pub(crate) fn forget_newest(&mut self) {
        self.forgetful = true;
        for bounds in self.newest.values_mut() {
            bounds.0 = i64::MIN;
        }
    }

    /// The value at a time, where it is certain.
    pub(crate) fn value(&self, series: &str, t: i64) -> Option<Value> {
        let entry = self.series.get(series)?.get(&t)?;
        match (entry.fate, entry.values.as_slice()) {
            (Fate::There(_), [value]) => Some(*value),
            _ => None,
        }
    }

    /// Notes a commit of samples that were all accepted.
    pub(crate) fn commit(&mut self, offers: Vec<Offer>, outcome: Outcome) {
        for (series, t, value) in offers {
            let offered = self.offered.entry(series.clone()).or_default();
            offered.entry(t).or_default().insert(value);
            let entries = self.series.entry(series.clone()).or_default();
            match outcome {
                Outcome::Done(segment) => {
                    let (lo, hi) = self.newest.get(&series).copied().unwrap_or((i64::MIN, t));
                    // At a time that the head may have already it is a repetition or news.
                    let old = entries.get(&t).filter(|_| t <= hi && lo <= t);
                    if old.is_some_and(|e| matches!(e.fate, Fate::There(_))) {
                        if self.forgetful
                            && let Some(e) = entries.get_mut(&t)
                        {
                            // In a block and in the head: either may be found.
                            e.values.push(value);
                        }
                        continue;
                    }
                    let others = old.filter(|_| self.forgetful).map(|e| e.values.clone());
                    let fate = match old {
                        Some(_) => Fate::Maybe,
                        None => Fate::There(segment),
                    };
                    let entry = Entry {
                        values: others.into_iter().flatten().chain([value]).collect(),
                        fate,
                        hidden: old.is_some_and(|e| e.hidden),
                        late: false,
                    };
                    entries.insert(t, entry);
                    self.newest.insert(series, (lo.max(t), hi.max(t)));
                }
                Outcome::Failed | Outcome::Killed => {
                    let fate = match outcome {
                        Outcome::Failed => Fate::Refused,
                        _ => Fate::Maybe,
                    };
                    let new = || Entry::new(Vec::new(), fate);
                    let entry = entries.entry(t).or_insert_with(new);
                    let may_be_found = match entry.fate {
                        // In a block and, after a restart, in the head.
                        Fate::There(_) => self.forgetful,
                        Fate::Deleted(_) => false,
                        _ => true,
                    };
                    if may_be_found {
                        entry.values.push(value);
                    }
                }
            }
        }
        if let Outcome::Done(_) = outcome {
            // A commit can only succeed behind a clean end of the log.
            self.each(|_, _, e| match e.fate {
                Fate::Refused => None,
                fate => Some(fate),
            });
        }
    }

    /// Notes a commit of samples that were all accepted and that may come out of order. Those are in order for certain
    /// that are newer than all of their series and not older than `horizon`. Of several values of one time any may
    /// stay, and may give way to another when blocks are merged.
    pub(crate) fn commit_any_order(&mut self, offers: Vec<Offer>, outcome: Outcome, horizon: i64) {
        let mut before: BTreeMap<String, i64> = BTreeMap::new();
        for (series, t, value) in offers {
            let offered = self.offered.entry(series.clone()).or_default();
            offered.entry(t).or_default().insert(value);
            let (lo, hi) = self.newest(&series);
            let before = before.entry(series.clone()).or_insert(i64::MIN);
            let in_order = t > hi && t > *before && t >= horizon;
            *before = t.max(*before);
            let was_deleted = |(text, mint, maxt): &(String, _, _)| {
                series.contains(text) && (*mint..=*maxt).contains(&t)
            };
            let marked = !in_order && self.deletions.iter().any(was_deleted);
            let entries = self.series.entry(series.clone()).or_default();
            let new = || Entry::new(Vec::new(), Fate::Refused);
            let entry = entries.entry(t).or_insert_with(new);
            entry.late |= !in_order;
            if !entry.values.contains(&value) {
                entry.values.push(value);
            }
            entry.fate = match (entry.fate, outcome) {
                (fate @ Fate::There(_), _) => fate,
                _ if marked => Fate::Marked,
                (_, Outcome::Done(segment)) => Fate::There(segment),
                (Fate::Refused, Outcome::Failed) => Fate::Refused,
                (_, Outcome::Failed | Outcome::Killed) => Fate::Maybe,
            };
            if let Outcome::Done(_) = outcome {
                let newest = if in_order { (t, t) } else { (lo, hi.max(t)) };
                self.newest.insert(series, newest);
            }
        }
    }

    /// Gives every entry a new fate; `None` removes it.
    fn each(&mut self, mut change: impl FnMut(&str, i64, &mut Entry) -> Option<Fate>) {
        for (series, entries) in &mut self.series {
            entries.retain(|t, e| match change(series, *t, e) {
                Some(fate) => {
                    e.fate = fate;
                    true
                }
                None => false,
            });
        }
    }

    /// Notes a deletion of `mint..=maxt` in the series that contain a text.
    pub(crate) fn delete(&mut self, text: &str, mint: i64, maxt: i64, outcome: Outcome) {
        self.deletions.push((text.to_owned(), mint, maxt));
        self.each(|series, t, e| {
            if !series.contains(text) || t < mint || t > maxt {
                return Some(e.fate);
            }
            e.hidden = true;
            Some(match (outcome, e.fate) {
                (_, fate @ (Fate::Deleted(_) | Fate::Refused)) => fate,
                (Outcome::Done(segment), _) => Fate::Deleted(segment),
                (_, Fate::Marked) => Fate::Marked,
                (Outcome::Failed | Outcome::Killed, _) => Fate::Maybe,
            })
        });
    }

    /// Notes that retention may have removed what nothing covers any more. On a good disk it removed it for good; of
    /// samples that came late the head may still have some.
    pub(crate) fn expire(&mut self, covered: impl Fn(i64) -> bool, for_good: bool) {
        self.each(|_, t, e| match e.fate {
            Fate::There(_) | Fate::Deleted(_) if for_good && !e.late && !covered(t) => None,
            Fate::There(_) | Fate::Deleted(_) if !covered(t) => {
                e.hidden = false;
                Some(Fate::Maybe)
            }
            fate => Some(fate),
        });
    }

    /// Notes that a block of late samples may have gone, whatever blocks there are of its time.
    pub(crate) fn expire_late(&mut self) {
        self.each(|_, _, e| {
            Some(match e.fate {
                Fate::There(_) if e.late => Fate::Maybe,
                fate => fate,
            })
        });
    }

    /// Notes that the process was killed.
    pub(crate) fn killed(&mut self) {
        self.each(|_, _, e| {
            Some(match e.fate {
                Fate::Refused => Fate::Maybe,
                fate => fate,
            })
        });
    }

    /// Notes a power cut.
    pub(crate) fn power_cut(&mut self, kept: Durability) {
        self.killed();
        self.each(|_, t, e| {
            let lasts = |segment: i64| {
                segment < kept.segment
                    || t < kept.blocks_until
                    || (kept.every_commit && segment != VOLATILE)
            };
            let late_lasts =
                |segment: i64| segment == SETTLED || (kept.every_commit && segment != VOLATILE);
            Some(match e.fate {
                Fate::There(s) if e.late && !late_lasts(s) => Fate::Maybe,
                // Blocks say nothing of what came late, but the log has the marks.
                Fate::Deleted(s) if e.late && !late_lasts(s) && s >= kept.segment => Fate::Maybe,
                // Marks that an interrupted deletion left in a block were never synced.
                Fate::Deleted(VOLATILE) => Fate::Maybe,
                Fate::There(s) | Fate::Deleted(s) if !lasts(s) => Fate::Maybe,
                fate => fate,
            })
        });
    }

    /// Panics where a read of `mint..=maxt` contradicts the model.
    pub(crate) fn check(&self, got: &Samples, mint: i64, maxt: i64) {
        let none = BTreeMap::new();
        for (series, entries) in &self.series {
            let found = got.get(series).unwrap_or(&none);
            for (t, e) in entries.range(mint..=maxt) {
                match (found.get(t), e.fate) {
                    (None, Fate::There(s)) => {
                        panic!("lost: {series} at {t}, acknowledged in segment {s}")
                    }
                    (Some(_), Fate::Deleted(_)) => panic!("deleted and there: {series} at {t}"),
                    (Some(_), Fate::Refused) => panic!("refused and there: {series} at {t}"),
                    (Some(v), _) if !e.values.contains(v) => {
                        panic!("another value: {series} at {t}: {v:?}, not {:?}", e.values)
                    }
                    _ => {}
                }
            }
        }
        for (series, samples) in got {
            let known = self.series.get(series);
            for t in samples.keys() {
                assert!((mint..=maxt).contains(t), "outside: {series} at {t}");
                assert!(
                    known.is_some_and(|k| k.contains_key(t)),
                    "invented: {series} at {t}"
                );
            }
        }
    }

    /// After a restart and [`Self::check`]: what is there stays, what is not never comes.
    pub(crate) fn resolve(&mut self, got: &Samples, after_power_cut: bool) {
        let segment = match after_power_cut {
            true => SETTLED,
            false => VOLATILE,
        };
        self.each(|series, t, e| match e.fate {
            Fate::Maybe | Fate::Refused => {
                let there = got.get(series).is_some_and(|s| s.contains_key(&t));
                match there {
                    true => Some(Fate::There(segment)),
                    // The head may have it under a mark, and then takes nothing older.
                    false => e.hidden.then_some(Fate::Deleted(segment)),
                }
            }
            Fate::There(_) if after_power_cut => Some(Fate::There(SETTLED)),
            Fate::Deleted(_) if after_power_cut => Some(Fate::Deleted(SETTLED)),
            fate => Some(fate),
        });
        self.newest.clear();
        for (series, entries) in &mut self.series {
            let (mut lo, mut hi) = (i64::MIN, i64::MIN);
            for (t, e) in entries {
                if let (Fate::There(_), false, Some(v)) =
                    (e.fate, e.late, got.get(series).and_then(|s| s.get(t)))
                {
                    if !self.forgetful {
                        e.values = vec![*v];
                    }
                    lo = *t;
                }
                hi = *t;
            }
            self.newest.insert(series.clone(), (lo, hi));
        }
    }

    /// Panics where a read of a damaged directory has what was never offered.
    pub(crate) fn check_nothing_invented(&self, got: &Samples) {
        for (series, samples) in got {
            let offered = self.offered.get(series);
            for (t, v) in samples {
                let known = offered
                    .and_then(|o| o.get(t))
                    .is_some_and(|o| o.contains(v));
                assert!(known, "invented: {series} at {t}: {v:?}");
            }
        }
    }

    /// Panics where an acknowledged sample is missing that damage cannot have touched. `touched` is told the
    /// sample's time and segment, and whether it may have come late.
    pub(crate) fn check_untouched(&self, got: &Samples, touched: impl Fn(i64, i64, bool) -> bool) {
        for (series, entries) in &self.series {
            for (t, e) in entries {
                if let Fate::There(segment) = e.fate
                    && !touched(*t, segment, e.late)
                {
                    let found = got.get(series).and_then(|s| s.get(t));
                    assert!(
                        found.is_some_and(|v| e.values.contains(v)),
                        "lost to damage elsewhere: {series} at {t}, segment {segment}"
                    );
                }
            }
        }
    }
}
