//! The shop's client of the payment provider: one call over a real socket,
//! with the trace context in its headers, a client span, a client metric and
//! the circuit breaker around it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use opentelemetry::metrics::Histogram;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT,
    URL_FULL,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::breaker::Breaker;
use crate::http_metrics::DURATION_BOUNDARIES_S;
use crate::otel::{Telemetry, ensure_tls_provider, is_loopback, is_plain_http};
use crate::propagation::HeaderInjector;

/// The header by which the shop asks the provider to play dead while a
/// dependency outage is switched on. The failure then happens where a real one
/// would: on the other side of the socket.
pub(crate) const OUTAGE_HEADER: &str = "bellwether-fault";

/// The route of the provider that charges money.
pub(crate) const CHARGE_ROUTE: &str = "/charge";

/// What is asked of the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChargeRequest {
    pub(crate) order_id: String,
    pub(crate) amount: f64,
}

/// What the provider answers to a charge that went through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChargeReply {
    pub(crate) transaction_id: String,
}

/// How a payment ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Charge {
    Approved { transaction_id: String },
    Declined,
}

/// Why there is no answer to a charge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChargeError {
    #[error("the circuit breaker is open")]
    BreakerOpen { retry_after: Duration },
    #[error("the payment provider answered {0}")]
    Status(StatusCode),
    #[error("the payment provider did not answer in time")]
    Timeout,
    #[error("the payment provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the payment provider's answer is not understood")]
    Malformed(#[source] reqwest::Error),
}

impl ChargeError {
    /// `error.type` of the span and the metric (low cardinality).
    fn kind(&self) -> String {
        match self {
            Self::BreakerOpen { .. } => "circuit_open".to_owned(),
            Self::Status(status) => status.as_u16().to_string(),
            Self::Timeout => "timeout".to_owned(),
            Self::Unreachable(_) => "connection_error".to_owned(),
            Self::Malformed(_) => "malformed_answer".to_owned(),
        }
    }
}

/// The base URL of a provider is not one.
#[derive(Debug, thiserror::Error)]
#[error("payment provider URL {url:?} is not an http or https URL with a host")]
pub struct ProviderUrlError {
    url: String,
}

/// A client of one payment provider.
#[derive(Debug)]
pub(crate) struct PaymentClient {
    http: reqwest::Client,
    url: reqwest::Url,
    server: [KeyValue; 2],
    breaker: Arc<Breaker>,
    tracer: SdkTracer,
    propagator: Arc<TextMapCompositePropagator>,
    duration_s: Histogram<f64>,
}

impl PaymentClient {
    pub(crate) fn new(
        base_url: &str,
        timeout: Duration,
        breaker: Arc<Breaker>,
        telemetry: &Telemetry,
    ) -> Result<Self, ProviderUrlError> {
        ensure_tls_provider();
        let invalid = || ProviderUrlError {
            url: base_url.to_owned(),
        };
        let full = format!("{}{CHARGE_ROUTE}", base_url.trim_end_matches('/'));
        let url: reqwest::Url = full.parse().map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid());
        }
        let host = url.host_str().ok_or_else(invalid)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(invalid)?;
        let mut builder = reqwest::Client::builder().timeout(timeout);
        if is_loopback(&full) {
            builder = builder.no_proxy();
        }
        if is_plain_http(&full) {
            builder = builder
                .tls_certs_only([])
                .redirect(reqwest::redirect::Policy::none());
        }
        Ok(Self {
            http: builder.build().map_err(|_| invalid())?,
            url,
            server: [
                KeyValue::new(SERVER_ADDRESS, host),
                KeyValue::new(SERVER_PORT, i64::from(port)),
            ],
            breaker,
            tracer: telemetry.tracer(),
            propagator: telemetry.propagator(),
            duration_s: telemetry
                .meter()
                .f64_histogram("http.client.request.duration")
                .with_unit("s")
                .with_description("Duration of HTTP client requests.")
                .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
                .build(),
        })
    }

    /// Charges, unless the breaker refuses. `outage` makes the provider fail.
    pub(crate) async fn charge(
        &self,
        parent: &Context,
        request: &ChargeRequest,
        outage: bool,
    ) -> Result<Charge, ChargeError> {
        let permit = self
            .breaker
            .acquire()
            .map_err(|refused| ChargeError::BreakerOpen {
                retry_after: refused.retry_after,
            })?;
        let result = self.observed_call(parent, request, outage).await;
        // A declined card is an answer: the provider works.
        match &result {
            Ok(_) => permit.success(),
            Err(error) => {
                tracing::debug!(%error, "payment failed");
                permit.failure();
            }
        }
        result
    }

    async fn observed_call(
        &self,
        parent: &Context,
        request: &ChargeRequest,
        outage: bool,
    ) -> Result<Charge, ChargeError> {
        let span = self
            .tracer
            .span_builder("POST")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new(HTTP_REQUEST_METHOD, "POST"),
                KeyValue::new(URL_FULL, self.url.to_string()),
                self.server[0].clone(),
                self.server[1].clone(),
            ])
            .start_with_context(&self.tracer, parent);
        let context = parent.with_span(span);
        let start = Instant::now();
        let (status, result) = self.call(&context, request, outage).await;
        self.record(&context, start.elapsed(), status, result.as_ref().err());
        result
    }

    async fn call(
        &self,
        context: &Context,
        request: &ChargeRequest,
        outage: bool,
    ) -> (Option<StatusCode>, Result<Charge, ChargeError>) {
        let mut headers = http::HeaderMap::new();
        self.propagator
            .inject_context(context, &mut HeaderInjector(&mut headers));
        if outage {
            headers.insert(OUTAGE_HEADER, http::HeaderValue::from_static("outage"));
        }
        let sent = self
            .http
            .post(self.url.clone())
            .headers(headers)
            .json(request)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return (None, Err(ChargeError::Timeout)),
            Err(error) => return (None, Err(ChargeError::Unreachable(error))),
        };
        let status = response.status();
        let result = match status {
            StatusCode::PAYMENT_REQUIRED => Ok(Charge::Declined),
            ok if ok.is_success() => match response.json::<ChargeReply>().await {
                Ok(reply) => Ok(Charge::Approved {
                    transaction_id: reply.transaction_id,
                }),
                Err(error) if error.is_timeout() => Err(ChargeError::Timeout),
                Err(error) => Err(ChargeError::Malformed(error)),
            },
            other => Err(ChargeError::Status(other)),
        };
        (Some(status), result)
    }

    fn record(
        &self,
        context: &Context,
        duration: Duration,
        status: Option<StatusCode>,
        error: Option<&ChargeError>,
    ) {
        let span = context.span();
        let mut attributes = vec![
            KeyValue::new(HTTP_REQUEST_METHOD, "POST"),
            self.server[0].clone(),
            self.server[1].clone(),
        ];
        if let Some(status) = status {
            let status = KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
            span.set_attribute(status.clone());
            attributes.push(status);
        }
        // On the client side every 4xx is an error too (HTTP semantic conventions).
        let error_type = error.map(ChargeError::kind).or_else(|| {
            Some(status?)
                .filter(|s| s.as_u16() >= 400)
                .map(|s| s.as_u16().to_string())
        });
        if let Some(kind) = error_type {
            let kind = KeyValue::new(ERROR_TYPE, kind);
            span.set_attribute(kind.clone());
            span.set_status(Status::error(
                error.map(ToString::to_string).unwrap_or_default(),
            ));
            attributes.push(kind);
        }
        self.duration_s.record(duration.as_secs_f64(), &attributes);
        span.end();
    }
}
