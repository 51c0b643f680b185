//! The client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellwether_telemetry::Registry;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, REFERER, USER_AGENT,
};
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::addresses::Addresses;
use crate::config::HttpConfigError;
use crate::connect::Connector;
use crate::dialing::Dialing;
use crate::error::{Cause, ClientError, SecretError, TlsError, root_cause};
use crate::oauth2::TokenSource;
use crate::proxy::{Proxies, ProxyKind};
use crate::redirect::{
    MAX_REDIRECTS, drop_body_headers, drop_credentials, is_trusted, method_after, redirect,
};
use crate::secret::header_value;
use crate::settings::{Auth, ClientSettings};
use crate::tls::TlsTexts;

/// How requests name the program.
pub const USER_AGENT_TEXT: &str = concat!("Bellwether/", env!("CARGO_PKG_VERSION"));

/// Idle connections live longer than the usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// An HTTP/2 connection over which nothing came for so long is asked whether it is still there, as in Prometheus.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes that are read at once. Every connection keeps a buffer of this size; hyper's own choice grows to 400 KiB.
const READ_BYTES: usize = 64 << 10;

type Http = legacy::Client<Connector, Full<Bytes>>;

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewClientError {
    /// Certificates and keys that stand in the configuration itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Keys.
    #[error(transparent)]
    Config(#[from] HttpConfigError),
}

/// An HTTP client with connection pools of its own. Clones share them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    settings: ClientSettings,
    dialing: Dialing,
    proxies: Arc<Proxies>,
    /// For everything, or for plain HTTP only where certificates stand in files.
    http: Http,
    /// For TLS with certificates from files, as they were when last looked at.
    with_files: ArcSwapOption<WithFiles>,
    tokens: Option<TokenSource>,
}

struct WithFiles {
    http: Http,
    texts: TlsTexts,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// [`Self::observed`] without metrics.
    ///
    /// # Errors
    /// When certificates that stand in the settings themselves cannot be used.
    pub fn new(settings: &ClientSettings, name: &str) -> Result<Self, NewClientError> {
        Self::observed(settings, name, &Registry::new())
    }

