//! `/write`: the remote write receiver.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_remote::RemoteWriteError;
use http::{HeaderMap, StatusCode, header};

use super::Core;
use crate::http::plain_error;
use crate::state::{Shared, now_ms};

/// Largest decompressed request: Prometheus' own decoder stops at 32 MiB.
const DECOMPRESSED_BYTES_MAX: usize = 32 << 20;

const V1: &str = "prometheus.WriteRequest";

pub(crate) async fn write(
    State(state): Shared,
    core: Core,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !state.web.enable_remote_write_receiver {
        return plain_error(
            StatusCode::NOT_FOUND,
            "remote write receiver needs to be enabled with --web.enable-remote-write-receiver",
        );
    }
    if let Err(message) = check_headers(&headers) {
        return plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
    }
    let core = Arc::clone(&core.0);
    let now = now_ms();
    let result = tokio::task::spawn_blocking(move || {
        let request = bellwether_remote::decompress(&body, DECOMPRESSED_BYTES_MAX)?;
        bellwether_remote::write(&*core.db, &core.remote_series, &request, now)
    })
    .await;
    match result {
        Ok(Ok(stats)) => {
            let written = [
                (
                    "x-prometheus-remote-write-samples-written",
                    stats.samples.to_string(),
                ),
                (
                    "x-prometheus-remote-write-histograms-written",
                    stats.histograms.to_string(),
                ),
                (
                    "x-prometheus-remote-write-exemplars-written",
                    stats.exemplars.to_string(),
                ),
            ];
            (StatusCode::NO_CONTENT, written).into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => {
            tracing::error!(%error, "remote write ended abnormally");
            plain_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

fn refused(error: &RemoteWriteError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(%error, "cannot store a remote write request");
    } else {
        tracing::debug!(%error, "remote write request refused");
    }
    plain_error(status, &error.to_string())
}

/// Content type and encoding, with Prometheus' texts. Missing headers mean version 1.0 and snappy.
fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("invalid"));
    if let Some(content_type) = text(header::CONTENT_TYPE).filter(|t| !t.is_empty()) {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !media.eq_ignore_ascii_case("application/x-protobuf") {
            return Err(format!(
                "expected application/x-protobuf as the first (media) part, got {content_type} content-type"
            ));
        }
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!(
                    "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} in {content_type} content-type"
                ));
            };
            if name.trim() == "proto" && value.trim() != V1 {
                return Err(format!(
                    "got {content_type} content type; unknown remote write protobuf message {}, supported: {V1}",
                    value.trim()
                ));
            }
        }
    }
    match text(header::CONTENT_ENCODING) {
        None | Some("" | "snappy") => Ok(()),
        Some(other) => Err(format!(
            "{other} encoding (compression) is not accepted by this server; only snappy is acceptable"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_decide_before_the_body_is_read() {
        let check = |content_type: Option<&str>, encoding: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(v) = content_type {
                headers.insert(header::CONTENT_TYPE, v.parse().unwrap());
            }
            if let Some(v) = encoding {
                headers.insert(header::CONTENT_ENCODING, v.parse().unwrap());
            }
            check_headers(&headers)
        };
        assert!(check(None, None).is_ok());
        assert!(check(Some("application/x-protobuf"), Some("snappy")).is_ok());
        assert!(
            check(
                Some("application/x-protobuf;proto=prometheus.WriteRequest"),
                Some("snappy")
            )
            .is_ok()
        );
        assert!(check(Some("text/plain"), None).is_err());
        assert!(check(Some("application/x-protobuf"), Some("gzip")).is_err());
        assert!(
            check(
                Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                Some("snappy")
            )
            .is_err()
        );
    }
}
