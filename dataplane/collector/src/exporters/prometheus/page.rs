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
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::accept::Negotiated;
use super::render::{Format, render};
use super::store::Store;

/// Bytes per series for the first page; later pages take the last one's size.
const BYTES_PER_SERIES: usize = 128;

/// What the configuration says about the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSettings {
    pub(super) open_metrics: bool,
    pub(super) timestamps: bool,
    /// Names may be outside the legacy set.
    pub(super) utf8: bool,
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
    let settings = page.settings;
    let form = Negotiated::of(&headers, settings.open_metrics, settings.utf8);
    let format = Format {
        open_metrics: form.open_metrics,
        timestamps: settings.timestamps,
        utf8: form.utf8,
    };
    let takes_gzip = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|v| v.contains("gzip"));
    // On the same machine compression costs more than the bytes it saves.
    let is_local = peer.is_some_and(|p| p.0.0.ip().is_loopback());
    let gzip = !is_local && takes_gzip;
    let body = tokio::task::spawn_blocking(move || page.text(format, gzip)).await;
    let Ok(body) = body else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = ([(header::CONTENT_TYPE, form.content_type())], body).into_response();
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
