//! For tests: servers that answer what a test wants, over real sockets, and one round of a mechanism.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bellwether_telemetry::Registry;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::discoverer::{BuildContext, BuildError, Discoverer, Updates};
use crate::group::TargetGroup;
use crate::metrics::SdMetrics;

/// Time that anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the fake server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

/// A server that answers by a function.
pub(crate) struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Asked>>>,
    _task: AbortOnDropHandle<()>,
}

impl Fake {
    pub(crate) async fn start(
        answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let noted = Arc::clone(&requests);
        let handler = move |request: Request| async move {
            let asked = Asked {
                path: request.uri().to_string(),
                headers: request.headers().clone(),
            };
            noted.lock().push(asked.clone());
            answer(&asked)
        };
        let app = axum::Router::new().fallback(handler);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            requests,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.requests.lock().clone()
    }

    pub(crate) fn json(text: &str) -> Response {
        ([("content-type", "application/json")], text.to_owned()).into_response()
    }

    pub(crate) fn not_found() -> Response {
        StatusCode::NOT_FOUND.into_response()
    }
}

pub(crate) fn context() -> BuildContext {
    BuildContext {
        base_dir: PathBuf::from("."),
        set: "job".to_owned(),
        metrics: SdMetrics::new(&Registry::new()),
    }
}

/// Runs a mechanism until its first message.
pub(crate) async fn discover(
    build: impl FnOnce(&BuildContext) -> Result<Box<dyn Discoverer>, BuildError>,
) -> Vec<TargetGroup> {
    let discoverer = build(&context()).unwrap();
    let (sender, mut received) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let running = tokio::spawn(discoverer.run(Updates(sender), stop.clone()));
    let first = tokio::time::timeout(PATIENCE, received.recv()).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
    first
        .expect("no message in time")
        .expect("the mechanism ended")
}
