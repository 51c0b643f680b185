//! One remote system.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bellwether_http::USER_AGENT_TEXT;
use bellwether_model::storage::{Querier, Series, StorageError};
use bellwether_model::{Labels, MatchOp, Matcher};
use bellwether_telemetry::trace::{self, SpanKind};
use bellwether_telemetry::{Gauge, Registry};
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::answer::{self, Frames, SAMPLES_BYTES_MAX};
use super::request;
use crate::client::Post;
use crate::config::ReadSettings;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-read-version");
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const PROTOBUF: &str = "application/x-protobuf";
/// Bytes of an answer that an error message quotes.
const QUOTED_BYTES: usize = 1024;

const QUERIES: &str = "prometheus_remote_read_client_queries";
const QUERIES_TOTAL: &str = "prometheus_remote_read_client_queries_total";
const SECONDS: &str = "prometheus_remote_read_client_request_duration_seconds";
const BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];

/// A remote system and how it is asked.
pub(super) struct Remote {
    settings: ReadSettings,
    external: Labels,
    post: Post,
    registry: Registry,
    running: Gauge,
}

/// Counts a query that is under way.
struct Running<'a>(&'a Gauge);

impl<'a> Running<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Remote {
    pub(super) fn new(
        settings: ReadSettings,
        external: Labels,
        post: Post,
        registry: &Registry,
    ) -> Self {
        let labels = [
            ("remote_name", settings.name.as_str()),
            ("url", &settings.endpoint),
        ];
        let running = registry.gauge(
            QUERIES,
            "The number of in-flight remote read queries.",
            &labels,
        );
        Self {
            running,
            settings,
            external,
            post,
            registry: registry.clone(),
        }
    }

    /// Whether its metrics are those of an entry.
    pub(super) fn is_called(&self, other: &ReadSettings) -> bool {
        self.settings.name == other.name && self.settings.endpoint == other.endpoint
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [
            ("remote_name", &self.settings.name),
            ("url", &self.settings.endpoint),
        ]
    }

    pub(super) fn remove_metrics(&self) {
        self.registry.remove(QUERIES, &self.labels());
    }

    /// The last time that it is to be asked for; `None` when the local storage has the whole range.
    pub(super) fn last_wanted(&self, mint: i64, maxt: i64, local_start: i64) -> Option<i64> {
        if self.settings.read_recent {
            return Some(maxt);
        }
        (mint <= local_start).then(|| maxt.min(local_start))
    }

    /// Whether a selector asks for all that it must ask for.
    fn is_required(&self, matchers: &[Matcher]) -> bool {
        self.settings.required.iter().all(|(name, value)| {
            matchers
                .iter()
                .any(|m| m.op == MatchOp::Equal && m.name == *name && m.value == *value)
        })
    }

    /// Asks for the series of a selector, sorted by labels. The error is in words.
    async fn read(
        &self,
        range: (i64, i64),
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, String> {
        let _running = Running::new(&self.running);
        let (matchers, added) = request::with_external(matchers, &self.external);
        let body = request::encode(range, &matchers).map_err(|error| error.to_string())?;
        let timeout = self.settings.timeout;
        match tokio::time::timeout(timeout, self.exchange(body.into(), &added)).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "error sending request: context deadline exceeded: request timed out after {}",
                bellwether_model::duration::format(timeout)
            )),
        }
    }

    async fn exchange(
        &self,
        body: Bytes,
        added: &[String],
    ) -> Result<Vec<Arc<dyn Series>>, String> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match &self.settings.address {
            Ok(uri) => uri.clone(),
            Err(reason) => return Err(format!("error sending request: {reason}")),
        };
        *request.headers_mut() = self.headers();
        let begin = Instant::now();
        let response = (self.post)(request)
            .await
            .map_err(|error| format!("error sending request: {error}"))?;
        let status = response.status();
        if !status.is_success() {
            let text = quoted(response).await;
            return Err(format!(
                "remote server {} returned http status {status}: {}",
                self.settings.endpoint,
                text.trim_matches('\n')
            ));
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if kind.starts_with(PROTOBUF) {
            self.observe("sampled", begin);
            self.count("sampled", status.as_str());
            let body = whole(response).await?;
            return answer::samples(&body, added).map_err(|error| error.to_string());
        }
        if kind.starts_with(STREAMED) {
            self.observe("chunked", begin);
            let result = self.frames(response, added).await;
            let code = match result {
                Ok(_) => status.as_str(),
                Err(_) => "aborted_stream",
            };
            self.count("chunked", code);
            return result;
        }
        self.observe("unsupported", begin);
        self.count("unsupported", status.as_str());
        Err(format!("unsupported content type: {kind}"))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        headers.insert(VERSION, HeaderValue::from_static("0.1.0"));
        for (name, value) in &self.settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    async fn frames(
        &self,
        response: Response<Incoming>,
        added: &[String],
    ) -> Result<Vec<Arc<dyn Series>>, String> {
        let mut frames = Frames::new(self.settings.frame_bytes_max, added);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("error reading response: {error}"))?;
            if let Some(data) = frame.data_ref() {
                frames.push(data).map_err(|error| error.to_string())?;
            }
        }
        frames.finish().map_err(|error| error.to_string())
    }

    fn observe(&self, kind: &str, begin: Instant) {
        let [name, url] = self.labels();
        self.registry
            .histogram(
                SECONDS,
                "Histogram of the latency for remote read requests. Note that for streamed responses this is only the duration of the initial call and does not include the processing of the stream.",
                &[name, url, ("response_type", kind)],
                &BUCKETS,
            )
            .observe(begin.elapsed().as_secs_f64());
    }

    fn count(&self, kind: &str, code: &str) {
        let [name, url] = self.labels();
        self.registry
            .counter(
                QUERIES_TOTAL,
                "The total number of remote read queries.",
                &[name, url, ("response_type", kind), ("code", code)],
            )
            .inc();
    }
}

