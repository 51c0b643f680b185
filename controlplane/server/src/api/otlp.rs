//! `/otlp/v1/metrics`: the OTLP receiver.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_remote::otlp::{self, OtlpError, OtlpWarning};
use bellwether_telemetry::{Counter, Registry};
use http::{HeaderMap, StatusCode, header};

use super::Ready;
use crate::http::plain_error;
use crate::state::{Shared, now_ms};

/// What the receiver tells about requests that were stored.
pub(crate) struct OtlpMetrics {
    warnings: [Counter; OtlpWarning::ALL.len()],
}

impl OtlpMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            warnings: OtlpWarning::ALL.map(|warning| {
                registry.counter(
                    "prometheus_api_otlp_translation_warnings_total",
                    "The total number of warnings produced while translating OTLP metrics to the Prometheus model, by category.",
                    &[("category", warning.category())],
                )
            }),
        }
    }

    fn count(&self, warnings: &[OtlpWarning]) {
        for (kind, counter) in OtlpWarning::ALL.iter().zip(&self.warnings) {
            let count = warnings.iter().filter(|w| *w == kind).count();
            if count > 0 {
                counter.add(count as f64);
                tracing::debug!(category = kind.category(), count, "odd OTLP request");
            }
        }
    }
}

pub(crate) async fn write(
    State(state): Shared,
    core: Ready,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !state.web.enable_otlp_receiver {
        return plain_error(
            StatusCode::NOT_FOUND,
            "otlp write receiver needs to be enabled with --web.enable-otlp-receiver",
        );
    }
    let text = |name: header::HeaderName| {
        let value = headers.get(name).map(|v| v.to_str().unwrap_or("invalid"));
        value.unwrap_or_default().to_owned()
    };
    let (content_type, encoding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    let settings = state
        .config
        .load()
        .config
        .otlp
        .settings(state.lookback_ms, &state.features);
    let core = Arc::clone(core.0.intake());
    let now = now_ms();
    let result = tokio::task::spawn_blocking(move || {
        let request = otlp::body(&content_type, &encoding, &body)?;
        let stats = match &core.otlp_deltas {
            Some(deltas) => deltas.write(&*core.storage, &settings, &request, now)?,
            None => otlp::write(&*core.storage, &settings, &request, now)?,
        };
        core.otlp.count(&stats.warnings);
        Ok::<_, OtlpError>(())
    })
    .await;
    match result {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => {
            let status =
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if matches!(error, OtlpError::Storage(_)) {
                tracing::error!(%error, "cannot store an OTLP request");
            } else {
                tracing::debug!(%error, "OTLP request refused");
            }
            plain_error(status, &error.to_string())
        }
        Err(error) => {
            tracing::error!(%error, "OTLP write ended abnormally");
            plain_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}
