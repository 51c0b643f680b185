//! The float samples of a series in a result.

use crate::eval::column::is_absent;

/// Float samples in time order.
///
/// A range query's values stay as its evaluation left them, without their times, which take as much memory again.
#[derive(Clone, Debug)]
pub struct Floats(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Milliseconds since the epoch and values.
    Points(Vec<(i64, f64)>),
    /// The values at `start`, `start + step`, ..., not all of which are there, but the last one is.
    Steps {
        start: i64,
        step: i64,
        values: Vec<f64>,
        present: usize,
    },
}

impl Floats {
    /// A value for each step, a stale marker where there is none; times in milliseconds.
    #[must_use]
    pub fn of_steps(start: i64, step: i64, mut values: Vec<f64>) -> Self {
        let last = values.iter().rposition(|v| !is_absent(*v));
        values.truncate(last.map_or(0, |last| last + 1));
        let present = values.iter().filter(|v| !is_absent(**v)).count();
        let steps = Self(Kind::Steps {
            start,
            step,
            values,
            present,
        });
        // Many steps with few values take more memory than the values with their times.
        if present < steps.slots() / 2 {
            steps.iter().collect()
        } else {
            steps
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Points(points) => points.len(),
            Kind::Steps { present, .. } => *present,
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of places that may hold a sample; the last one does.
    #[must_use]
    pub fn slots(&self) -> usize {
        match &self.0 {
            Kind::Points(points) => points.len(),
            Kind::Steps { values, .. } => values.len(),
        }
    }

    /// The sample (milliseconds since the epoch, value) of a place, for those who go on where they stopped.
    #[inline]
    #[must_use]
    pub fn slot(&self, at: usize) -> Option<(i64, f64)> {
        match &self.0 {
            Kind::Points(points) => points.get(at).copied(),
            Kind::Steps {
                start,
                step,
                values,
                ..
            } => {
                let v = *values.get(at)?;
                let t = start.saturating_add(step.saturating_mul(at as i64));
                (!is_absent(v)).then_some((t, v))
            }
        }
    }

    /// All samples: milliseconds since the epoch and values.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        (0..self.slots()).filter_map(|at| self.slot(at))
    }
}

impl Default for Floats {
    fn default() -> Self {
        Self(Kind::Points(Vec::new()))
    }
}

impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl FromIterator<(i64, f64)> for Floats {
    fn from_iter<I: IntoIterator<Item = (i64, f64)>>(points: I) -> Self {
        Self(Kind::Points(points.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::column::absent;

    #[test]
    fn steps_are_points_without_their_times() {
        let values = vec![1.0, absent(), f64::NAN, 4.0, absent()];
        let steps = Floats::of_steps(1000, 10, values);
        let points: Vec<(i64, f64)> = steps.iter().collect();
        assert_eq!((steps.len(), steps.slots(), points.len()), (3, 4, 3));
        assert_eq!((points[0], points[2]), ((1000, 1.0), (1030, 4.0)));
        assert!(points[1].0 == 1020 && points[1].1.is_nan());
        assert_eq!((steps.slot(1), steps.slot(4)), (None, None));
    }

    #[test]
    fn few_values_take_their_times_along() {
        let mut values = vec![absent(); 9];
        values[7] = 1.5;
        let floats = Floats::of_steps(-100, 50, values);
        assert_eq!((floats.len(), floats.slots()), (1, 1));
        assert_eq!(floats, Floats::from_iter([(250, 1.5)]));
        assert!(Floats::of_steps(0, 1, vec![absent()]).is_empty());
        assert!(Floats::of_steps(0, 1, Vec::new()).is_empty());
    }
}
