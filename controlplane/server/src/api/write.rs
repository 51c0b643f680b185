//! `/write`: the remote write receiver.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_remote::{RemoteWriteError, V2Options, WriteStats};
use http::{HeaderMap, StatusCode, header};

use super::Ready;
use crate::flags::Feature;
use crate::http::plain_error;
use crate::settings::WriteMessage;
use crate::state::{Shared, now_ms};

/// Largest decompressed request: Prometheus' own decoder stops at 32 MiB.
const DECOMPRESSED_BYTES_MAX: usize = 32 << 20;

/// Prometheus' only accepted compression.
const SNAPPY: &str = "snappy";
const PROTOBUF: &str = "application/x-protobuf";

pub(crate) async fn write(
    State(state): Shared,
    core: Ready,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !state.web.enable_remote_write_receiver {
        return plain_error(
            StatusCode::NOT_FOUND,
            "remote write receiver needs to be enabled with --web.enable-remote-write-receiver",
        );
    }
    if let Err(message) = check_encoding(&headers) {
        return plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
    }
    let message = message_of(&headers).and_then(|message| {
        let accepted = &state.web.write_messages;
        if accepted.contains(&message) {
            return Ok(message);
        }
        Err(format!(
            "{} protobuf message is not accepted by this server; only accepts {}",
            message.as_str(),
            names(accepted)
        ))
    });
    let options = V2Options {
        type_and_unit_labels: state.features.has(Feature::TypeAndUnitLabels),
        metadata_records: state.features.has(Feature::MetadataWalRecords),
        start_timestamps: state.features.has(Feature::CreatedTimestampZeroIngestion),
    };
    let core = Arc::clone(core.0.intake());
    let now = now_ms();
    let result = tokio::task::spawn_blocking(move || {
        // As in Prometheus, a body that is no snappy block comes before a content type that is not known.
        let request = bellwether_remote::decompress(&body, DECOMPRESSED_BYTES_MAX)?;
        let stored = match message {
            Ok(WriteMessage::V1) => {
                bellwether_remote::write(&*core.storage, &core.remote_series, &request, now)
            }
            Ok(WriteMessage::V2) => {
                bellwether_remote::write_v2(&*core.storage, &request, now, options)
            }
            Err(message) => return Ok(Err(message)),
        };
        stored.map(Ok)
    })
    .await;
    match result {
        Ok(Ok(Ok(stats))) => (StatusCode::NO_CONTENT, written(stats)).into_response(),
        Ok(Ok(Err(message))) => plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message),
        Ok(Err(error)) => (written(error.stats()), refused(&error)).into_response(),
        Err(error) => {
            tracing::error!(%error, "remote write ended abnormally");
            plain_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

/// The headers that tell the sender what was stored.
fn written(stats: WriteStats) -> [(&'static str, String); 3] {
    [
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
    ]
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

fn names(messages: &[WriteMessage]) -> String {
    let names: Vec<&str> = messages.iter().map(|m| m.as_str()).collect();
    names.join(", ")
}

fn header_text(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers
        .get(name)
        .map_or("", |v| v.to_str().unwrap_or("invalid"))
}

/// A missing encoding means snappy.
fn check_encoding(headers: &HeaderMap) -> Result<(), String> {
    match header_text(headers, header::CONTENT_ENCODING) {
        "" | SNAPPY => Ok(()),
        other => Err(format!(
            "{other} encoding (compression) is not accepted by this server; only {SNAPPY} is acceptable"
        )),
    }
}

/// The message that the content type names; version 1 when it names none. Spaces count, as in Prometheus.
fn message_of(headers: &HeaderMap) -> Result<WriteMessage, String> {
    let content_type = match header_text(headers, header::CONTENT_TYPE).trim() {
        "" => PROTOBUF,
        text => text,
    };
    let mut parts = content_type.split(';');
    if parts.next() != Some(PROTOBUF) {
        return Err(format!(
            "expected {PROTOBUF} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        let mut pair = part.split('=');
        let (Some(name), Some(value), None) = (pair.next(), pair.next(), pair.next()) else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} in {content_type} content-type"
            ));
        };
        if name == "proto" {
            return WriteMessage::parse(value).ok_or_else(|| {
                format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {value}, supported: {}",
                    names(&WriteMessage::ALL)
                )
            });
        }
    }
    Ok(WriteMessage::V1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_message() {
        let message = |content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            message_of(&headers)
        };
        assert_eq!(message_of(&HeaderMap::new()), Ok(WriteMessage::V1));
        for (content_type, expected) in [
            ("", Some(WriteMessage::V1)),
            ("application/x-protobuf", Some(WriteMessage::V1)),
            ("application/x-protobuf;a=b", Some(WriteMessage::V1)),
            (
                "application/x-protobuf;proto=prometheus.WriteRequest",
                Some(WriteMessage::V1),
            ),
            (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                Some(WriteMessage::V2),
            ),
            // Spaces belong to the names.
            (
                "application/x-protobuf; proto=io.prometheus.write.v2.Request",
                Some(WriteMessage::V1),
            ),
            ("application/x-protobuf;proto=nope", None),
            ("application/x-protobuf;proto", None),
            (
                "application/x-protobuf ;proto=prometheus.WriteRequest",
                None,
            ),
            ("text/plain", None),
        ] {
            assert_eq!(message(content_type).ok(), expected, "{content_type}");
        }
    }

    #[test]
    fn only_snappy_is_read() {
        for (encoding, ok) in [
            ("snappy", true),
            ("", true),
            ("gzip", false),
            ("Snappy", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            assert_eq!(check_encoding(&headers).is_ok(), ok, "{encoding}");
        }
    }
}
