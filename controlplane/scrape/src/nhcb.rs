//! `convert_classic_histograms_to_nhcb`: classic histograms become native ones with custom buckets.
//!
//! The series of a classic histogram (`x_bucket`, `x_count`, `x_sum` with equal labels apart from `le`) stand together
//! on a page. A [`Collector`] gathers them; the histogram is complete when another series or the end comes.

use bellwether_exposition::{ProtoSample, ProtoValue, SeriesLabels, push_sample_name};
use bellwether_model::float;
use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};
use bellwether_model::labels::BUCKET_LABEL;
use bellwether_model::{Exemplar, FloatHistogram, Histogram};

/// What a series says about its histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// A sample of a classic histogram.
#[derive(Debug)]
pub(crate) struct ClassicSample {
    /// Name and labels of the histogram, as the text format writes them.
    series: String,
    part: Part,
}

impl ClassicSample {
    /// Whether a series of a page belongs to a classic histogram of the family.
    pub(crate) fn of(labels: &SeriesLabels<'_>, family: &[u8]) -> Option<Self> {
        let rest = labels
            .name
            .strip_prefix(std::str::from_utf8(family).ok()?)?;
        let part = match rest {
            "_count" => Part::Count,
            "_sum" => Part::Sum,
            "_bucket" => {
                let le = labels.labels.iter().find(|l| l.name == BUCKET_LABEL)?;
                Part::Bucket(float::parse(&le.value).ok().filter(|le| !le.is_nan())?)
            }
            _ => return None,
        };
        let mut series = String::new();
        let others = labels
            .labels
            .iter()
            .filter(|l| l.name != BUCKET_LABEL)
            .map(|l| (&*l.name, &*l.value));
        push_sample_name(&mut series, &labels.name[..family.len()], others);
        Some(Self { series, part })
    }
}

/// Gathers the samples of one histogram after the other.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    series: String,
    /// Upper bound and cumulative count, ascending.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    exemplars: Vec<Exemplar>,
    timestamp_ms: Option<i64>,
    start_ms: Option<i64>,
    /// The counts contradict each other: there will be no histogram.
    broken: bool,
    collecting: bool,
    /// A histogram that the page has in native form as well: its classic series are not converted.
    native: String,
}

impl Collector {
    /// Whether a sample belongs to the histogram that is being gathered.
    pub(crate) fn fits(&self, sample: &ClassicSample) -> bool {
        self.collecting && self.series == sample.series
    }

    /// Says that the page has a native histogram of that name and labels.
    pub(crate) fn saw_native(&mut self, series: &str) {
        self.native.clear();
        self.native.push_str(series);
    }

    /// Whether the histogram is there in native form as well.
    pub(crate) fn is_native(&self, sample: &ClassicSample) -> bool {
        self.native == sample.series
    }

    /// Adds a sample with its timestamp and the start of its histogram.
    pub(crate) fn add(
        &mut self,
        sample: ClassicSample,
        value: f64,
        (timestamp_ms, start_ms): (Option<i64>, Option<i64>),
        exemplar: Option<Exemplar>,
    ) {
        if !self.collecting {
            self.collecting = true;
            self.series = sample.series;
        }
        self.timestamp_ms = timestamp_ms.or(self.timestamp_ms);
        self.start_ms = start_ms.or(self.start_ms);
        self.exemplars.extend(exemplar);
        match sample.part {
            Part::Sum => self.sum = value,
            Part::Count => {
                self.broken |= value.is_nan() || value < 0.0;
                self.count = Some(value);
            }
            Part::Bucket(le) => self.bucket(le, value),
        }
    }

    fn bucket(&mut self, le: f64, count: f64) {
        let at = self.buckets.partition_point(|(bound, _)| *bound < le);
        if self.buckets.get(at).is_some_and(|(bound, _)| *bound == le) {
            // The first of two equal bounds counts.
            return;
        }
        let below = at.checked_sub(1).map_or(0.0, |i| self.buckets[i].1);
        let above = self.buckets.get(at).map_or(f64::INFINITY, |(_, n)| *n);
        self.broken |= !(below..=above).contains(&count);
        self.buckets.insert(at, (le, count));
    }

