//! `_created` lines of OpenMetrics: when the counter, summary or histogram of a family began.
//!
//! They stand behind the samples that they are about, often at the end of the family. As in Prometheus, only the next
//! such line counts for a sample: where it is about other labels, the sample has no start.

use std::borrow::Cow;

use bellwether_model::MetricType;
use bellwether_model::labels::{BUCKET_LABEL, QUANTILE_LABEL};

use super::labels::{self, SeriesLabels};
use super::{Entry, Format, Parser, SeriesLine, scan};

const SUFFIX: &str = "_created";

/// Finds the start of samples ahead of the parser of the same page.
#[derive(Debug, Default)]
pub struct CreatedLines<'a> {
    /// The last answer: it holds for all series of a histogram or summary.
    last: Option<Created<'a>>,
    ahead: Option<Ahead<'a>>,
}

/// A line: the family's name with the labels that the samples have in common, and the start.
#[derive(Clone, Debug)]
struct Created<'a> {
    series: SeriesLabels<'a>,
    start_ms: i64,
}

/// What a look ahead found.
#[derive(Debug)]
struct Ahead<'a> {
    /// Offset of the line, or of the end of the family; good as long as the parser is not behind it.
    until: usize,
    line: Option<Created<'a>>,
}

/// Types that begin at some time.
fn begins(kind: MetricType) -> bool {
    matches!(
        kind,
        MetricType::Counter | MetricType::Summary | MetricType::Histogram
    )
}

impl<'a> CreatedLines<'a> {
    /// Whether a page may tell the start of what the parser reads now.
    #[must_use]
    pub fn may_tell(parser: &Parser<'a>) -> bool {
        parser.format == Format::OpenMetrics && begins(parser.kind)
    }

    /// Whether a line that the parser gave tells a start and so is no sample.
    #[must_use]
    pub fn is_one(parser: &Parser<'a>, line: &SeriesLine<'a>) -> bool {
        Self::may_tell(parser) && is_created(parser.format, line.series)
    }

    /// When a series that the parser gave last began, in milliseconds since the epoch.
    pub fn start_of(&mut self, parser: &Parser<'a>, series: &'a [u8]) -> Option<i64> {
        let last = self.last.take();
        if !Self::may_tell(parser) {
            return None;
        }
        let labels = labels::parse(parser.format, series).ok()?;
        let series = common(labels, parser.family_len, parser.kind)?;
        if let Some(last) = last.filter(|last| last.series == series && last.start_ms > 0) {
            return Some(self.last.insert(last).start_ms);
        }
        let next = self.next(parser)?;
        if next.series != series {
            return None;
        }
        let start_ms = next.start_ms;
        self.last = Some(Created { series, start_ms });
        Some(start_ms).filter(|ms| *ms != 0)
    }

