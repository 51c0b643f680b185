//! Which questions are answered so fast that handing them to another thread would cost more than the answer.
//!
//! Reading the database may take long, so it happens on threads that may wait. Waking one and being woken by it takes
//! as much processor time as an evaluation over a few series. A question whose last answers took a moment only is
//! therefore answered where it was asked. Dashboards and alerts ask the same questions again and again; one that is
//! asked for the first time goes to a blocking thread.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long an answer may take so that the next one is expected to be quick: about what writing the first piece of
/// an answer takes.
const QUICK: Duration = Duration::from_micros(150);
/// Questions that are remembered. Two that share a place forget each other.
const PLACES: usize = 1024;
/// Bits of a place that hold microseconds; the others tell questions apart.
const TIME_BITS: u32 = 16;

/// How long answers took last.
pub(crate) struct Quick {
    places: Box<[AtomicU64]>,
}

/// What was asked, whatever the absolute time.
#[derive(Clone, Copy)]
pub(crate) struct Question(u64);

impl Question {
    /// A question is what makes it take its time.
    pub(crate) fn of(parts: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }

    fn place(self) -> usize {
        self.0 as usize % PLACES
    }

    /// What is compared.
    fn mark(self) -> u64 {
        self.0 >> TIME_BITS << TIME_BITS
    }
}

impl Default for Quick {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }
}

impl Quick {
    /// Whether the answer is expected to be quick.
    pub(crate) fn expects(&self, question: Question) -> bool {
        let known = self.places[question.place()].load(Ordering::Relaxed);
        let micros = known & ((1 << TIME_BITS) - 1);
        known ^ micros == question.mark() && u128::from(micros) <= QUICK.as_micros()
    }

    /// Answers a question and remembers how long that took. On a busy machine a quick answer may wait for its turn: what
    /// is remembered at most doubles.
    pub(crate) fn timed<T>(&self, question: Question, answer: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answered = answer();
        let limit = (1 << TIME_BITS) - 1;
        let mut micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(limit);
        let place = &self.places[question.place()];
        let known = place.load(Ordering::Relaxed);
        let before = known & limit;
        if known ^ before == question.mark() {
            micros = micros.min(2 * before.max(1));
        }
        place.store(question.mark() | micros.min(limit), Ordering::Relaxed);
        answered
    }

    /// As [`Quick::timed`], on an async thread. `None` when the answer panicked: that must not end the connection.
    pub(crate) fn here<T>(&self, question: Question, answer: impl FnOnce() -> T) -> Option<T> {
        // What the answer borrowed is only read.
        catch_unwind(AssertUnwindSafe(|| self.timed(question, answer))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_expected_to_take_as_long_as_the_last_ones() {
        let quick = Quick::default();
        let (one, other) = (Question::of(&"one"), Question::of(&"other"));
        assert!(!quick.expects(one), "nothing is known yet");
        let slow = || std::thread::sleep(2 * QUICK);
        quick.timed(one, slow);
        assert!(!quick.expects(one));
        // The machine may be busy, but not forever.
        while !quick.expects(one) {
            quick.timed(one, || ());
        }
        assert!(!quick.expects(other));
        // One disturbance says nothing; many do.
        for _ in 0..u64::BITS {
            quick.timed(one, slow);
        }
        assert!(!quick.expects(one));
    }

    #[test]
    fn a_panic_is_no_answer() {
        let quick = Quick::default();
        let answer = quick.here(Question::of(&0), || -> u8 { panic!("on purpose") });
        assert_eq!(answer, None);
    }
}