    /// A client. `name` says what it is for in `net_conntrack_dialer_conn_*`, the metrics of its connections. Files are
    /// read when they are needed, not here.
    ///
    /// # Errors
    /// When certificates that stand in the settings themselves cannot be used.
    pub fn observed(
        settings: &ClientSettings,
        name: &str,
        registry: &Registry,
    ) -> Result<Self, NewClientError> {
        let dialing = Dialing::new(registry, name);
        let env = |name: &str| std::env::var(name).ok();
        let proxies = Arc::new(Proxies::new(&settings.proxy, env));
        let texts = if settings.tls.has_files() {
            TlsTexts::default()
        } else {
            let texts = settings.tls.read()?;
            settings.tls.check(&texts)?;
            texts
        };
        let connector = connector(settings, &proxies, texts, dialing.clone());
        let tokens = match &settings.auth {
            Auth::OAuth2(oauth2) => {
                let own = ClientSettings {
                    tls: oauth2.tls.clone(),
                    proxy: oauth2.proxy.clone(),
                    enable_http2: false,
                    ..ClientSettings::default()
                };
                let client = Self::new(&own, name)?;
                Some(TokenSource::new(oauth2.as_ref().clone(), client))
            }
            _ => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                settings: settings.clone(),
                dialing,
                http: http(connector),
                proxies,
                with_files: ArcSwapOption::empty(),
                tokens,
            }),
        })
    }

    /// Opens connections as the client would, for protocols that have clients of their own. Certificates are read from
    /// their files here. Blocks on the disk.
    ///
    /// # Errors
    /// When certificates cannot be read or used.
    pub fn connector(
        settings: &ClientSettings,
        name: &str,
        registry: &Registry,
    ) -> Result<Connector, NewClientError> {
        let env = |name: &str| std::env::var(name).ok();
        let proxies = Arc::new(Proxies::new(&settings.proxy, env));
        let texts = settings.tls.read()?;
        settings.tls.check(&texts)?;
        let dialing = Dialing::new(registry, name);
        Ok(connector(settings, &proxies, texts, dialing))
    }

    /// What the client runs with.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.inner.settings
    }

    /// Sends a request: adds credentials, headers and the program's name, follows redirects. Headers that the request
    /// has already stay, `Authorization` among them. The caller sets the time-out: dropping the future ends the
    /// request. The URL must be absolute; a user in it is credentials.
    ///
    /// # Errors
    /// When there is no answer. A status that is not success is an answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, ClientError> {
        let (mut parts, body) = request.into_parts();
        let first_method = parts.method.clone();
        let mut at = Uri::default();
        self.run(&mut parts, body, &mut at)
            .await
            .map_err(|cause| ClientError {
                method: first_method,
                url: at.to_string(),
                cause,
            })
    }

    /// Sends hop after hop. `at` is where it is, for errors.
    async fn run(
        &self,
        parts: &mut http::request::Parts,
        mut body: Bytes,
        at: &mut Uri,
    ) -> Result<Response<Incoming>, Cause> {
        let settings = &self.inner.settings;
        take_user(parts)?;
        at.clone_from(&parts.uri);
        // Once the host was left, credentials stay away, also when a later redirect leads back.
        let mut left = false;
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = parts.headers.clone();
            self.decorate(&mut headers, at, left).await?;
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = at.clone();
            *request.headers_mut() = headers;
            let answer = if self.reads_certificates(at) {
                let http = self.refreshed().await?;
                http.request(request).await
            } else {
                self.inner.http.request(request).await
            };
            let answer = answer.map_err(|e| Cause::Connection(root_cause(&e)))?;
            if !settings.follow_redirects {
                return Ok(answer);
            }
            let Some(next) = redirect(at, &answer).map_err(Cause::Redirect)? else {
                return Ok(answer);
            };
            if !next.keeps_method {
                parts.method = method_after(&parts.method);
                body = Bytes::new();
                drop_body_headers(&mut parts.headers);
            }
            set_referer(&mut parts.headers, at, &next.to);
            *at = next.to;
            let first_host = parts.uri.host().unwrap_or_default();
            left |= !is_trusted(at.host().unwrap_or_default(), first_host);
            if left {
                drop_credentials(&mut parts.headers);
            }
        }
        let text = format!("stopped after {MAX_REDIRECTS} redirects");
        Err(Cause::Redirect(text))
    }

    /// Whether certificates in files matter for a URL.
    fn reads_certificates(&self, uri: &Uri) -> bool {
        self.inner.settings.tls.has_files() && self.needs_tls(uri)
    }

    /// The pool for the certificates as they are now. They are read at each request, as by Prometheus: new ones bring
    /// a new pool.
    async fn refreshed(&self) -> Result<Http, Cause> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || inner.refreshed()).await {
            Ok(http) => Ok(http?),
            Err(error) => Err(Cause::Connection(error.to_string())),
        }
    }

    fn needs_tls(&self, uri: &Uri) -> bool {
        let to_proxy = || self.inner.proxies.for_uri(uri).map(|proxy| proxy.kind);
        uri.scheme_str() == Some("https") || to_proxy() == Some(ProxyKind::Http { tls: true })
    }

    /// Adds what the settings say, but for what is there already.
    async fn decorate(&self, headers: &mut HeaderMap, uri: &Uri, left: bool) -> Result<(), Cause> {
        let settings = &self.inner.settings;
        for (name, source) in &settings.headers {
            let text = source.read("headers file").await?;
            headers.append(
                name.clone(),
                header_value(&text, "a value in http_headers")?,
            );
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT_TEXT));
        if left {
            drop_credentials(headers);
        } else if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = self.authorization().await?
        {
            headers.insert(AUTHORIZATION, value);
        }
        // Otherwise the proxy is told when it is asked to connect through.
        if uri.scheme_str() == Some("http")
            && let Some(proxy) = self.inner.proxies.for_uri(uri)
            && matches!(proxy.kind, ProxyKind::Http { .. })
            && let Some(value) = proxy.authorization()
        {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        Ok(())
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, Cause> {
        Ok(match &self.inner.settings.auth {
            Auth::None => None,
            Auth::Basic { username, password } => {
                let username = username.read("basic auth username").await?;
                let password = password.read("basic auth password").await?;
                Some(basic(&username, &password)?)
            }
            Auth::Header {
                scheme,
                credentials,
            } => {
                let credentials = credentials.read("authorization credentials").await?;
                let text = format!("{scheme} {credentials}");
                Some(header_value(&text, "authorization")?)
            }
            Auth::OAuth2(_) => match &self.inner.tokens {
                Some(tokens) => {
                    // In a box: it sends a request itself, and most clients have no use for its size.
                    let value = Box::pin(tokens.authorization()).await;
                    Some(value.map_err(|error| Cause::Token(Box::new(error)))?)
                }
                None => None,
            },
        })
    }
}

