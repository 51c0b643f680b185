//! Request parameters: from the URL and from a form body, read as Go's `net/http` reads them.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bellwether_model::labels::quote;
use bellwether_model::{Matcher, duration, float};
use bellwether_promql::parse_metric_selector;
use http::{Method, StatusCode, header};

use super::error::{ApiError, ErrorType};

/// Largest form body, as in Go.
const FORM_BYTES_MAX: usize = 10 << 20;

/// Most bytes of a body that is read for nothing, as in Go.
const IGNORED_BYTES_MAX: usize = 256 << 10;

/// Start of time for the label and series endpoints, in milliseconds: Prometheus' smallest representable instant.
pub(crate) const MIN_TIME_MS: i64 = (i64::MIN / 1000 + 62_135_596_801) * 1000;
/// End of time.
pub(crate) const MAX_TIME_MS: i64 = (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999;

/// All parameters in order: those of the body first, as in Go, so that the body wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: Option<&str>, body: &[u8]) -> Self {
        let mut pairs = Vec::new();
        push_pairs(&mut pairs, body);
        push_pairs(&mut pairs, query.unwrap_or_default().as_bytes());
        Self(pairs)
    }

    /// The first value, empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v.as_str())
    }

    /// All values.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A time in milliseconds; the default when missing. Errors as Prometheus' `parseTimeParam`.
    pub(crate) fn time(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|e| {
                ApiError::parameter(name, format!("invalid time value for '{name}': {e}"))
            }),
        }
    }

    /// A time that must be given, with the shorter error of `query_range`.
    pub(crate) fn required_time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.get(name)).map_err(|e| ApiError::parameter(name, e))
    }

    /// `limit`: `None` when missing or zero.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit = go_atoi(text).map_err(|e| ApiError::parameter("limit", e))?;
        match usize::try_from(limit) {
            Ok(limit) => Ok(Some(limit).filter(|n| *n > 0)),
            Err(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
        }
    }

    /// The selectors of `match[]`, each with at least one matcher that refuses the empty string. The error is the
    /// bare message: endpoints differ in how they wrap it.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, String> {
        self.all("match[]")
            .map(|text| {
                let matchers = parse_metric_selector(text).map_err(|e| e.to_string())?;
                if matchers.iter().all(Matcher::matches_empty) {
                    return Err("match[] must contain at least one non-empty matcher".to_owned());
                }
                Ok(matchers)
            })
            .collect()
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let query = request.uri().query().map(str::to_owned);
        let is_form = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        ) && request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| {
                v.split(';').next().unwrap_or_default().trim()
                    == "application/x-www-form-urlencoded"
            });
        if !is_form {
            // Read all the same: a connection that is closed with bytes unread is reset, and the answer with it.
            let _ = axum::body::to_bytes(request.into_body(), IGNORED_BYTES_MAX).await;
            return Ok(Self::parse(query.as_deref(), &[]));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                let status = rejection.status();
                if status == StatusCode::PAYLOAD_TOO_LARGE {
                    return ApiError::bad_data("error parsing form values: http: POST too large")
                        .into_response();
                }
                ApiError::bad_data(format!(
                    "error parsing form values: {}",
                    rejection.body_text()
                ))
                .into_response()
            })?;
        if body.len() > FORM_BYTES_MAX {
            return Err(
                ApiError::bad_data("error parsing form values: http: POST too large")
                    .into_response(),
            );
        }
        Ok(Self::parse(query.as_deref(), &body))
    }
}

/// Decodes `a=b&c=d`. A pair with a semicolon or a bad escape is left out, as Go does. Bytes that are not UTF-8 become
/// replacement characters: nothing that takes parameters takes them.
fn push_pairs(pairs: &mut Vec<(String, String)>, text: &[u8]) {
    for pair in text
        .split(|b| *b == b'&')
        .filter(|p| !p.is_empty() && !p.contains(&b';'))
    {
        let at = pair.iter().position(|b| *b == b'=');
        let (name, value) = match at {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
            pairs.push((name, value));
        }
    }
}

fn unescape(text: &[u8]) -> Option<String> {
    let bytes = unescape_bytes(text)?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Percent-decoding with `+` for a space.
pub(crate) fn unescape_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
                out.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
                rest = &tail[2..];
            }
            byte => out.push(*byte),
        }
    }
    Some(out)
}

/// Go's `strconv.ParseFloat`: as [`float::parse`], and digits may be separated by underscores.
fn parse_float(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return float::parse(text).ok();
    }
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| text.as_bytes().get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let separated = text
        .match_indices('_')
        .all(|(at, _)| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)));
    if separated {
        float::parse(&text.replace('_', "")).ok()
    } else {
        None
    }
}

