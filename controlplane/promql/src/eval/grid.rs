//! The evaluation times of a query or sub-query.

/// `start, start+step, ... <= end` in milliseconds. A single evaluation has `start == end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StepGrid {
    /// First evaluation time.
    pub(crate) start: i64,
    /// No evaluation after this time.
    pub(crate) end: i64,
    /// Distance between evaluations, positive.
    pub(crate) step: i64,
}

impl StepGrid {
    /// One evaluation.
    pub(crate) fn instant(t: i64) -> Self {
        Self {
            start: t,
            end: t,
            step: 1,
        }
    }

    /// Evaluations over a range; `step` must be positive.
    pub(crate) fn range(start: i64, end: i64, step: i64) -> Self {
        Self { start, end, step }
    }

    /// Number of evaluations; 0 when the end lies before the start.
    pub(crate) fn steps(&self) -> usize {
        if self.end < self.start {
            return 0;
        }
        usize::try_from(self.end.saturating_sub(self.start) / self.step)
            .map_or(usize::MAX, |n| n.saturating_add(1))
    }

    /// Time of an evaluation.
    #[inline]
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start
            .saturating_add(self.step.saturating_mul(index as i64))
    }

    /// The last evaluation time that is on the grid.
    pub(crate) fn last(&self) -> i64 {
        self.start + self.end.saturating_sub(self.start) / self.step * self.step
    }

    /// Whether the caller asked for one time only, where the order of results counts.
    pub(crate) fn is_instant(&self) -> bool {
        self.start == self.end
    }

    /// The same start with one evaluation only.
    pub(crate) fn first_only(&self) -> Self {
        Self {
            start: self.start,
            end: self.start,
            step: self.step,
        }
    }
}
