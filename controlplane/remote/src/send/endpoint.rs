//! One request to the remote system, and what its answer means.

use std::time::{Duration, SystemTime};

use bellwether_http::USER_AGENT_TEXT;
use bellwether_telemetry::trace::{self, SpanKind};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::batch::Counts;
use crate::client::Post;
use crate::config::{Address, Message, WriteSettings};

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");
const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";
/// Bytes of an answer that an error message quotes.
const QUOTED_BYTES: usize = 1024;
/// Bytes of an answer that are read so that its connection can be used again.
const DRAINED_BYTES: usize = 64 << 10;

/// What the receiver says it has written; `None` when it does not say.
pub(crate) type Written = Option<Counts>;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// It may pass: the same request is to be sent again, after a time if the receiver named one.
    Recoverable {
        message: String,
        retry_after: Option<Duration>,
    },
    /// The receiver does not want it.
    Fatal { message: String, written: Written },
}

/// Where requests go.
pub(crate) struct Endpoint {
    post: Post,
    address: Address,
    headers: HeaderMap,
    timeout: Duration,
    retry_on_429: bool,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn new(settings: &WriteSettings, post: Post) -> Self {
        let mut headers = HeaderMap::new();
        let (kind, version) = match settings.message {
            Message::V1 => ("application/x-protobuf", "0.1.0"),
            Message::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
        };
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        headers.insert(VERSION, HeaderValue::from_static(version));
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        Self {
            post,
            address: settings.address.clone(),
            headers,
            timeout: settings.timeout,
            retry_on_429: settings.retry_on_429,
        }
    }

    /// Sends one body. `attempt` counts from 0.
    pub(crate) async fn store(&self, body: Bytes, attempt: u32) -> Result<Written, StoreError> {
        let recoverable = |message| StoreError::Recoverable {
            message,
            retry_after: None,
        };
        let uri = self.address.clone().map_err(recoverable)?;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        if attempt > 0 {
            request.headers_mut().insert(RETRY_ATTEMPT, attempt.into());
        }
        let exchange = async {
            let response = (self.post)(request).await?;
            Ok::<_, String>(read(response).await)
        };
        let span = trace::span_of("Remote Store", SpanKind::Client);
        match tokio::time::timeout(self.timeout, span.around(exchange)).await {
            Ok(Ok(answer)) => self.judge(&answer),
            Ok(Err(message)) => Err(recoverable(message)),
            Err(_) => Err(recoverable(format!(
                "no answer within {}",
                bellwether_model::duration::format(self.timeout)
            ))),
        }
    }

    fn judge(&self, answer: &Answer) -> Result<Written, StoreError> {
        let written = written(&answer.headers);
        if answer.status.is_success() {
            return Ok(written);
        }
        let message = format!(
            "server returned HTTP status {}: {}",
            answer.status, answer.text
        );
        let may_pass = answer.status.is_server_error()
            || (self.retry_on_429 && answer.status == StatusCode::TOO_MANY_REQUESTS);
        if may_pass {
            return Err(StoreError::Recoverable {
                message,
                retry_after: retry_after(&answer.headers, SystemTime::now()),
            });
        }
        Err(StoreError::Fatal { message, written })
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// Reads an answer as far as it is of use. A body that breaks off changes nothing of the status.
async fn read(response: Response<Incoming>) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut quoted = BytesMut::new();
    let mut seen = 0;
    while seen < DRAINED_BYTES {
        let Some(Ok(frame)) = body.frame().await else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            seen += data.len();
            let room = QUOTED_BYTES - quoted.len();
            quoted.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8_lossy(&quoted).into_owned(),
    }
}

/// The receiver's own count. One that names none of its headers does not speak version 2.
fn written(headers: &HeaderMap) -> Written {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let samples = number(SAMPLES_WRITTEN);
    let histograms = number(HISTOGRAMS_WRITTEN);
    let exemplars = number(EXEMPLARS_WRITTEN);
    samples.or(histograms).or(exemplars)?;
    Some(Counts {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}

/// `Retry-After`: seconds or a date. What lies in the past, or is neither, counts as not said.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let parser = jiff::fmt::rfc2822::DateTimeParser::new();
            let at: SystemTime = parser.parse_timestamp(text).ok()?.into();
            at.duration_since(now).ok()?
        }
    };
    Some(wait).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(n, v): &(&'static str, &'static str)| {
            (HeaderName::from_static(n), HeaderValue::from_static(v))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text| retry_after(&headers(&[("retry-after", text)]), now);
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            of("Sun, 06 Nov 1994 08:49:50 GMT"),
            Some(Duration::from_secs(13))
        );
        for text in ["0", "-3", "soon", "Sun, 06 Nov 1994 08:49:00 GMT", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_receiver_that_says_nothing_is_not_one_that_wrote_nothing() {
        assert_eq!(written(&headers(&[])), None);
        let some = written(&headers(&[(SAMPLES_WRITTEN, "3")])).unwrap();
        assert_eq!((some.samples, some.histograms), (3, 0));
    }
}