    /// Ends the histogram: hands it over unless its counts contradict each other, and begins anew.
    pub(crate) fn finish<E>(
        &mut self,
        each: impl FnOnce(ProtoSample<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.collecting {
            return Ok(());
        }
        let done = std::mem::take(self);
        self.native = done.native;
        let Some(value) = convert(done.buckets, done.count, done.sum, done.broken) else {
            return Ok(());
        };
        // As for every native histogram, an exemplar needs a time of its own.
        let exemplars = done.exemplars.into_iter();
        each(ProtoSample {
            series: &done.series,
            value,
            timestamp_ms: done.timestamp_ms,
            start_ms: done.start_ms,
            exemplars: exemplars.filter(|e| e.timestamp_ms.is_some()).collect(),
        })
    }
}

/// The histogram of cumulative counts, of integers if all of them are.
fn convert(
    mut buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    broken: bool,
) -> Option<ProtoValue> {
    let count = count.or_else(|| buckets.last().map(|(_, n)| *n))?;
    if buckets.last().is_none_or(|(le, _)| *le != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    let highest = buckets.last().map_or(0.0, |(_, n)| *n);
    let ascending = buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1);
    if broken || !ascending || highest != count {
        return None;
    }
    let mut below = 0.0;
    let counts: Vec<f64> = buckets
        .iter()
        .map(|(_, cumulative)| cumulative - std::mem::replace(&mut below, *cumulative))
        .collect();
    let mut h = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans: vec![Span {
            offset: 0,
            length: u32::try_from(counts.len()).ok()?,
        }],
        positive_buckets: counts,
        custom_values: buckets[..buckets.len() - 1].iter().map(|b| b.0).collect(),
        ..FloatHistogram::default()
    };
    h.compact();
    /// Above, not every integer is a float.
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    let whole = |n: f64| n.fract() == 0.0 && n <= EXACT_MAX;
    if !buckets.iter().all(|(_, n)| whole(*n)) {
        return Some(ProtoValue::FloatHistogram(h));
    }
    Some(ProtoValue::Histogram(Histogram {
        schema: h.schema,
        count: h.count as u64,
        sum: h.sum,
        positive_buckets: crate::native::deltas(&h.positive_buckets),
        positive_spans: h.positive_spans,
        custom_values: h.custom_values,
        ..Histogram::default()
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bellwether_exposition::parse_series;

    use super::*;

    /// The histograms of these samples of the family `h`, as text.
    fn histograms(samples: &[(&str, f64)]) -> Vec<(String, ProtoValue)> {
        let mut collector = Collector::default();
        let mut out = Vec::new();
        let mut each = |s: ProtoSample<'_>| -> Result<(), ()> {
            out.push((s.series.to_owned(), s.value));
            Ok(())
        };
        for (series, value) in samples {
            let labels = parse_series(series.as_bytes()).unwrap();
            let sample = ClassicSample::of(&labels, b"h");
            if !sample.as_ref().is_some_and(|s| collector.fits(s)) {
                collector.finish(&mut each).unwrap();
            }
            if let Some(sample) = sample {
                collector.add(sample, *value, (None, None), None);
            }
        }
        collector.finish(&mut each).unwrap();
        out
    }

    fn integers(h: &ProtoValue) -> (&[f64], &[i64], u64, f64) {
        match h {
            ProtoValue::Histogram(h) => (&h.custom_values, &h.positive_buckets, h.count, h.sum),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn series_that_stand_together_are_one_histogram() {
        let got = histograms(&[
            (r#"h_bucket{a="1",le="1.0"}"#, 1.0),
            (r#"h_bucket{le="2",a="1"}"#, 3.0),
            (r#"h_bucket{a="1",le="+Inf"}"#, 4.0),
            (r#"h_sum{a="1"}"#, 9.5),
            (r#"h_count{a="1"}"#, 4.0),
            (r#"h_bucket{a="2",le="1"}"#, 1.0),
            (r#"h_count{a="2"}"#, 5.0),
            ("h_other", 1.0),
            ("h_count", 0.0),
        ]);
        let names: Vec<_> = got.iter().map(|(s, _)| s.as_str()).collect();
        assert_eq!(names, [r#"h{a="1"}"#, r#"h{a="2"}"#, "h"]);
        assert_eq!(
            integers(&got[0].1),
            (&[1.0, 2.0][..], &[1, 1, -1][..], 4, 9.5)
        );
        // Without +Inf the count is its bucket.
        assert_eq!(integers(&got[1].1), (&[1.0][..], &[1, 3][..], 5, 0.0));
        assert_eq!(integers(&got[2].1), (&[][..], &[][..], 0, 0.0));
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let got = histograms(&[
            (r#"h_bucket{le="2"}"#, 3.0),
            (r#"h_bucket{le="1"}"#, 1.0),
            (r#"h_bucket{le="2.0"}"#, 7.0),
            (r#"h_bucket{le="+Inf"}"#, 3.0),
        ]);
        // The count is that of the highest bucket; empty buckets at the end are cut.
        assert_eq!(integers(&got[0].1), (&[1.0, 2.0][..], &[1, 1][..], 3, 0.0));
    }

    #[test]
    fn contradictions_give_nothing_and_fractions_floats() {
        for samples in [
            &[(r#"h_bucket{le="1"}"#, 5.0), (r#"h_bucket{le="2"}"#, 3.0)][..],
            &[(r#"h_bucket{le="+Inf"}"#, 5.0), ("h_count", 6.0)],
            &[(r#"h_bucket{le="1"}"#, 5.0), ("h_count", 4.0)],
            &[(r#"h_bucket{le="1"}"#, f64::NAN)],
            &[("h_count", -1.0)],
            &[("h_sum", 1.0)],
            &[(r#"h_bucket{le="x"}"#, 1.0)],
            &[("h_bucket", 1.0)],
        ] {
            assert!(histograms(samples).is_empty(), "{samples:?}");
        }
        let got = histograms(&[(r#"h_bucket{le="1"}"#, 0.5), ("h_count", 2.0)]);
        match &got[0].1 {
            ProtoValue::FloatHistogram(h) => assert_eq!(h.positive_buckets, [0.5, 1.5]),
            other => panic!("{other:?}"),
        }
    }
}
