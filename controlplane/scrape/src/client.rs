//! One fetch of one page.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, USER_AGENT,
};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use crate::config::{Credentials, PoolSettings, SecretSource};

/// Most redirects that are followed, as Go's client.
const MAX_REDIRECTS: usize = 10;
/// Idle connections live longer than the usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How the scraper names itself.
const AGENT: &str = concat!("Bellwether/", env!("CARGO_PKG_VERSION"));

/// Bytes that are read at once. Every connection keeps a buffer of this size; hyper's own choice grows to 400 KiB.
const READ_BYTES: usize = 64 << 10;

/// Buffers kept for the next pages.
const SPARE_PAGES: usize = 2;
/// A larger buffer is not kept.
const SPARE_PAGE_BYTES: usize = 8 << 20;

/// A client with a connection pool of its own, and the buffers of pages that were read: taking new memory for each
/// page costs more than reading it.
#[derive(Clone)]
pub(crate) struct HttpClient {
    http: Client<HttpConnector, Empty<Bytes>>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl HttpClient {
    /// An empty buffer for a page of about `size_hint` bytes.
    fn buffer(&self, size_hint: usize) -> Vec<u8> {
        let mut buffer = self.spare.lock().pop().unwrap_or_default();
        buffer.reserve(size_hint);
        buffer
    }

    /// Takes a page's buffer back.
    pub(crate) fn give_back(&self, mut page: Vec<u8>) {
        page.clear();
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_PAGES && page.capacity() <= SPARE_PAGE_BYTES {
            spare.push(page);
        }
    }
}

/// A new client.
pub(crate) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    HttpClient {
        http: Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_read_buf_exact_size(READ_BYTES)
            .build(connector),
        spare: Arc::default(),
    }
}

/// Why a page could not be fetched.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says it")]
pub enum FetchError {
    #[error("Get {url:?}: context deadline exceeded")]
    Timeout { url: String },
    #[error("Get {url:?}: {reason}")]
    Connect { url: String, reason: String },
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("body size limit exceeded")]
    BodyTooLarge,
    #[error("cannot decompress the answer: {0}")]
    Decompress(#[source] std::io::Error),
    #[error("unsupported Content-Encoding {0:?}")]
    Encoding(String),
    #[error("unable to read {what} {path}: {source}")]
    SecretFile {
        what: &'static str,
        path: String,
        source: std::io::Error,
    },
    #[error("{0} holds a character that no HTTP header may hold")]
    Header(&'static str),
    #[error("Get {url:?}: {reason}")]
    Redirect { url: String, reason: String },
}

/// An answer as it came; gzip is still in place.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: Option<String>,
    pub(crate) gzip: bool,
}

/// Fetches a page. The caller sets the time-out around it, see [`fetch_in_time`].
async fn fetch(
    client: &HttpClient,
    url: &Uri,
    settings: &PoolSettings,
    timeout: Duration,
    size_hint: usize,
) -> Result<Fetched, FetchError> {
    if url.scheme_str() != Some("http") {
        return Err(FetchError::Connect {
            url: url.to_string(),
            reason: format!(
                "unsupported protocol scheme {:?}",
                url.scheme_str().unwrap_or_default()
            ),
        });
    }
    let headers = headers(settings, timeout).await?;
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut request =
            Request::get(at.clone())
                .body(Empty::new())
                .map_err(|e| FetchError::Connect {
                    url: at.to_string(),
                    reason: e.to_string(),
                })?;
        request.headers_mut().clone_from(&headers);
        if at.authority() != url.authority() {
            // Credentials are for the configured host only.
            request.headers_mut().remove(AUTHORIZATION);
        }
        let response = client
            .http
            .request(request)
            .await
            .map_err(|e| FetchError::Connect {
                url: at.to_string(),
                reason: root_cause(&e),
            })?;
        let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if redirect && settings.follow_redirects {
            at = redirected(&at, response.headers().get(LOCATION))?;
            continue;
        }
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        return read(client, &at, response, settings.body_size_limit, size_hint).await;
    }
    Err(FetchError::Redirect {
        url: url.to_string(),
        reason: format!("stopped after {MAX_REDIRECTS} redirects"),
    })
}

/// [`fetch`] within the scrape's time-out.
pub(crate) async fn fetch_in_time(
    client: &HttpClient,
    url: &Uri,
    settings: &PoolSettings,
    timeout: Duration,
    size_hint: usize,
) -> Result<Fetched, FetchError> {
    let fetch = fetch(client, url, settings, timeout, size_hint);
    match tokio::time::timeout(timeout, fetch).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Timeout {
            url: url.to_string(),
        }),
    }
}

async fn read(
    client: &HttpClient,
    url: &Uri,
    response: http::Response<Incoming>,
    limit: u64,
    size_hint: usize,
) -> Result<Fetched, FetchError> {
    let text = |name| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let content_type = text(CONTENT_TYPE);
    let encoding = text(CONTENT_ENCODING).unwrap_or_default();
    let gzip = match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => return Err(FetchError::Encoding(encoding)),
    };
    let mut body = if gzip {
        Vec::new()
    } else {
        client.buffer(size_hint)
    };
    let mut incoming = response.into_body();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| FetchError::Connect {
            url: url.to_string(),
            reason: root_cause(&e),
        })?;
        if let Ok(data) = frame.into_data() {
            // Too many compressed bytes would be too many uncompressed as well.
            if limit > 0 && (body.len() + data.len()) as u64 >= limit {
                return Err(FetchError::BodyTooLarge);
            }
            body.extend_from_slice(&data);
        }
    }
    Ok(Fetched {
        body,
        content_type,
        gzip,
    })
}

