//! What a scraper asks for: `Accept` (RFC 9110, section 12.5.1) with Prometheus' `escaping`.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use bellwether_telemetry::{OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiated {
    /// OpenMetrics rather than the text format.
    pub(super) open_metrics: bool,
    /// Names outside the legacy set may be written as they are.
    pub(super) utf8: bool,
}

impl Negotiated {
    /// The best form that is offered and asked for; the text format when nothing fits.
    pub(super) fn of(headers: &HeaderMap, offers_open_metrics: bool, offers_utf8: bool) -> Self {
        let mut best: Option<(f32, Self)> = None;
        let ranges = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for range in ranges {
            let Some((quality, form)) = parse(range) else {
                continue;
            };
            let is_offered = offers_open_metrics || !form.open_metrics;
            if is_offered && quality > best.map_or(0.0, |(quality, _)| quality) {
                best = Some((quality, form));
            }
        }
        let form = best.map(|(_, form)| form).unwrap_or(Self {
            open_metrics: false,
            utf8: false,
        });
        Self {
            utf8: form.utf8 && offers_utf8,
            ..form
        }
    }

    /// The `Content-Type`. Without an `escaping` the names are in the legacy set.
    pub(super) fn content_type(self) -> &'static str {
        match (self.open_metrics, self.utf8) {
            (true, false) => OPENMETRICS_CONTENT_TYPE,
            (false, false) => TEXT_CONTENT_TYPE,
            (true, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (false, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }
}

/// Quality and form of one media range; `None` for types that do not exist here.
fn parse(range: &str) -> Option<(f32, Negotiated)> {
    let mut parts = range.split(';').map(str::trim);
    let open_metrics = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/openmetrics-text" => true,
        "text/plain" | "text/*" | "*/*" => false,
        _ => return None,
    };
    let (mut quality, mut utf8) = (1.0, false);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = value.parse().ok()?,
            "escaping" => utf8 = value.eq_ignore_ascii_case("allow-utf-8"),
            _ => {}
        }
    }
    Some((quality, Negotiated { open_metrics, utf8 }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    fn of(accept: &str, open_metrics: bool, utf8: bool) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        let got = Negotiated::of(&headers, open_metrics, utf8);
        (got.open_metrics, got.utf8)
    }

    #[test]
    fn scrapers_get_the_best_form_that_is_offered() {
        for (accept, open_metrics, utf8, expected) in [
            (PROMETHEUS_3, true, true, (true, true)),
            (PROMETHEUS_3, false, true, (false, true)),
            (PROMETHEUS_3, true, false, (true, false)),
            (PROMETHEUS_2, true, true, (true, false)),
            (PROMETHEUS_2, false, true, (false, false)),
            ("*/*", true, true, (false, false)),
            ("text/html", true, true, (false, false)),
            (
                "application/openmetrics-text;q=0",
                true,
                true,
                (false, false),
            ),
            (
                "application/openmetrics-text;q=0.1, text/plain",
                true,
                true,
                (false, false),
            ),
            (
                "text/plain; escaping=underscores",
                true,
                true,
                (false, false),
            ),
        ] {
            assert_eq!(of(accept, open_metrics, utf8), expected, "{accept}");
        }
        let none = Negotiated::of(&HeaderMap::new(), true, true);
        assert_eq!((none.open_metrics, none.utf8), (false, false));
    }
}
