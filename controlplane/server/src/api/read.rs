//! `/read`: the remote read endpoint.
//!
//! Series are read on a blocking thread. Streamed answers leave it frame by frame through a channel of a few frames,
//! so that a slow client holds the reading up instead of filling memory.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_model::Labels;
use bellwether_model::storage::StorageError;
use bellwether_remote::{
    ChunkRecord, FrameWriter, HistogramRecord, ReadError, ReadRequest, ResponseType,
    SamplesResponse,
};
use bellwether_telemetry::Gauge;
use bellwether_tsdb::{ChunkSeries, Db, SampleValue};
use http::{StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Core;
use crate::http::plain_error;
use crate::settings::RemoteReadSettings;
use crate::state::{OpenCore, Shared};

/// Frames on their way to a client.
const FRAMES_AHEAD: usize = 4;

/// Limits of remote read, and who is being served.
pub(crate) struct RemoteRead {
    settings: RemoteReadSettings,
    slots: Arc<Semaphore>,
    running: Gauge,
}

impl RemoteRead {
    pub(crate) fn new(
        settings: RemoteReadSettings,
        registry: &bellwether_telemetry::Registry,
    ) -> Self {
        let slots = match settings.concurrent_max {
            0 => Semaphore::MAX_PERMITS,
            n => n.min(Semaphore::MAX_PERMITS),
        };
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            running: registry.gauge(
                "prometheus_remote_read_handler_queries",
                "The current number of remote read queries that are either in execution or queued on the handler.",
                &[],
            ),
            settings,
        }
    }
}

/// A place among the requests that are served; given back when dropped.
struct Place {
    running: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.dec();
    }
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

pub(crate) async fn read(State(state): Shared, core: Core, body: Bytes) -> Response {
    let handler = &core.remote_read;
    let slot = Arc::clone(&handler.slots).acquire_owned().await;
    let Ok(slot) = slot else {
        return plain_error(StatusCode::INTERNAL_SERVER_ERROR, "shutting down");
    };
    handler.running.inc();
    let place = Place {
        running: handler.running.clone(),
        _slot: slot,
    };
    let external = state.config.load().config.external_labels.clone();
    let request = match ReadRequest::decode(&body, &external) {
        Ok(request) => request,
        Err(error) => return refused(&error.into()),
    };
    let core = Arc::clone(&core.0);
    match request.response {
        ResponseType::Samples => samples(core, request, external, place).await,
        ResponseType::Chunks => chunks(core, request, external, place),
    }
}

fn refused(failure: &Failure) -> Response {
    let status = match failure {
        Failure::Read(error) => error.status(),
        Failure::Storage(_) => 500,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::warn!(error = %failure, "cannot answer a remote read request");
    }
    plain_error(status, &failure.to_string())
}

async fn samples(
    core: Arc<OpenCore>,
    request: ReadRequest,
    external: Labels,
    place: Place,
) -> Response {
    let limit = core.remote_read.settings.sample_limit;
    let answer = tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut response = SamplesResponse::new(&external, limit);
        for query in &request.queries {
            let found = core
                .db
                .select_chunks(query.start_ms, query.end_ms, &query.matchers)?;
            for series in found {
                add_samples(&mut response, &series, query.labels_only)?;
            }
            response.end_query();
        }
        Ok(response.finish()?)
    })
    .await;
    match answer {
        Ok(Ok(body)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/x-protobuf"),
                (header::CONTENT_ENCODING, "snappy"),
            ];
            (headers, body).into_response()
        }
        Ok(Err(failure)) => refused(&failure),
        Err(error) => {
            tracing::error!(%error, "remote read ended abnormally");
            plain_error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

fn add_samples(
    response: &mut SamplesResponse<'_>,
    series: &ChunkSeries,
    labels_only: bool,
) -> Result<(), Failure> {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    let samples = if labels_only {
        Vec::new()
    } else {
        series.samples()?
    };
    for (t, sample) in samples {
        match sample {
            SampleValue::Float(v) => floats.push((t, v)),
            SampleValue::Histogram(h) => histograms.push(HistogramRecord::Integer(t, h.into())),
            SampleValue::FloatHistogram(h) => histograms.push(HistogramRecord::Float(t, h.into())),
        }
    }
    Ok(response.series(series.labels(), &floats, &histograms)?)
}

fn chunks(core: Arc<OpenCore>, request: ReadRequest, external: Labels, place: Place) -> Response {
    let (sender, mut frames) = mpsc::channel(FRAMES_AHEAD);
    let bytes_max = core.remote_read.settings.bytes_in_frame_max;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let writer = FrameWriter::new(&external, bytes_max);
        if let Err(error) = send_frames(&core.db, &request, &writer, &sender) {
            tracing::warn!(%error, "cannot go on with a remote read answer");
            // The connection breaks, so that the client does not take the beginning for the whole.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| frames.poll_recv(context));
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(stream)).into_response()
}

/// Sends the frames of all queries; ends early when the client is gone.
fn send_frames(
    db: &Db,
    request: &ReadRequest,
    writer: &FrameWriter<'_>,
    sender: &mpsc::Sender<Result<Bytes, io::Error>>,
) -> Result<(), StorageError> {
    let mut out = Vec::new();
    for (index, query) in request.queries.iter().enumerate() {
        for series in db.select_chunks(query.start_ms, query.end_ms, &query.matchers)? {
            let chunks = series.chunks()?;
            let records: Vec<ChunkRecord<'_>> = chunks
                .iter()
                .map(|c| ChunkRecord {
                    mint: c.bounds().0,
                    maxt: c.bounds().1,
                    encoding: c.encoding(),
                    data: c,
                })
                .collect();
            writer.series(index, series.labels(), &records, &mut out);
            // Small frames travel together.
            if out.len() >= 64 << 10 && !send(sender, &mut out) {
                return Ok(());
            }
        }
    }
    send(sender, &mut out);
    Ok(())
}

/// False when nobody listens any more.
fn send(sender: &mpsc::Sender<Result<Bytes, io::Error>>, out: &mut Vec<u8>) -> bool {
    let bytes = Bytes::from(std::mem::take(out));
    bytes.is_empty() || sender.blocking_send(Ok(bytes)).is_ok()
}
