//! One connector for everything: plain or TLS, direct or through a proxy.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, Uri};
use http_body_util::Empty;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::addresses::Addresses;
use crate::dialing::{Dialing, Open};
use crate::error::{TlsError, root_cause};
use crate::proxy::{Proxies, Proxy, ProxyKind};
use crate::settings::TlsSettings;
use crate::tls::TlsTexts;

/// As Go's dialer of Prometheus.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// As Prometheus' transport.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections: a `tower` service from URLs to streams.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector<Addresses>,
    shared: Arc<Shared>,
}

struct Shared {
    proxies: Arc<Proxies>,
    tls: TlsSettings,
    texts: TlsTexts,
    http2: bool,
    dialing: Dialing,
    /// Made by the first connection that needs it: most clients never speak TLS.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Connector {
    /// `texts` are the certificates and keys as read from their files; `addresses` finds those of hosts.
    pub(crate) fn new(
        proxies: Arc<Proxies>,
        tls: TlsSettings,
        texts: TlsTexts,
        http2: bool,
        addresses: Addresses,
        dialing: Dialing,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(addresses);
        tcp.set_nodelay(true);
        // The scheme is ours to look at.
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self {
            tcp,
            shared: Arc::new(Shared {
                proxies,
                tls,
                texts,
                http2,
                dialing,
                config: OnceLock::new(),
            }),
        }
    }

    /// Makes the TLS configuration if it is not there yet. Blocks on the disk.
    pub(crate) fn prepare_tls(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let shared = &self.shared;
        if let Some(config) = shared.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = shared.tls.client_config(&shared.texts, shared.http2)?;
        Ok(Arc::clone(shared.config.get_or_init(|| Arc::new(config))))
    }

    async fn tls_config(&self) -> Result<Arc<ClientConfig>, BoxError> {
        if let Some(config) = self.shared.config.get() {
            return Ok(Arc::clone(config));
        }
        let connector = self.clone();
        Ok(tokio::task::spawn_blocking(move || connector.prepare_tls()).await??)
    }

    async fn connect(mut self, to: Uri) -> Result<Conn, BoxError> {
        let tls = match to.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(unsupported(other).into()),
        };
        let proxy = self.shared.proxies.for_uri(&to).cloned();
        let Some(proxy) = proxy else {
            let (tcp, open) = self.dial(to.clone()).await?;
            let io = if tls {
                let stream = self.handshake(tcp.into_inner(), &to).await?;
                Io::Tls(Box::new(TokioIo::new(stream)))
            } else {
                Io::Plain(tcp)
            };
            return Ok(Conn::new(io, false, Some(open)));
        };
        let failed = |error: BoxError| {
            let reason = root_cause(&*error);
            io::Error::other(format!("proxyconnect {}: {reason}", proxy.uri))
        };
        let (io, open) = self.through(&proxy, &to, tls).await.map_err(failed)?;
        if tls {
            let io = self.end_to_end(io, &to).await?;
            return Ok(Conn::new(io, false, Some(open)));
        }
        let proxied = matches!(proxy.kind, ProxyKind::Http { .. });
        Ok(Conn::new(io, proxied, Some(open)))
    }

    /// Opens a TCP connection.
    async fn dial(&mut self, to: Uri) -> Result<(TokioIo<TcpStream>, Open), BoxError> {
        let dialing = &self.shared.dialing;
        dialing.attempt();
        match self.tcp.call(to).await {
            Ok(tcp) => Ok((tcp, dialing.establish())),
            Err(error) => {
                dialing.fail(&error);
                Err(error.into())
            }
        }
    }

    /// A connection to the proxy, or through it where it only passes bytes on.
    async fn through(
        &mut self,
        proxy: &Arc<Proxy>,
        to: &Uri,
        tls: bool,
    ) -> Result<(Io, Open), BoxError> {
        match proxy.kind {
            ProxyKind::Socks5 => {
                // Connected before: the library would not say why that failed.
                let (tcp, open) = self.dial(proxy.uri.clone()).await?;
                let mut socks = SocksV5::new(proxy.uri.clone(), Ready(Some(tcp)));
                if let Some((user, password)) = &proxy.user {
                    socks = socks.with_auth(user.clone(), password.0.clone());
                }
                Ok((Io::Plain(socks.call(with_port(to, tls)?).await?), open))
            }
            ProxyKind::Http { tls: proxy_tls } => {
                let (tcp, open) = self.dial(proxy.uri.clone()).await?;
                let io = if proxy_tls {
                    let stream = self.handshake_with_proxy(tcp, &proxy.uri).await?;
                    Io::Tls(Box::new(TokioIo::new(stream)))
                } else {
                    Io::Plain(tcp)
                };
                if tls {
                    Ok((self.tunnel(io, proxy, to).await?, open))
                } else {
                    Ok((io, open))
                }
            }
        }
    }

    /// Asks an HTTP proxy to pass bytes on.
    async fn tunnel(&self, io: Io, proxy: &Proxy, to: &Uri) -> Result<Io, BoxError> {
        let to = with_port(to, true)?;
        let authority = to.authority().map_or("", |a| a.as_str());
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = authority.parse()?;
        let headers = request.headers_mut();
        headers.clone_from(&self.shared.proxies.connect_headers);
        headers.insert(HOST, authority.parse()?);
        if let Some(authorization) = proxy.authorization() {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let conn = Conn::new(io, false, None);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(conn).await?;
        // Owned by this future: it ends with the request.
        let driver = connection.with_upgrades();
        let exchange = async move {
            let answer = sender.send_request(request).await?;
            if !answer.status().is_success() {
                return Err(io::Error::other(answer.status().to_string()).into());
            }
            let upgraded = hyper::upgrade::on(answer).await?;
            let parts = upgraded
                .downcast::<Conn>()
                .map_err(|_| io::Error::other("not the connection that was handed in"))?;
            Ok::<Io, BoxError>(parts.io.io)
        };
        tokio::pin!(exchange, driver);
        let mut driving = true;
        loop {
            tokio::select! {
                done = exchange.as_mut() => return done,
                ended = driver.as_mut(), if driving => {
                    driving = false;
                    ended?;
                }
            }
        }
    }

    /// TLS with the target over a connection that a proxy passes on.
    async fn end_to_end(&self, io: Io, to: &Uri) -> Result<Io, BoxError> {
        Ok(match io {
            Io::Plain(tcp) => {
                let stream = self.handshake(tcp.into_inner(), to).await?;
                Io::Tls(Box::new(TokioIo::new(stream)))
            }
            Io::Tls(outer) => {
                let stream = self.handshake(outer.into_inner(), to).await?;
                Io::Nested(Box::new(TokioIo::new(stream)))
            }
            Io::Nested(_) => return Err(io::Error::other("TLS three times over").into()),
        })
    }

    /// Proxies are spoken to in HTTP/1.1.
    async fn handshake_with_proxy(
        &self,
        tcp: TokioIo<TcpStream>,
        to: &Uri,
    ) -> Result<TlsStream<TcpStream>, BoxError> {
        let mut config = ClientConfig::clone(&*self.tls_config().await?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.handshake_as(Arc::new(config), tcp.into_inner(), to)
            .await
    }

    async fn handshake<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        stream: S,
        to: &Uri,
    ) -> Result<TlsStream<S>, BoxError> {
        let config = self.tls_config().await?;
        self.handshake_as(config, stream, to).await
    }

    async fn handshake_as<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        config: Arc<ClientConfig>,
        stream: S,
        to: &Uri,
    ) -> Result<TlsStream<S>, BoxError> {
        let host = match &self.shared.tls.server_name {
            Some(name) => name.as_str(),
            None => to.host().unwrap_or_default(),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(stream) => Ok(stream.map_err(|e| io::Error::other(format!("tls: {e}")))?),
            Err(_) => Err(io::Error::other("TLS handshake timeout").into()),
        }
    }
}