impl Inner {
    /// The pool for the certificates as they are now. Blocks on the disk.
    fn refreshed(&self) -> Result<Http, TlsError> {
        let texts = self.settings.tls.read()?;
        if let Some(current) = &*self.with_files.load()
            && current.texts == texts
        {
            return Ok(current.http.clone());
        }
        let connector = connector(
            &self.settings,
            &self.proxies,
            texts.clone(),
            self.dialing.clone(),
        );
        connector.prepare_tls()?;
        let http = http(connector);
        self.with_files.store(Some(Arc::new(WithFiles {
            http: http.clone(),
            texts,
        })));
        Ok(http)
    }
}

fn connector(
    settings: &ClientSettings,
    proxies: &Arc<Proxies>,
    texts: TlsTexts,
    dialing: Dialing,
) -> Connector {
    let (proxies, tls) = (Arc::clone(proxies), settings.tls.clone());
    let addresses = Addresses::new(settings.addresses_in_turn);
    let http2 = settings.enable_http2;
    Connector::new(proxies, tls, texts, http2, addresses, dialing)
}

fn http(connector: Connector) -> Http {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_read_buf_exact_size(READ_BYTES)
        .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

pub(crate) fn basic(username: &str, password: &str) -> Result<HeaderValue, SecretError> {
    let token = STANDARD.encode(format!("{username}:{password}"));
    header_value(&format!("Basic {token}"), "basic_auth")
}

/// Takes a user out of the URL: it is credentials, unless the request has some, and never sent as part of the URL.
fn take_user(parts: &mut http::request::Parts) -> Result<(), Cause> {
    let has_user = |uri: &Uri| uri.authority().is_some_and(|a| a.as_str().contains('@'));
    if !has_user(&parts.uri) {
        return Ok(());
    }
    let wrong = |error: &dyn fmt::Display| Cause::Url(error.to_string());
    let mut url = url::Url::parse(&parts.uri.to_string()).map_err(|e| wrong(&e))?;
    let decode = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text);
        decoded.decode_utf8_lossy().into_owned()
    };
    let username = decode(url.username());
    let password = decode(url.password().unwrap_or_default());
    // Both fail only for URLs that have no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    parts.uri = url.as_str().parse().map_err(|e| wrong(&e))?;
    if !parts.headers.contains_key(AUTHORIZATION) {
        parts
            .headers
            .insert(AUTHORIZATION, basic(&username, &password)?);
    }
    Ok(())
}

/// As Go's client: the page before, but not from TLS to plain text.
fn set_referer(headers: &mut HeaderMap, from: &Uri, to: &Uri) {
    let leaves_tls = from.scheme_str() == Some("https") && to.scheme_str() == Some("http");
    match HeaderValue::from_str(&from.to_string()) {
        Ok(value) if !leaves_tls => headers.insert(REFERER, value),
        _ => headers.remove(REFERER),
    };
}

impl ClientError {
    /// An error of the caller about the same request, such as a time-out or a body that broke off.
    #[must_use]
    pub fn new(method: Method, url: &Uri, reason: impl Into<String>) -> Self {
        Self {
            method,
            url: without_user(url),
            cause: Cause::Connection(reason.into()),
        }
    }
}

/// A URL for messages.
fn without_user(url: &Uri) -> String {
    let text = url.to_string();
    match url.authority().and_then(|a| a.as_str().rsplit_once('@')) {
        Some((user, _)) => text.replacen(&format!("{user}@"), "", 1),
        None => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A server with thousands of targets holds one of these for each.
    #[test]
    fn a_request_under_way_is_small() {
        let client = Client::new(&ClientSettings::default(), "test").unwrap();
        let request = client.send(Request::new(Bytes::new()));
        let size = size_of_val(&request);
        assert!(size < 2048, "{size} bytes");
    }
}
