//! The accept loop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use http::Version;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::counters::ConnectionCounters;
use crate::tls;
use crate::unread::{DrainedBody, Drains};
use crate::web::{Gate, guard};

/// Time for a client to shake hands: it holds a connection that others may wait for.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Time for a client to send the request's head.
    pub header_timeout: Duration,
    /// HTTP/2 keep-alive ping interval; a connection that does not answer within the same time is closed.
    pub keep_alive: Duration,
    /// Time for requests under way after the shutdown signal.
    pub drain_timeout: Duration,
    /// Open connections at most.
    pub max_connections: usize,
    /// TLS, users and headers; none of that by default.
    pub web: Option<Gate>,
    /// Counts connections.
    pub counters: Option<ConnectionCounters>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            // Prometheus' --web.max-connections.
            max_connections: 512,
            web: None,
            counters: None,
        }
    }
}

/// Serves a router until `shutdown` is cancelled, then drains. Handlers find the peer's address as
/// `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    options: ServeOptions,
    shutdown: CancellationToken,
) {
    let app = match &options.web {
        Some(gate) => app.layer(from_fn_with_state(gate.clone(), guard)),
        None => app,
    };
    let options = Arc::new(options);
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let connections = TaskTracker::new();
    // Cut connections that are still busy when the drain time is over.
    let cut = CancellationToken::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer),
                Err(error) => {
                    // Out of file descriptors, usually: wait for connections to end instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (stream, peer) = stream;
        let app = app.clone();
        let (options, shutdown) = (Arc::clone(&options), shutdown.clone());
        let drains = Drains {
            tasks: connections.clone(),
            cut: cut.clone(),
        };
        let accepted = options.counters.as_ref().map(ConnectionCounters::accept);
        connections.spawn(async move {
            connection(stream, peer, app, &options, &shutdown, &drains).await;
            drop((permit, accepted));
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.drain_timeout, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "drain time is over, closing connections with requests under way"
        );
        cut.cancel();
        connections.wait().await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: std::net::SocketAddr,
    app: Router,
    options: &ServeOptions,
    shutdown: &CancellationToken,
    drains: &Drains,
) {
    // Answers are written whole; waiting for more data would only add latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    match options.web.as_ref().filter(|gate| gate.is_tls()) {
        None => speak(stream, peer, app, options, shutdown, drains).await,
        Some(gate) => {
            let timeout = options.header_timeout.min(HANDSHAKE_TIMEOUT);
            let handshake = tls::accept(gate, stream, timeout);
            let stream = tokio::select! {
                () = shutdown.cancelled() => return,
                stream = handshake => match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(%peer, %error, "TLS handshake error");
                        return;
                    }
                },
            };
            speak(stream, peer, app, options, shutdown, drains).await;
        }
    }
}

/// Serves requests over a connection until it ends.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: std::net::SocketAddr,
    app: Router,
    options: &ServeOptions,
    shutdown: &CancellationToken,
    drains: &Drains,
) {
    let (cut, of_bodies) = (&drains.cut, drains.clone());
    let service = app.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (head, body) = request.into_parts();
        // HTTP/2 ends the stream alone.
        let body = if head.version == Version::HTTP_2 || body.is_end_stream() {
            axum::body::Body::new(body)
        } else {
            axum::body::Body::new(DrainedBody::new(body, &head.headers, &of_bodies))
        };
        Request::from_parts(head, body)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if options
        .web
        .as_ref()
        .is_some_and(|gate| gate.is_tls() && !gate.is_http2())
    {
        builder = builder.http1_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keep_alive)
        .keep_alive_timeout(options.keep_alive)
        .adaptive_window(true);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = cut.cancelled() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended with an error");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::routing::{any, get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn start(
        options: ServeOptions,
    ) -> (
        std::net::SocketAddr,
        CancellationToken,
        tokio::task::JoinHandle<()>,
    ) {
        let listener = crate::bind("127.0.0.1:0".parse().unwrap(), "test", "test")
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let started = Arc::new(tokio::sync::Notify::new());
        let app = Router::new().route("/", any(|| async { "ok" })).route(
            "/hang",
            get(move || {
                started.notify_one();
                std::future::pending::<()>()
            }),
        );
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, app, options, shutdown.clone()));
        (address, shutdown, task)
    }

    async fn request(address: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_shutdown() {
        let registry = bellwether_telemetry::Registry::new();
        let options = ServeOptions {
            counters: Some(ConnectionCounters::new(&registry, "http")),
            ..ServeOptions::default()
        };
        let (address, shutdown, task) = start(options).await;
        let mut stream = request(address, "/").await;
        let mut buffer = [0; 12];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"HTTP/1.1 200");
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), task)
            .await
            .unwrap()
            .unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        let page = registry.render_text();
        for name in ["accepted", "closed"] {
            let line =
                format!("net_conntrack_listener_conn_{name}_total{{listener_name=\"http\"}} 1\n");
            assert!(page.contains(&line), "{page}");
        }
    }

    /// Reads one answer, whose body is two bytes.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\nok") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "{text:?}");
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_nobody_reads_is_drained_and_the_connection_goes_on() {
        let (address, shutdown, task) = start(ServeOptions::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let half = vec![b'x'; 100 << 10];
        for _ in 0..2 {
            let head = format!(
                "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
                200 << 10
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&half).await.unwrap();
            assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
            stream.write_all(&half).await.unwrap();
        }
        shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_arrives_before_the_end_of_a_body_that_is_too_long_to_drain() {
        let (address, shutdown, task) = start(ServeOptions::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let begin = std::time::Instant::now();
        stream.write_all(&vec![b'x'; 300 << 10]).await.unwrap();
        let mut text = Vec::new();
        // The end is a reset, because the server does not wait for the rest; but it waits for the client.
        let _ = stream.read_to_end(&mut text).await;
        assert!(begin.elapsed() >= Duration::from_millis(500));
        assert!(text.starts_with(b"HTTP/1.1 200"), "{text:?}");
        shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_waits_to_be_asked_for_its_body_is_not_asked() {
        let (address, shutdown, task) = start(ServeOptions::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_after_the_drain_time() {
        let options = ServeOptions {
            drain_timeout: Duration::from_millis(50),
            ..ServeOptions::default()
        };
        let (address, shutdown, task) = start(options).await;
        let mut stream = request(address, "/hang").await;
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), task)
            .await
            .unwrap()
            .unwrap();
        let mut rest = Vec::new();
        // Either a reset or an orderly end: no answer.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}