fn unsupported(scheme: Option<&str>) -> io::Error {
    let scheme = scheme.unwrap_or_default();
    io::Error::other(format!("unsupported protocol scheme {scheme:?}"))
}

/// The URL with its port written out, as proxies want it.
fn with_port(to: &Uri, tls: bool) -> Result<Uri, http::Error> {
    let port = to.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let host = to.host().unwrap_or_default();
    let scheme = if tls { "https" } else { "http" };
    Uri::builder()
        .scheme(scheme)
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
}

impl Service<Uri> for Connector {
    type Response = Conn;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Conn, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// A connector with one connection that is there already.
struct Ready(Option<TokioIo<TcpStream>>);

impl Service<Uri> for Ready {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let taken = || io::Error::other("the connection was taken already");
        std::future::ready(self.0.take().ok_or_else(taken))
    }
}

/// A connection, plain or TLS.
pub struct Conn {
    io: Io,
    /// The other end is a proxy that wants whole URLs.
    proxied: bool,
    /// Counts its end.
    _open: Option<Open>,
}

impl Conn {
    fn new(io: Io, proxied: bool, open: Option<Open>) -> Self {
        Self {
            io,
            proxied,
            _open: open,
        }
    }
}

enum Io {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
    /// TLS with the target inside TLS with the proxy.
    Nested(Box<TokioIo<TlsStream<TlsStream<TcpStream>>>>),
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        let alpn = match &self.io {
            Io::Plain(_) => None,
            Io::Tls(tls) => tls.inner().get_ref().1.alpn_protocol(),
            Io::Nested(tls) => tls.inner().get_ref().1.alpn_protocol(),
        };
        let connected = Connected::new().proxy(self.proxied);
        if alpn == Some(b"h2") && !self.proxied {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

/// Runs an expression on whichever stream it is.
macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().io {
            Io::Plain($stream) => $call,
            Io::Tls($stream) => $call,
            Io::Nested($stream) => $call,
        }
    };
}

impl Read for Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl Write for Conn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
            Io::Nested(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }
}
