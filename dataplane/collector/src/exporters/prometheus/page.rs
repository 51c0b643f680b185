//! The HTTP page.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bellwether_telemetry::{OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::render::{Format, render};
use super::store::Store;

/// Bytes per series for the first page; later pages take the last one's size.
const BYTES_PER_SERIES: usize = 128;

/// What the configuration says about the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSettings {
    pub(super) open_metrics: bool,
    pub(super) timestamps: bool,
}

struct Page {
    store: Arc<Mutex<Store>>,
    settings: PageSettings,
    last_size: std::sync::atomic::AtomicUsize,
}

pub(super) fn router(store: Arc<Mutex<Store>>, settings: PageSettings) -> Router {
    let page = Arc::new(Page {
        store,
        settings,
        last_size: 0.into(),
    });
    Router::new()
        .route("/metrics", get(answer))
        .with_state(page)
}

async fn answer(
    State(page): State<Arc<Page>>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let accepts = |name: header::HeaderName, what: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .any(|v| v.contains(what))
    };
    let format = Format {
        open_metrics: page.settings.open_metrics
            && accepts(header::ACCEPT, "application/openmetrics-text"),
        timestamps: page.settings.timestamps,
    };
    // On the same machine compression costs more than the bytes it saves.
    let is_local = peer.is_some_and(|p| p.0.0.ip().is_loopback());
    let gzip = !is_local && accepts(header::ACCEPT_ENCODING, "gzip");
    let body = tokio::task::spawn_blocking(move || page.text(format, gzip)).await;
    let Ok(body) = body else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let content_type = if format.open_metrics {
        OPENMETRICS_CONTENT_TYPE
    } else {
        TEXT_CONTENT_TYPE
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    if gzip {
        response.headers_mut().insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_static("gzip"),
        );
    }
    response
}

impl Page {
    fn text(&self, format: Format, gzip: bool) -> Bytes {
        use std::sync::atomic::Ordering::Relaxed;
        let mut out = {
            let store = self.store.lock();
            let guess = store.len() * BYTES_PER_SERIES;
            let mut out = String::with_capacity(self.last_size.load(Relaxed).max(guess) + 1024);
            render(&store, format, Instant::now(), &mut out);
            out
        };
        self.last_size.store(out.len(), Relaxed);
        if !gzip {
            out.shrink_to_fit();
            return out.into();
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(out.len() / 8), Compression::fast());
        // Writing to memory cannot fail.
        let _ = encoder.write_all(out.as_bytes());
        encoder.finish().unwrap_or_default().into()
    }
}
