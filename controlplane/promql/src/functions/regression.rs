//! `deriv`, `predict_linear` and double exponential smoothing.

use crate::annotations::AnnotationKind;
use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, Window};

use super::quantile::kahan_add;

type Outcome = Result<Option<Sample>, QueryError>;

/// At least two floats; a note when histograms of a mixed window were left out.
fn enough(w: &Window<'_>, env: &mut Env<'_>) -> bool {
    if !w.f.is_empty() && !w.h.is_empty() {
        let name = env.name.to_owned();
        env.notes.add(
            AnnotationKind::HistogramIgnoredInMixedRange(name),
            env.first_span,
        );
    }
    w.f.len() >= 2
}

/// Slope and intercept of the least-squares line, with the intercept at `at` (milliseconds).
fn least_squares(times: &[i64], values: &[f64], at: i64) -> (f64, f64) {
    let constant = values[1..].iter().all(|v| *v == values[0]);
    let (mut n, mut x, mut y, mut xy, mut xx) =
        (0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (t, v) in times.iter().zip(values) {
        n += 1.0;
        let dx = t.saturating_sub(at) as f64 / 1e3;
        x = kahan_add(dx, x.0, x.1);
        y = kahan_add(*v, y.0, y.1);
        xy = kahan_add(dx * v, xy.0, xy.1);
        xx = kahan_add(dx * dx, xx.0, xx.1);
    }
    if constant {
        if values[0].is_infinite() {
            return (f64::NAN, f64::NAN);
        }
        return (0.0, values[0]);
    }
    let (x, y, xy, xx) = (x.0 + x.1, y.0 + y.1, xy.0 + xy.1, xx.0 + xx.1);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(super) fn deriv(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if !enough(w, env) {
        return Ok(None);
    }
    // A reference time near the samples keeps the products small.
    let (slope, _) = least_squares(w.float_times(), w.floats(), w.float_times()[0]);
    Ok(Some(Sample::Float(slope)))
}

pub(super) fn predict_linear(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if !enough(w, env) {
        return Ok(None);
    }
    let (slope, intercept) = least_squares(w.float_times(), w.floats(), w.t);
    let ahead = env.args.first().copied().unwrap_or(f64::NAN);
    Ok(Some(Sample::Float(slope * ahead + intercept)))
}

pub(super) fn double_exponential_smoothing(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    let &[smoothing, trend] = env.args else {
        return Ok(None);
    };
    for (what, v) in [("smoothing", smoothing), ("trend", trend)] {
        // Written so that NaN passes, as upstream.
        if v <= 0.0 || v >= 1.0 {
            let short = if what == "smoothing" { "sf" } else { "tf" };
            return Err(QueryError::Execution(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {v:.6}"
            )));
        }
    }
    if !enough(w, env) {
        return Ok(None);
    }
    let values = w.floats();
    let (mut before, mut smooth, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, v) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (smooth - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * v + (1.0 - smoothing) * (smooth + slope);
        (before, smooth) = (smooth, next);
    }
    Ok(Some(Sample::Float(smooth)))
}
