//! Connections to one target: plain HTTP/1.1, kept open and used again.

use std::error::Error as _;
use std::io;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Target;
use crate::operation::Draft;

/// Why a request has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransportError {
    /// No connection.
    Connect,
    /// No complete response within the timeout.
    Timeout,
    /// The connection ended before the response did.
    Reset,
    /// The answer is not HTTP.
    Protocol,
    /// Still under way when the load had to end.
    Aborted,
}

impl TransportError {
    /// In the order of reports.
    pub(crate) const ALL: [Self; 5] = [
        Self::Connect,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Aborted,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Aborted => "aborted",
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// The pool of one target. It holds at most as many connections as there were
/// requests in flight at once.
#[derive(Debug)]
pub(crate) struct Pool {
    target: Target,
    /// Idle connections, the one used last on top: under a falling load the
    /// others grow old and the server closes them.
    idle: Mutex<Vec<Sender>>,
    /// Owns the tasks that drive connections.
    drivers: TaskTracker,
    /// Ends those tasks.
    end: CancellationToken,
}

impl Pool {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            idle: Mutex::new(Vec::new()),
            drivers: TaskTracker::new(),
            end: CancellationToken::new(),
        }
    }

    /// Sends one request and reads the whole response; returns its status.
    pub(crate) async fn exchange(&self, draft: Draft) -> Result<u16, TransportError> {
        let mut request = self.request(draft)?;
        loop {
            let Some(mut sender) = self.reuse().await else {
                let sender = self.connect().await?;
                return self.send_on(sender, request).await;
            };
            match sender.try_send_request(request).await {
                Ok(response) => return self.finish(sender, response).await,
                // The connection died before the request was on the wire: the
                // server has not seen it, another connection may carry it.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(classify(&error.into_error())),
                },
            }
        }
    }

    /// Ends all connections and waits for their tasks.
    pub(crate) async fn close(&self) {
        self.idle.lock().clear();
        self.end.cancel();
        self.drivers.close();
        self.drivers.wait().await;
    }

    fn request(&self, draft: Draft) -> Result<Request<Full<Bytes>>, TransportError> {
        let mut builder = Request::builder()
            .method(draft.method)
            .uri(format!("{}{}", self.target.prefix, draft.path))
            .header(header::HOST, &self.target.authority)
            .header(
                header::USER_AGENT,
                concat!("bellwether-load/", env!("CARGO_PKG_VERSION")),
            );
        if !draft.body.is_empty() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        builder
            .body(Full::new(draft.body))
            .map_err(|_| TransportError::Protocol)
    }

    /// An idle connection that still lives.
    async fn reuse(&self) -> Option<Sender> {
        loop {
            let mut sender = self.idle.lock().pop()?;
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> Result<Sender, TransportError> {
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port))
            .await
            .map_err(|error| {
                tracing::debug!(%error, host = self.target.host, port = self.target.port, "cannot connect");
                TransportError::Connect
            })?;
        // Requests are written whole; waiting for more would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| classify(&error))?;
        let end = self.end.clone();
        self.drivers.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::trace!(%error, "connection ended");
                },
                () = end.cancelled() => {}
            }
        });
        Ok(sender)
    }

    async fn send_on(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<u16, TransportError> {
        match sender.send_request(request).await {
            Ok(response) => self.finish(sender, response).await,
            Err(error) => Err(classify(&error)),
        }
    }

    async fn finish(
        &self,
        sender: Sender,
        response: http::Response<Incoming>,
    ) -> Result<u16, TransportError> {
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| classify(&error))?;
        }
        if !sender.is_closed() {
            self.idle.lock().push(sender);
        }
        Ok(status)
    }
}

fn classify(error: &hyper::Error) -> TransportError {
    if error.is_parse() {
        return TransportError::Protocol;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return TransportError::Reset;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<io::Error>() {
            return TransportError::Reset;
        }
        source = cause.source();
    }
    TransportError::Protocol
}