/// A float as seconds, or RFC 3339, to milliseconds; the rounding is Go's.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let whole = seconds.trunc();
        let nanos = go_int(((seconds - whole) * 1000.0).round() / 1000.0 * 1e9);
        return Ok(go_int(whole)
            .wrapping_mul(1000)
            .wrapping_add(nanos.div_euclid(1_000_000)));
    }
    if is_rfc3339(text)
        && let Ok(time) = text.parse::<jiff::Timestamp>()
    {
        return Ok(time.as_nanosecond().div_euclid(1_000_000) as i64);
    }
    // The texts that Prometheus' own clients send for the ends of time.
    match text {
        "-292273086-05-16T16:47:06Z" => Ok(MIN_TIME_MS),
        "292277025-08-18T07:12:54.999999999Z" => Ok(MAX_TIME_MS),
        _ => Err(format!("cannot parse {} to a valid timestamp", quote(text))),
    }
}

/// Whether a text has the form `2006-01-02T15:04:05[.fraction](Z|+01:00)`. Other forms of ISO 8601 are refused, as by
/// Go.
fn is_rfc3339(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((time, rest)) = text.split_at_checked("2006-01-02T15:04:05".len()) else {
        return false;
    };
    let shaped = time
        .bytes()
        .zip("dddd-dd-ddTdd:dd:dd".bytes())
        .all(|(b, want)| {
            if want == b'd' {
                b.is_ascii_digit()
            } else {
                b == want
            }
        });
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
            if end == 0 {
                return false;
            }
            &fraction[end..]
        }
    };
    shaped
        && match zone.strip_prefix(['+', '-']) {
            None => zone == "Z",
            Some(offset) => offset
                .split_once(':')
                .is_some_and(|(h, m)| h.len() == 2 && m.len() == 2 && digits(h) && digits(m)),
        }
}

/// Go's conversion of a float to an integer on amd64: what does not fit is the smallest integer.
fn go_int(value: f64) -> i64 {
    if value.is_nan() || value.abs() >= 9_223_372_036_854_775_808.0 {
        i64::MIN
    } else {
        value as i64
    }
}

/// A float as seconds, or a duration, to nanoseconds; may be negative.
pub(crate) fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let ns = seconds * 1e9;
        if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
            return Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quote(text)
            ));
        }
        return Ok(go_int(ns));
    }
    duration::parse_millis(text)
        .map(|ms| ms.saturating_mul(1_000_000))
        .map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

/// `timeout`: the shorter of the parameter and the server's own. Not positive means: already over.
pub(crate) fn parse_timeout(text: &str) -> Result<Option<Duration>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let ns = parse_duration_ns(text).map_err(|e| ApiError::parameter("timeout", e))?;
    match u64::try_from(ns) {
        Ok(ns) if ns > 0 => Ok(Some(Duration::from_nanos(ns))),
        // Prometheus answers so or with `context deadline exceeded` as bad data, by chance (measured on 3.5.3).
        _ => Err(ApiError::new(
            ErrorType::Timeout,
            "query timed out in query execution",
        )),
    }
}

/// Go's `strconv.Atoi` with its error text.
pub(crate) fn go_atoi(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "strconv.Atoi: parsing {}: invalid syntax",
            quote(text)
        ));
    }
    text.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {}: value out of range", quote(text)))
}

/// Go's `strconv.ParseInt` in base 10 for a type of some size, with its error text.
pub(crate) fn go_parse_int<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    };
    Err(format!("strconv.ParseInt: parsing {}: {why}", quote(text)))
}

/// Go's `strconv.ParseBool` with its error text.
pub(crate) fn go_parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quote(text)
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms_as_go_reads_them() {
        let params = Params::parse(Some("a=url&b=1;2&c=%zz&d=%C3%A9+x&e"), b"a=body&f=%");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["body", "url"]);
        assert_eq!(params.get("b"), "");
        assert_eq!(params.get("c"), "");
        assert_eq!(params.get("d"), "é x");
        assert_eq!(params.all("e").count(), 1);
        assert_eq!(params.all("f").count(), 0);
    }

    #[test]
    fn times() {
        for (text, ms) in [
            ("5", 5000),
            ("1.0005", 1000),
            ("1.0006", 1001),
            ("-1.5", -1500),
            ("1e20", 0),
            ("2020-01-01T00:00:00.5Z", 1_577_836_800_500),
            ("2020-01-01T01:00:00+01:00", 1_577_836_800_000),
            ("-292273086-05-16T16:47:06Z", MIN_TIME_MS),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        assert_eq!(
            parse_time("abc"),
            Err("cannot parse \"abc\" to a valid timestamp".to_owned())
        );
        for text in [
            "",
            "2020-01-01",
            "2020-01-01T00:00Z",
            "2020-01-01 00:00:00Z",
            "2020-01-01t00:00:00z",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00.5",
            "2020-01-01T00:00:00+0100",
            "2020-01-01T00:00:00+01",
            "2020-01-01T00:00:00Z[UTC]",
            "+002020-01-01T00:00:00Z",
            "2020-01-0é00:00:00Z",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration_ns("15"), Ok(15_000_000_000));
        assert_eq!(parse_duration_ns("0.5"), Ok(500_000_000));
        assert_eq!(parse_duration_ns("1m"), Ok(60_000_000_000));
        assert!(
            parse_duration_ns("1e20")
                .unwrap_err()
                .ends_with("It overflows int64")
        );
        assert!(parse_duration_ns("1ns").is_err());
    }
}
