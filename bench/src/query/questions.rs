//! What dashboards ask.

use std::fmt;

use crate::http::encode;
use crate::server::Kind;

/// One kind of question.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) name: &'static str,
    ask: Ask,
}

#[derive(Clone, Copy)]
enum Ask {
    Query(&'static str),
    /// Values of the first label among the series that match.
    Values(&'static str, &'static str),
    Series(&'static str),
}

/// From when to when, in seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Instant,
    Range { length: i64, step: i64 },
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant => f.write_str("instant"),
            Self::Range { length, step } if length % 3600 == 0 => {
                write!(f, "{} h at {step} s", length / 3600)
            }
            Self::Range { length, step } => write!(f, "{length} s at {step} s"),
        }
    }
}

/// The spans of a dashboard.
pub(crate) const SPANS: [Span; 4] = [Span::Instant, range(1, 15), range(6, 60), range(24, 300)];

const fn range(hours: i64, step: i64) -> Span {
    Span::Range {
        length: hours * 3600,
        step,
    }
}

impl Question {
    /// The request, for data that ends at `end` (seconds since the epoch).
    pub(crate) fn path(&self, kind: Kind, span: Span, end: i64) -> String {
        let start = match span {
            Span::Instant => end - 300,
            Span::Range { length, .. } => end - length,
        };
        match (self.ask, span) {
            (Ask::Query(query), _) => query_path(kind, query, span, end),
            (Ask::Values(label, selector), _) => format!(
                "/api/v1/label/{label}/values?match[]={}&start={start}&end={end}",
                encode(selector)
            ),
            (Ask::Series(selector), _) => format!(
                "/api/v1/series?match[]={}&start={start}&end={end}",
                encode(selector)
            ),
        }
    }
}

/// The request of a query.
pub(crate) fn query_path(kind: Kind, query: &str, span: Span, end: i64) -> String {
    let query = encode(query);
    // VictoriaMetrics keeps the answers of ranges; every dashboard asks for another range.
    let fresh = match kind {
        Kind::Victoria => "&nocache=1",
        Kind::Bellwether | Kind::Prometheus => "",
    };
    match span {
        Span::Instant => format!("/api/v1/query?query={query}&time={end}{fresh}"),
        Span::Range { length, step } => format!(
            "/api/v1/query_range?query={query}&start={}&end={end}&step={step}{fresh}",
            end - length
        ),
    }
}

const fn query(name: &'static str, text: &'static str) -> Question {
    Question {
        name,
        ask: Ask::Query(text),
    }
}

/// With 10 000 series each of four applications has 800 counters, 400 gauges and 1000 buckets.
pub(crate) const QUESTIONS: [Question; 17] = [
    query(
        "few series",
        r#"app00_queue_length{instance="one-0",queue="orders"}"#,
    ),
    query("many series", "app01_queue_length"),
    query("sum of rates", "sum(rate(app00_requests_total[5m]))"),
    query(
        "sum of rates by label",
        "sum by (code, method) (rate(app00_requests_total[5m]))",
    ),
    query(
        "quantile",
        "histogram_quantile(0.99, sum by (le) (rate(app00_request_duration_seconds_bucket[5m])))",
    ),
    query(
        "quantile by label",
        "histogram_quantile(0.9, sum by (le, instance) (rate(app01_request_duration_seconds_bucket[5m])))",
    ),
    query(
        "ratio",
        r#"sum(rate(app00_requests_total{code=~"5.."}[5m])) / sum(rate(app00_requests_total[5m]))"#,
    ),
    query(
        "ratio by label",
        "sum by (instance) (rate(app02_request_duration_seconds_sum[5m])) / sum by (instance) (rate(app02_request_duration_seconds_count[5m]))",
    ),
    query(
        "topk",
        "topk(5, sum by (instance, pod) (rate(app01_requests_total[5m])))",
    ),
    query(
        "avg over time",
        "avg by (queue) (avg_over_time(app00_queue_length[10m]))",
    ),
    query("max over time", "max_over_time(app01_queue_length[1h])"),
    query(
        "increase of an hour",
        r#"increase(app02_requests_total{instance="one-0"}[1h])"#,
    ),
    query(
        "regex selector",
        r#"sum by (instance) (app02_requests_total{pod=~"00[1-3].-.*",code!~"4.."})"#,
    ),
    query(
        "arithmetic with grouping",
        "app03_queue_length / on (instance) group_left sum by (instance) (app03_queue_length)",
    ),
    query(
        "sum over everything",
        r#"sum by (__name__) ({__name__=~"app.+"})"#,
    ),
    Question {
        name: "label values",
        ask: Ask::Values("pod", "app00_requests_total"),
    },
    Question {
        name: "series",
        ask: Ask::Series(r#"app00_requests_total{instance="one-0"}"#),
    },
];
