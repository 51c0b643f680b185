//! One fetch of one page.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bellwether_http::{Client, ClientError, ClientSettings, NewClientError};
use bellwether_telemetry::Registry;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;

use crate::config::PoolSettings;

/// A page of so many bytes is parsed and stored where it was read: that takes about a millisecond, and handing it to
/// another thread costs as much as many of its lines. A compressed page may be some ten times as large.
const SMALL_PAGE: usize = 256 << 10;
const SMALL_COMPRESSED_PAGE: usize = 24 << 10;
/// Buffers kept for the next pages.
const SPARE_PAGES: usize = 2;
/// A larger buffer is not kept.
const SPARE_PAGE_BYTES: usize = 8 << 20;

/// A client with a connection pool of its own, and the buffers of pages that were read: taking new memory for each
/// page costs more than reading it.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    http: Client,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    prepared: Arc<Mutex<Option<Prepared>>>,
}

/// The headers of the latest request: those of the next one are the same, but for targets with a time-out of their own.
#[derive(Debug)]
struct Prepared {
    settings: Arc<PoolSettings>,
    timeout: Duration,
    headers: HeaderMap,
}

impl HttpClient {
    /// A client for the targets of a job.
    pub(crate) fn new(
        settings: &ClientSettings,
        job: &str,
        registry: &Registry,
    ) -> Result<Self, NewClientError> {
        Ok(Self {
            http: Client::observed(settings, job, registry)?,
            spare: Arc::default(),
            prepared: Arc::default(),
        })
    }

    fn headers(
        &self,
        settings: &Arc<PoolSettings>,
        timeout: Duration,
    ) -> Result<HeaderMap, FetchError> {
        let mut prepared = self.prepared.lock();
        if let Some(p) = &*prepared
            && p.timeout == timeout
            && Arc::ptr_eq(&p.settings, settings)
        {
            return Ok(p.headers.clone());
        }
        let headers = headers(settings, timeout)?;
        *prepared = Some(Prepared {
            settings: Arc::clone(settings),
            timeout,
            headers: headers.clone(),
        });
        Ok(headers)
    }

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

/// Why a page could not be fetched.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says it")]
pub enum FetchError {
    #[error("Get {url:?}: context deadline exceeded")]
    Timeout { url: String },
    #[error(transparent)]
    Request(#[from] ClientError),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("body size limit exceeded")]
    BodyTooLarge,
    #[error("cannot decompress the answer: {0}")]
    Decompress(#[source] std::io::Error),
    #[error("unsupported Content-Encoding {0:?}")]
    Encoding(String),
    #[error("{0} holds a character that no HTTP header may hold")]
    Header(&'static str),
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
    settings: &Arc<PoolSettings>,
    timeout: Duration,
    size_hint: usize,
) -> Result<Fetched, FetchError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.clone();
    *request.headers_mut() = client.headers(settings, timeout)?;
    let response = client.http.send(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    read(client, url, response, settings.body_size_limit, size_hint).await
}

/// [`fetch`] within the scrape's time-out.
pub(crate) async fn fetch_in_time(
    client: &HttpClient,
    url: &Uri,
    settings: &Arc<PoolSettings>,
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
        let frame = frame.map_err(|e| ClientError::new(Method::GET, url, root_cause(&e)))?;
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
    /// Whether the page takes little time.
    pub(crate) fn is_small(&self) -> bool {
        let limit = if self.gzip {
            SMALL_COMPRESSED_PAGE
        } else {
            SMALL_PAGE
        };
        self.body.len() <= limit
    }

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

fn headers(settings: &PoolSettings, timeout: Duration) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::new();
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

/// The innermost error: `Connection refused (os error 111)` says more than `client error (Connect)`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
