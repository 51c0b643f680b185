//! Native histograms as JSON.

use bellwether_model::FloatHistogram;

use super::json::push_value;

/// Appends `{"count":"..","sum":"..","buckets":[[ends,"lower","upper","count"],...]}`; empty buckets are left out,
/// and `buckets` itself when none is left. `ends` says which bounds belong to the bucket: 0 the upper one, 1 the
/// lower one, 2 none, 3 both.
pub(crate) fn push_histogram(out: &mut String, h: &FloatHistogram) {
    out.push_str("{\"count\":");
    push_value(out, h.count);
    out.push_str(",\"sum\":");
    push_value(out, h.sum);
    let mut any = false;
    for bucket in h.buckets().iter().filter(|b| b.count != 0.0) {
        out.push_str(if any { ",[" } else { ",\"buckets\":[[" });
        any = true;
        out.push(match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => '0',
            (true, false) => '1',
            (false, false) => '2',
            (true, true) => '3',
        });
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(',');
            push_value(out, value);
        }
        out.push(']');
    }
    out.push_str(if any { "]}" } else { "}" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_model::Span;

    #[test]
    fn buckets_from_negative_to_positive() {
        let h = FloatHistogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 10.0,
            sum: 1.5,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![3.0, 0.0],
            negative_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            negative_buckets: vec![5.0],
            ..FloatHistogram::default()
        };
        let mut out = String::new();
        push_histogram(&mut out, &h);
        assert_eq!(
            out,
            r#"{"count":"10","sum":"1.5","buckets":[[1,"-2","-1","5"],[3,"-0.001","0.001","2"],[0,"0.5","1","3"]]}"#
        );
    }

    #[test]
    fn nothing_observed_shows_no_buckets() {
        let mut out = String::new();
        push_histogram(&mut out, &FloatHistogram::default());
        assert_eq!(out, r#"{"count":"0","sum":"0"}"#);
    }
}
