//! The middleware that observes every exchange of a service: server span,
//! HTTP metrics, a log record for failures, and the limit on answering time.
//!
//! It runs inside the router, so that the matched route template is known; the
//! path itself never becomes a label.

use std::error::Error;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, Severity};
use opentelemetry::metrics::BoundUpDownCounter;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::logs::SdkLogger;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PROTOCOL_VERSION, URL_PATH, URL_SCHEME,
};
use tokio::time::Instant;

use crate::config::Timeouts;
use crate::http_metrics::{Exchange, HttpMetrics};
use crate::labels::{Ending, MethodLabel, RouteLabel, protocol_version};
use crate::lesson::LessonMetrics;
use crate::otel::Telemetry;
use crate::propagation::HeaderExtractor;
use crate::reply;

/// Bodies above this are refused with 413: an order of 100 items is 4 kB.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything the middleware records to. One per service.
#[derive(Debug)]
pub(crate) struct Observer {
    http: HttpMetrics,
    lesson: LessonMetrics,
    tracer: SdkTracer,
    logger: Option<SdkLogger>,
    propagator: Arc<TextMapCompositePropagator>,
    routes: &'static [&'static str],
    timeouts: Timeouts,
}

/// The trace context of the request being served, for handlers that call
/// further services.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext(pub(crate) Context);

impl Observer {
    pub(crate) fn new(
        telemetry: &Telemetry,
        old_conventions: bool,
        routes: &'static [&'static str],
        timeouts: Timeouts,
    ) -> Self {
        let meter = telemetry.meter();
        Self {
            http: HttpMetrics::new(&meter, old_conventions),
            lesson: LessonMetrics::new(&meter),
            tracer: telemetry.tracer(),
            logger: telemetry.logger(),
            propagator: telemetry.propagator(),
            routes,
            timeouts,
        }
    }

    /// Makes the hand-made counters of these endpoints exist with value 0.
    pub(crate) fn touch(&self, endpoints: &[(&http::Method, &str, &[u16])]) {
        for (method, route, statuses) in endpoints {
            let route = RouteLabel::of(Some(route), self.routes);
            for status in *statuses {
                self.lesson.touch(MethodLabel::of(method), route, *status);
            }
        }
    }

    fn begin(self: &Arc<Self>, request: &Request) -> InFlight {
        let method = MethodLabel::of(request.method());
        let matched = request.extensions().get::<MatchedPath>();
        let route = RouteLabel::of(matched.map(MatchedPath::as_str), self.routes);
        InFlight {
            context: self.start_span(request, method, route),
            active: [self.http.begin(method), self.lesson.begin(method)],
            observer: Arc::clone(self),
            start: Instant::now(),
            method,
            route,
            version: request.version(),
            request_bytes: content_length(request.headers()).unwrap_or(0),
            finished: false,
        }
    }

    fn start_span(&self, request: &Request, method: MethodLabel, route: RouteLabel) -> Context {
        let parent = self
            .propagator
            .extract_with_context(&Context::new(), &HeaderExtractor(request.headers()));
        let name = if route.is_matched() {
            format!("{} {}", method.span_name(), route.as_str())
        } else {
            method.span_name().to_owned()
        };
        let span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new(HTTP_REQUEST_METHOD, method.as_str()),
                KeyValue::new(HTTP_ROUTE, route.as_str()),
                KeyValue::new(URL_SCHEME, "http"),
                KeyValue::new(URL_PATH, request.uri().path().to_owned()),
                KeyValue::new(
                    NETWORK_PROTOCOL_VERSION,
                    protocol_version(request.version()),
                ),
            ])
            .start_with_context(&self.tracer, &parent);
        parent.with_span(span)
    }

    fn log_failure(&self, exchange: &Exchange, context: &Context) {
        let Some(logger) = &self.logger else { return };
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Error);
        record.set_severity_text("ERROR");
        record.set_timestamp(std::time::SystemTime::now());
        record.set_body(AnyValue::from("request failed"));
        record.add_attribute(HTTP_REQUEST_METHOD, exchange.method.as_str());
        record.add_attribute(HTTP_ROUTE, exchange.route.as_str());
        record.add_attribute("status", exchange.ending.status_label());
        let span = context.span();
        let ids = span.span_context();
        record.set_trace_context(ids.trace_id(), ids.span_id(), Some(ids.trace_flags()));
        logger.emit(record);
    }
}

/// A request under way. Dropping it without [`InFlight::finish`] means that
/// the client went away, which is recorded too: every request that begins ends
/// in the counters exactly once.
struct InFlight {
    observer: Arc<Observer>,
    context: Context,
    active: [BoundUpDownCounter<i64>; 2],
    start: Instant,
    method: MethodLabel,
    route: RouteLabel,
    version: Version,
    request_bytes: u64,
    finished: bool,
}

impl InFlight {
    fn finish(mut self, response: &Response) {
        let bytes = content_length(response.headers())
            .or_else(|| response.body().size_hint().exact())
            .unwrap_or(0);
        self.end(Ending::Status(response.status().as_u16()), Some(bytes));
    }

    fn end(&mut self, ending: Ending, response_bytes: Option<u64>) {
        self.finished = true;
        for active in &self.active {
            active.add(-1);
        }
        let exchange = Exchange {
            method: self.method,
            route: self.route,
            version: self.version,
            ending,
            duration: self.start.elapsed(),
            request_bytes: self.request_bytes,
            response_bytes,
        };
        self.observer.http.record(&exchange);
        self.observer.lesson.record(&exchange);
        let error = ending.error_type();
        if error.is_some() {
            self.observer.log_failure(&exchange, &self.context);
        }
        let span = self.context.span();
        if let Ending::Status(code) = ending {
            span.set_attribute(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(code)));
        }
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(ERROR_TYPE, error));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.finished {
            self.end(Ending::Cancelled, None);
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads the whole body, which all handlers do anyway: here it has a time limit
/// and its real size is known.
async fn read_body(
    observer: &Observer,
    request: Request<Body>,
) -> Result<(Request<Body>, u64), (StatusCode, &'static str)> {
    let (parts, body) = request.into_parts();
    let reading = tokio::time::timeout(observer.timeouts.read, to_bytes(body, BODY_BYTES_MAX));
    match reading.await {
        Ok(Ok(bytes)) => {
            let size = bytes.len() as u64;
            Ok((Request::from_parts(parts, Body::from(bytes)), size))
        }
        Ok(Err(error))
            if error
                .source()
                .is_some_and(<dyn Error>::is::<LengthLimitError>) =>
        {
            Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is above 64 KiB"))
        }
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err((
            StatusCode::REQUEST_TIMEOUT,
            "the body took longer than the read timeout",
        )),
    }
}

/// The middleware: `axum::middleware::from_fn_with_state(observer, observe)`.
pub(crate) async fn observe(
    State(observer): State<Arc<Observer>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let mut in_flight = observer.begin(&request);
    let response = match read_body(&observer, request).await {
        Ok((mut request, size)) => {
            in_flight.request_bytes = size;
            let context = RequestContext(in_flight.context.clone());
            request.extensions_mut().insert(context);
            match tokio::time::timeout(observer.timeouts.write, next.run(request)).await {
                Ok(response) => response,
                Err(_) => reply::error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the answer took longer than the write timeout",
                )
                .into_response(),
            }
        }
        Err((status, reason)) => reply::error(status, reason).into_response(),
    };
    in_flight.finish(&response);
    response
}