impl Fetched {
    /// The page, uncompressed. Blocking work for a large page.
    pub(crate) fn into_page(
        self,
        client: &HttpClient,
        limit: u64,
        size_hint: usize,
    ) -> Result<Vec<u8>, FetchError> {
        if !self.gzip {
            return Ok(self.body);
        }
        let mut page = client.buffer(size_hint);
        let decoder = flate2::read::MultiGzDecoder::new(&self.body[..]);
        let most = if limit > 0 { limit } else { u64::MAX };
        decoder
            .take(most)
            .read_to_end(&mut page)
            .map_err(FetchError::Decompress)?;
        if limit > 0 && page.len() as u64 >= limit {
            return Err(FetchError::BodyTooLarge);
        }
        Ok(page)
    }
}

async fn headers(
    settings: &PoolSettings,
    timeout: Duration,
) -> Result<http::HeaderMap, FetchError> {
    let mut headers = connection_headers(settings).await?;
    headers.insert(ACCEPT, header_value(&settings.accept, "the Accept header")?);
    let encoding = if settings.enable_compression {
        "gzip"
    } else {
        "identity"
    };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    headers.insert(
        HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
        header_value(&timeout.as_secs_f64().to_string(), "the time-out")?,
    );
    Ok(headers)
}

fn header_value(text: &str, what: &'static str) -> Result<HeaderValue, FetchError> {
    HeaderValue::from_str(text).map_err(|_| FetchError::Header(what))
}

/// Who asks: the agent's name, credentials, and the headers of `http_headers`. Files are read at each call.
///
/// # Errors
/// When a file cannot be read, or a value cannot stand in a header.
pub async fn connection_headers(settings: &PoolSettings) -> Result<http::HeaderMap, FetchError> {
    let mut headers = http::HeaderMap::new();
    let value = header_value;
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    match &settings.credentials {
        Credentials::None => {}
        Credentials::Basic { username, password } => {
            let user = secret(username, "basic auth username file").await?;
            let password = secret(password, "basic auth password file").await?;
            let token = base64(format!("{user}:{password}").as_bytes());
            headers.insert(
                AUTHORIZATION,
                sensitive(value(&format!("Basic {token}"), "basic_auth")?),
            );
        }
        Credentials::Header {
            scheme,
            credentials,
        } => {
            let secret = secret(credentials, "authorization credentials file").await?;
            headers.insert(
                AUTHORIZATION,
                sensitive(value(&format!("{scheme} {secret}"), "authorization")?),
            );
        }
    }
    for (name, header) in &settings.http_headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| FetchError::Header("a name in http_headers"))?;
        for text in header
            .values
            .iter()
            .chain(header.secrets.iter().map(|s| &s.0))
        {
            headers.append(
                name.clone(),
                sensitive(value(text, "a value in http_headers")?),
            );
        }
        for file in &header.files {
            let source = SecretSource::File(settings.base_dir.join(file));
            let text = secret(&source, "http header file").await?;
            headers.append(
                name.clone(),
                sensitive(value(&text, "a file in http_headers")?),
            );
        }
    }
    Ok(headers)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

async fn secret(source: &SecretSource, what: &'static str) -> Result<String, FetchError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.0.clone()),
        SecretSource::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(FetchError::SecretFile {
                what,
                path: path.display().to_string(),
                source,
            }),
        },
    }
}

fn redirected(from: &Uri, location: Option<&HeaderValue>) -> Result<Uri, FetchError> {
    let fail = |reason: String| FetchError::Redirect {
        url: from.to_string(),
        reason,
    };
    let location = location
        .and_then(|l| l.to_str().ok())
        .ok_or_else(|| fail("redirect without a Location".to_owned()))?;
    let text = if location.contains("://") {
        location.to_owned()
    } else {
        let host = from.authority().map_or("", |a| a.as_str());
        let path = match location.strip_prefix('/') {
            Some(_) => location.to_owned(),
            None => {
                let directory = from.path().rsplit_once('/').map_or("", |(dir, _)| dir);
                format!("{directory}/{location}")
            }
        };
        format!("http://{host}{path}")
    };
    let uri: Uri = text
        .parse()
        .map_err(|_| fail(format!("cannot follow the redirect to {text:?}")))?;
    if uri.scheme_str() == Some("http") {
        Ok(uri)
    } else {
        Err(fail(format!(
            "cannot follow the redirect to {text:?}: only http is supported yet"
        )))
    }
}

/// The innermost error: `Connection refused (os error 111)` says more than `client error (Connect)`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// Standard base64 with padding, for the one header that needs it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .enumerate()
            .fold(0u32, |group, (i, b)| group | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            if i <= chunk.len() {
                let index = (group >> (18 - 6 * i)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn base64_by_the_rfc() {
        for (text, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }

    #[test]
    fn redirects_are_relative_or_absolute() {
        let from: Uri = "http://h:1/a/b?c".parse().unwrap();
        for (location, want) in [
            ("/x?y", "http://h:1/x?y"),
            ("x", "http://h:1/a/x"),
            ("http://other/x", "http://other/x"),
        ] {
            let location = HeaderValue::from_static(location);
            assert_eq!(redirected(&from, Some(&location)).unwrap(), want);
        }
        let tls = HeaderValue::from_static("https://other/x");
        assert!(redirected(&from, Some(&tls)).is_err());
        assert!(redirected(&from, None).is_err());
    }
}
