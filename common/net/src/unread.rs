//! What becomes of a request's body that nobody read to its end.
//!
//! A connection that is closed while something has arrived that was not read is reset, and the reset may overtake the
//! answer. So the rest is read and thrown away, up to a limit, and the connection goes on; where there is more, it is
//! left open for a moment, so that the client can read the answer first. Limit and moment are those of Go's server.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes of the rest that are read.
const DRAINED_BYTES: usize = 256 << 10;
/// How long a connection with more than that stays open after the answer.
const LINGER: Duration = Duration::from_millis(500);
/// How long the rest may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the rest of bodies is read: with the connections, and no longer than these.
#[derive(Clone, Debug)]
pub(crate) struct Drains {
    pub(crate) tasks: TaskTracker,
    pub(crate) cut: CancellationToken,
}

/// A request's body; the rest is drained when it is dropped.
pub(crate) struct DrainedBody {
    body: Option<Incoming>,
    drains: Drains,
    /// Reading lets the client send, who waits to be asked for it.
    waits: bool,
}

impl DrainedBody {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap, drains: &Drains) -> Self {
        Self {
            body: Some(body),
            drains: drains.clone(),
            waits: headers.contains_key(EXPECT),
        }
    }
}

impl Body for DrainedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        let runtime = tokio::runtime::Handle::try_current();
        let (false, Ok(runtime)) = (self.waits, runtime) else {
            return;
        };
        let cut = self.drains.cut.clone();
        let draining = async move {
            cut.run_until_cancelled(tokio::time::timeout(PATIENCE, drain(body)))
                .await;
        };
        self.drains.tasks.spawn_on(draining, &runtime);
    }
}

async fn drain(mut body: Incoming) {
    let mut drained = 0;
    // The last frame may be the one that goes beyond the limit.
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_BYTES {
            tokio::time::sleep(LINGER).await;
            return;
        }
    }
}
