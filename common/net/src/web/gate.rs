//! The gate of a server: who may come in, and how it is spoken there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use rustls::ServerConfig;

use super::config::WebConfig;
use super::error::WebConfigError;
use super::limit::Limiter;
use super::tls::TlsTexts;
use super::users::{Verdicts, check_hash};

/// TLS, users and headers of a server as a web configuration file says, which is read again when it changes. Clones
/// share what was read.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// TLS is on or off for the life of the server, and so is HTTP/2.
    tls: bool,
    http2: bool,
    limiter: Option<Limiter>,
    seen: ArcSwap<Seen>,
    secure: ArcSwapOption<Secure>,
    verdicts: Verdicts,
}

/// The file as last read.
struct Seen {
    stamp: Option<Stamp>,
    config: WebConfig,
    headers: Vec<(HeaderName, HeaderValue)>,
}

struct Secure {
    config: WebConfig,
    texts: TlsTexts,
    tls: Arc<ServerConfig>,
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    identity: u64,
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let identity = std::os::unix::fs::MetadataExt::ino(meta);
        #[cfg(not(unix))]
        let identity = 0;
        Self {
            modified: meta.modified().ok(),
            size: meta.len(),
            identity,
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("path", &self.inner.path)
            .field("tls", &self.inner.tls)
            .finish_non_exhaustive()
    }
}

impl Seen {
    fn read(path: &Path) -> Result<Self, WebConfigError> {
        // Before the content: a change in between is seen the next time.
        let stamp = std::fs::metadata(path).ok().map(|meta| Stamp::of(&meta));
        let config = WebConfig::read(path)?;
        let headers = config.http_server_config.parsed_headers()?;
        Ok(Self {
            stamp,
            config,
            headers,
        })
    }
}

/// Checks a file as a server does at its start, with everything that it names. Blocks on the disk.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate(path: &Path) -> Result<(), WebConfigError> {
    Gate::open(path).map(drop)
}

impl Gate {
    /// Reads and checks a file with everything that it names. Blocks on the disk.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        let seen = Seen::read(path)?;
        for hash in seen.config.basic_auth_users.values() {
            check_hash(&hash.0).map_err(WebConfigError::Hash)?;
        }
        let config = &seen.config;
        let tls = config.tls_server_config.is_enabled();
        let http2 = config.http_server_config.http2;
        let secure = match tls {
            true => Some(Arc::new(Secure::new(config, http2)?)),
            false => None,
        };
        let verdicts =
            Verdicts::new().ok_or(WebConfigError::Keys("the system gives no random numbers"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                tls,
                http2,
                limiter: Limiter::new(&config.rate_limit),
                seen: ArcSwap::from_pointee(seen),
                secure: ArcSwapOption::new(secure),
                verdicts,
            }),
        })
    }

    /// Whether the server speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.inner.tls
    }

    /// Whether the server offers HTTP/2 over TLS.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.inner.http2
    }

    /// TLS for a new connection, with certificates as they are now.
    pub(crate) async fn tls(&self) -> Result<Arc<ServerConfig>, WebConfigError> {
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || inner.refreshed_tls()).await;
        read.unwrap_or(Err(WebConfigError::Keys("reading certificates broke off")))
    }

    /// The file as it is now.
    async fn current(&self) -> Result<Arc<Seen>, WebConfigError> {
        let inner = &self.inner;
        let stamp = tokio::fs::metadata(&inner.path).await;
        let seen = inner.seen.load_full();
        if seen.stamp.is_some() && seen.stamp == stamp.ok().map(|meta| Stamp::of(&meta)) {
            return Ok(seen);
        }
        let path = inner.path.clone();
        let read = tokio::task::spawn_blocking(move || Seen::read(&path)).await;
        let read = read.unwrap_or(Err(WebConfigError::Keys("reading the file broke off")));
        let seen = Arc::new(read?);
        inner.seen.store(Arc::clone(&seen));
        Ok(seen)
    }

    async fn pass(&self, request: Request, next: Next) -> Response {
        let seen = match self.current().await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(%error, "Unable to parse configuration");
                return refuse(StatusCode::INTERNAL_SERVER_ERROR);
            }
        };
        let limiter = self.inner.limiter.as_ref();
        if limiter.is_some_and(|limiter| !limiter.allows()) {
            return refuse(StatusCode::TOO_MANY_REQUESTS);
        }
        let users = &seen.config.basic_auth_users;
        let verdicts = &self.inner.verdicts;
        let comes_in = users.is_empty() || verdicts.allows(users, request.headers()).await;
        let mut response = if comes_in {
            next.run(request).await
        } else {
            let mut response = refuse(StatusCode::UNAUTHORIZED);
            let challenge = HeaderValue::from_static("Basic");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        };
        for (name, value) in &seen.headers {
            // What the answer itself says counts more.
            response
                .headers_mut()
                .entry(name)
                .or_insert_with(|| value.clone());
        }
        response
    }
}

/// Lets requests through a gate, or not.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    gate.pass(request, next).await
}

/// As Go's `http.Error`.
fn refuse(status: StatusCode) -> Response {
    let text = format!("{}\n", status.canonical_reason().unwrap_or_default());
    let nosniff = [(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    (status, nosniff, text).into_response()
}

impl Secure {
    fn new(config: &WebConfig, http2: bool) -> Result<Self, WebConfigError> {
        let tls = &config.tls_server_config;
        let texts = tls.texts()?;
        Ok(Self {
            tls: Arc::new(tls.server_config(&texts, http2)?),
            texts,
            config: config.clone(),
        })
    }
}

impl Inner {
    /// Reads the file and what it names. Blocks on the disk.
    fn refreshed_tls(&self) -> Result<Arc<ServerConfig>, WebConfigError> {
        let config = WebConfig::read(&self.path)?;
        if let Some(secure) = &*self.secure.load() {
            let same = secure.config.tls_server_config == config.tls_server_config;
            if same && secure.texts == config.tls_server_config.texts()? {
                return Ok(Arc::clone(&secure.tls));
            }
        }
        let secure = Arc::new(Secure::new(&config, self.http2)?);
        self.secure.store(Some(Arc::clone(&secure)));
        Ok(Arc::clone(&secure.tls))
    }
}