    /// The next line in the parser's family.
    fn next(&mut self, parser: &Parser<'a>) -> Option<&Created<'a>> {
        if self.ahead.as_ref().is_none_or(|a| a.until < parser.pos) {
            self.ahead = Some(look_ahead(parser.clone()));
        }
        self.ahead.as_ref()?.line.as_ref()
    }
}

fn look_ahead(mut parser: Parser<'_>) -> Ahead<'_> {
    loop {
        let until = parser.pos;
        // What is wrong with a line is told when the page gets there.
        let Ok(Some(Entry::Series(line))) = parser.next() else {
            return Ahead { until, line: None };
        };
        if !is_created(parser.format, line.series) {
            continue;
        }
        let created = labels::parse(parser.format, line.series).ok();
        let line = created.and_then(|labels| {
            let name_len = labels.name.len() - SUFFIX.len();
            Some(Created {
                series: common(labels, name_len, parser.kind)?,
                // Seconds, cut off.
                start_ms: (line.value * 1000.0) as i64,
            })
        });
        return Ahead { until, line };
    }
}

fn is_created(format: Format, series: &[u8]) -> bool {
    match series.first() {
        Some(b'{') => labels::parse(format, series).is_ok_and(|l| l.name.ends_with(SUFFIX)),
        _ => series[..scan::name_end(series, 0)].ends_with(SUFFIX.as_bytes()),
    }
}

/// The labels without those that tell the series of a family apart, under the first `name_len` bytes of the name.
fn common(
    mut labels: SeriesLabels<'_>,
    name_len: usize,
    kind: MetricType,
) -> Option<SeriesLabels<'_>> {
    labels.name = match labels.name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(..name_len)?),
        Cow::Owned(name) => Cow::Owned(name.get(..name_len)?.to_owned()),
    };
    let own = match kind {
        MetricType::Summary => QUANTILE_LABEL,
        MetricType::Histogram => BUCKET_LABEL,
        _ => return Some(labels),
    };
    labels.labels.retain(|pair| pair.name != own);
    Some(labels)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The samples of a page as written, with their starts.
    fn starts(page: &str) -> Vec<(String, Option<i64>)> {
        let mut parser = Parser::new(Format::OpenMetrics, page.as_bytes());
        let mut created = CreatedLines::default();
        let mut out = Vec::new();
        while let Some(entry) = parser.next().unwrap() {
            let Entry::Series(line) = entry else { continue };
            if CreatedLines::is_one(&parser, &line) {
                continue;
            }
            let start = created.start_of(&parser, line.series);
            let series = std::str::from_utf8(line.series).unwrap();
            out.push((series.to_owned(), start));
        }
        out
    }

    fn values(page: &str) -> Vec<Option<i64>> {
        starts(page).into_iter().map(|(_, start)| start).collect()
    }

    #[test]
    fn each_kind_finds_its_line() {
        let page = r#"# TYPE c counter
c_total{a="1"} 1
c_created{a="1"} 1.5
c_total{a="2"} 1
c_created{a="2"} 2.5
# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="+Inf"} 1
h_count 1
h_sum 1
h_created 3.25
# TYPE s summary
s{quantile="0.5",x="y"} 1
s_count{x="y"} 1
s_created{x="y"} 4
s_sum{x="y"} 1
# TYPE "u v" counter
{"u v_total"} 1
{"u v_created"} 5
# EOF
"#;
        let found: Vec<_> = starts(page);
        let texts: Vec<_> = (found.iter())
            .map(|(series, start)| format!("{series} {}", start.unwrap_or(-1)))
            .collect();
        assert_eq!(
            texts,
            [
                r#"c_total{a="1"} 1500"#,
                r#"c_total{a="2"} 2500"#,
                r#"h_bucket{le="1"} 3250"#,
                r#"h_bucket{le="+Inf"} 3250"#,
                "h_count 3250",
                "h_sum 3250",
                r#"s{quantile="0.5",x="y"} 4000"#,
                r#"s_count{x="y"} 4000"#,
                // Behind the line, but of the same metric.
                r#"s_sum{x="y"} 4000"#,
                r#"{"u v_total"} 5000"#,
            ]
        );
    }

    #[test]
    fn only_the_next_line_counts() {
        let page = "# TYPE c counter\nc_total{a=\"1\"} 1\nc_total{a=\"2\"} 1\nc_created{a=\"1\"} 1\nc_created{a=\"2\"} 2\n# EOF\n";
        assert_eq!(values(page), [Some(1000), None]);
    }

    #[test]
    fn other_types_and_families_have_no_start() {
        // A gauge may be called so.
        let gauge = "# TYPE g gauge\ng 1\ng_created 5\n# EOF\n";
        assert_eq!(values(gauge), [None, None]);
        let apart =
            "# TYPE c counter\nc_total 1\n# TYPE d counter\nd_total 1\nd_created 5\n# EOF\n";
        assert_eq!(values(apart), [None, Some(5000)]);
        let zero = "# TYPE c counter\nc_total 1\nc_created 0\n# EOF\n";
        assert_eq!(values(zero), [None]);
        let none = "# TYPE c counter\nc_total 1\nc_total{a=\"b\"} 1\n# EOF\n";
        assert_eq!(values(none), [None, None]);
    }

    /// An error ahead does not matter until the page gets there.
    #[test]
    fn a_broken_line_ahead_ends_the_search() {
        let mut parser = Parser::new(
            Format::OpenMetrics,
            b"# TYPE c counter\nc_total 1\nc_total{ 1\nc_created 5\n# EOF\n",
        );
        let mut created = CreatedLines::default();
        parser.next().unwrap();
        let Some(Entry::Series(line)) = parser.next().unwrap() else {
            panic!("a sample")
        };
        assert_eq!(created.start_of(&parser, line.series), None);
        assert!(parser.next().is_err());
    }
}
