//! Native histograms on their way into storage: resolution and number of buckets.

use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use bellwether_model::storage::{AppendError, Appender, SeriesRef, Zero};
use bellwether_model::{FloatHistogram, Histogram};

use crate::config::PoolSettings;

/// The lowest resolution.
const SCHEMA_MIN: i32 = -4;
/// The highest resolution.
const SCHEMA_MAX: i32 = 8;

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'v> {
    Float(f64),
    Histogram(&'v Histogram),
    FloatHistogram(&'v FloatHistogram),
}

impl<'v> Value<'v> {
    /// The zero of its kind.
    pub(crate) fn zero(self) -> Zero<'v> {
        match self {
            Self::Float(_) => Zero::Float,
            Self::Histogram(h) => Zero::Histogram(h),
            Self::FloatHistogram(h) => Zero::FloatHistogram(h),
        }
    }

    #[inline]
    pub(crate) fn append(
        self,
        appender: &mut dyn Appender,
        series: SeriesRef,
        time_ms: i64,
    ) -> Result<(), AppendError> {
        match self {
            Self::Float(value) => appender.append(series, time_ms, value),
            Self::Histogram(h) => appender.append_histogram(series, time_ms, h.clone()),
            Self::FloatHistogram(h) => appender.append_float_histogram(series, time_ms, h.clone()),
        }
    }
}

/// The highest schema whose buckets grow at least by `factor`: 2^(2^-schema) >= factor. `None` without a factor.
pub(crate) fn max_schema(factor: f64) -> Option<i32> {
    if factor <= 1.0 {
        return None;
    }
    let schema = -factor.log2().log2();
    Some((schema.floor() as i32).clamp(SCHEMA_MIN, SCHEMA_MAX))
}

/// Brings a histogram below the limits of the settings; `None` when its buckets are too many even so.
pub(crate) fn limited(h: Histogram, settings: &PoolSettings) -> Option<Histogram> {
    let buckets = h.positive_buckets.len() + h.negative_buckets.len();
    let unlimited = buckets as u64 <= bucket_limit(settings)
        && settings
            .native_histogram_max_schema
            .is_none_or(|max| h.schema <= max);
    if unlimited {
        return Some(h);
    }
    let reduced = limited_float(h.to_float(), settings)?;
    // Counts of buckets are whole numbers that a float holds exactly.
    Some(Histogram {
        schema: reduced.schema,
        positive_buckets: deltas(&reduced.positive_buckets),
        negative_buckets: deltas(&reduced.negative_buckets),
        positive_spans: reduced.positive_spans,
        negative_spans: reduced.negative_spans,
        ..h
    })
}

/// As [`limited`].
pub(crate) fn limited_float(
    mut h: FloatHistogram,
    settings: &PoolSettings,
) -> Option<FloatHistogram> {
    let exponential = h.schema != CUSTOM_BUCKETS_SCHEMA;
    if let Some(max) = settings.native_histogram_max_schema
        && exponential
        && h.schema > max
    {
        h = h.copy_to_schema(max);
    }
    let limit = bucket_limit(settings);
    while (h.positive_buckets.len() + h.negative_buckets.len()) as u64 > limit {
        if !exponential || h.schema <= SCHEMA_MIN {
            return None;
        }
        h = h.copy_to_schema(h.schema - 1);
    }
    Some(h)
}

fn bucket_limit(settings: &PoolSettings) -> u64 {
    match settings.native_histogram_bucket_limit {
        0 => u64::MAX,
        limit => limit,
    }
}

/// Counts as differences to the one before.
pub(crate) fn deltas(counts: &[f64]) -> Vec<i64> {
    let mut before = 0;
    counts
        .iter()
        .map(|count| {
            let count = *count as i64;
            let delta = count - before;
            before = count;
            delta
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bellwether_model::histogram::Span;

    use super::*;
    use crate::config::{ScrapeConfig, ScrapeDefaults};

    fn settings(limit: u64, factor: f64) -> PoolSettings {
        ScrapeConfig {
            job_name: "x".into(),
            native_histogram_bucket_limit: Some(limit),
            native_histogram_min_bucket_factor: Some(factor),
            ..ScrapeConfig::default()
        }
        .resolve(&ScrapeDefaults::default())
        .unwrap()
    }

    /// Four buckets of schema 1 with 1, 2, 3 and 4 observations.
    fn histogram() -> Histogram {
        Histogram {
            schema: 1,
            count: 10,
            sum: 20.0,
            positive_spans: vec![Span {
                offset: 1,
                length: 4,
            }],
            positive_buckets: vec![1, 1, 1, 1],
            ..Histogram::default()
        }
    }

    #[test]
    fn too_many_buckets_lower_the_resolution() {
        assert_eq!(limited(histogram(), &settings(0, 0.0)), Some(histogram()));
        assert_eq!(limited(histogram(), &settings(4, 0.0)), Some(histogram()));
        // Pairs of buckets fall together: (1 + 2), (3 + 4).
        let halved = limited(histogram(), &settings(2, 0.0)).unwrap();
        assert_eq!((halved.schema, halved.count), (0, 10));
        assert_eq!(halved.positive_buckets, [3, 4]);
        assert_eq!(limited(histogram(), &settings(1, 0.0)).unwrap().schema, -1);
        let mut wide = histogram();
        wide.negative_spans = vec![Span {
            offset: 1,
            length: 1,
        }];
        wide.negative_buckets = vec![1];
        assert_eq!(limited(wide, &settings(1, 0.0)), None);
    }

    #[test]
    fn a_factor_lowers_the_resolution() {
        for (factor, schema) in [
            (0.0, None),
            (1.0, None),
            (1.001, Some(8)),
            (1.4, Some(1)),
            (1.5, Some(0)),
            (2.0, Some(0)),
            (4.0, Some(-1)),
            (1e9, Some(-4)),
        ] {
            assert_eq!(max_schema(factor), schema, "{factor}");
        }
        assert_eq!(limited(histogram(), &settings(0, 2.0)).unwrap().schema, 0);
    }
}
