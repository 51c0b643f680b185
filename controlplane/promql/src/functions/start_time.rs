//! What the start timestamps of neighbouring samples say about their counter. Times are milliseconds since the
//! epoch; a start of 0 is not known.

/// A sample's start timestamp and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) start: i64,
    pub(super) time: i64,
}

/// The pair at an index of columns; without a column of starts none is known.
pub(super) fn begun(starts: &[i64], times: &[i64], at: usize) -> Begun {
    Begun {
        start: starts.get(at).copied().unwrap_or(0),
        time: times[at],
    }
}

/// Whether the counter began anew between two samples.
pub(super) fn restarted(previous: Begun, current: Begun) -> bool {
    // A start at or after its own sample is invalid or, in OpenTelemetry, unknown.
    if current.start == 0 || current.start >= current.time || current.start < previous.time {
        return false;
    }
    if current.start > previous.time {
        return true;
    }
    // The counter began with the previous sample: so do the points of a delta series, but also the first known
    // point after one that stands for an unknown beginning.
    previous.start <= previous.time && previous.start != 0 && previous.start != previous.time
}

/// Whether the current sample's counter began before the previous sample, and is not the same counter.
pub(super) fn overlap(previous: Begun, current: Begun) -> bool {
    current.start != 0 && current.start < previous.time && current.start != previous.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: i64, time: i64) -> Begun {
        Begun { start, time }
    }

    #[test]
    fn a_later_beginning_is_a_restart() {
        assert!(restarted(at(0, 10), at(15, 20)));
        assert!(!restarted(at(5, 10), at(5, 20)), "the same counter");
        assert!(!restarted(at(5, 10), at(0, 20)), "unknown");
        assert!(
            !restarted(at(5, 10), at(20, 20)),
            "unknown in OpenTelemetry"
        );
        assert!(restarted(at(5, 10), at(10, 20)), "a delta");
        assert!(
            !restarted(at(10, 10), at(10, 20)),
            "after an unknown beginning"
        );
        assert!(!restarted(at(11, 10), at(10, 20)), "after an invalid one");
    }

    #[test]
    fn an_earlier_other_beginning_overlaps() {
        assert!(overlap(at(5, 10), at(7, 20)));
        assert!(!overlap(at(5, 10), at(5, 20)));
        assert!(!overlap(at(5, 10), at(10, 20)));
    }
}