/// The body of an answer in samples.
async fn whole(response: Response<Incoming>) -> Result<BytesMut, String> {
    let mut body = response.into_body();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            format!(
                "error reading response. HTTP status code: {}: {error}",
                StatusCode::OK
            )
        })?;
        if let Some(data) = frame.data_ref() {
            if all.len() + data.len() > SAMPLES_BYTES_MAX {
                return Err(format!(
                    "response is larger than the limit of {SAMPLES_BYTES_MAX} bytes"
                ));
            }
            all.extend_from_slice(data);
        }
    }
    Ok(all)
}

/// The beginning of an answer that says what is wrong.
async fn quoted(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while text.len() < QUOTED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    text.truncate(QUOTED_BYTES);
    String::from_utf8_lossy(&text).into_owned()
}

/// A remote system within a time range. What it fails to answer becomes a warning, and it is not asked again.
pub(super) struct RemoteQuerier {
    remote: Arc<Remote>,
    range: (i64, i64),
    runtime: Handle,
    failure: Mutex<Option<String>>,
    /// Label names were wanted, which the protocol does not have.
    has_no_answer: AtomicBool,
}

impl RemoteQuerier {
    pub(super) fn new(remote: Arc<Remote>, range: (i64, i64), runtime: Handle) -> Self {
        Self {
            remote,
            range,
            runtime,
            failure: Mutex::new(None),
            has_no_answer: AtomicBool::new(false),
        }
    }
}

impl Querier for RemoteQuerier {
    fn select(
        &self,
        _sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        // All or nothing of a query comes from a remote system, as far as that is known in time.
        if self.failure.lock().is_some() || !self.remote.is_required(matchers) {
            return Ok(Vec::new());
        }
        let span = trace::span_of("Remote Read", SpanKind::Client);
        let reading = span.around(self.remote.read(self.range, matchers));
        match self.runtime.block_on(reading) {
            Ok(series) => Ok(series),
            Err(error) => {
                tracing::warn!(
                    remote_name = self.remote.settings.name,
                    url = self.remote.settings.endpoint,
                    error,
                    "remote read failed, the query goes on without"
                );
                *self.failure.lock() = Some(format!("remote_read: {error}"));
                Ok(Vec::new())
            }
        }
    }

    fn label_names(&self, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        self.has_no_answer.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher]) -> Result<Vec<String>, StorageError> {
        self.has_no_answer.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    fn warnings(&self) -> Vec<String> {
        let has_no_answer = self.has_no_answer.load(Ordering::Relaxed);
        // Prometheus' words.
        let labels = has_no_answer.then(|| "not implemented".to_owned());
        let failure = self.failure.lock().clone();
        failure.into_iter().chain(labels).collect()
    }
}
