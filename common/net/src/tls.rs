//! The server's side of a TLS handshake.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::web::Gate;

/// What a client is told that speaks plain HTTP, in Go's words.
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// The first bytes of requests, as far as a TLS record's head is long.
const REQUESTS: [&[u8; 5]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];

/// Shakes hands within a time.
pub(crate) async fn accept(
    gate: &Gate,
    stream: TcpStream,
    timeout: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let shake = async {
        let config = gate.tls().await.map_err(|error| {
            tracing::error!(%error, "cannot use the web configuration for a new connection");
            io::Error::other(error)
        })?;
        refuse_plain(&stream).await?;
        TlsAcceptor::from(config).accept(stream).await
    };
    match tokio::time::timeout(timeout, shake).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "too slow")),
    }
}

/// Tells a client that forgot the `s` of `https` what is wrong.
async fn refuse_plain(stream: &TcpStream) -> io::Result<()> {
    let mut first = [0; 5];
    let count = stream.peek(&mut first).await?;
    if count < first.len() || !REQUESTS.contains(&&first) {
        return Ok(());
    }
    stream.writable().await?;
    // A few bytes into an empty buffer; what does not fit is lost with a connection that is closed anyway.
    let _ = stream.try_write(NOT_TLS)?;
    Err(io::Error::other("client sent an HTTP request"))
}
