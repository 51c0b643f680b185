//! Asking an HTTP interface for JSON.

use std::time::Duration;

use bellwether_http::{Client, HttpClientConfig};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::discoverer::{BuildContext, BuildError};

/// Longest answer that is read. A hundred thousand targets with their labels are some tens of megabytes.
const BODY_BYTES_MAX: usize = 256 << 20;
/// How much of an error's body is shown.
const SHOWN_BYTES: usize = 256;

/// Why an interface gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Client(#[from] bellwether_http::ClientError),
    #[error("{url}: no complete answer within {timeout:?}")]
    Timeout { url: String, timeout: Duration },
    #[error("{url}: the answer broke off or is longer than {BODY_BYTES_MAX} bytes: {reason}")]
    Body { url: String, reason: String },
    #[error("server returned HTTP status {status}{body}")]
    Status { status: StatusCode, body: String },
    #[error("unsupported content type {0:?}")]
    ContentType(String),
    #[error("{url}: cannot read the answer: {error}")]
    Json {
        url: String,
        error: serde_json::Error,
    },
    #[error("{0}")]
    Other(String),
}

/// One interface.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    /// What stands before each path.
    base: String,
    timeout: Duration,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A client as the configuration wants it. `name` is what Prometheus calls it in the metrics of its connections.
pub(crate) fn client(
    http: &HttpClientConfig,
    context: &BuildContext,
    name: &str,
) -> Result<Client, BuildError> {
    let wrong = |error: &dyn std::fmt::Display| BuildError::Http(error.to_string());
    let settings = http.resolve(&context.base_dir).map_err(|e| wrong(&e))?;
    Client::observed(&settings, name, context.metrics.registry()).map_err(|e| wrong(&e))
}

impl Api {
    pub(crate) fn new(client: Client, base: &str, timeout: Duration) -> Self {
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            timeout,
            headers: Vec::new(),
        }
    }

    /// An interface that is one URL, to be asked with an empty path.
    pub(crate) fn exactly(client: Client, url: &str, timeout: Duration) -> Self {
        Self {
            base: url.to_owned(),
            ..Self::new(client, "", timeout)
        }
    }

    /// A header for each request.
    pub(crate) fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// Asks for `path`, which may hold a query, behind the base URL.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, ApiError> {
        self.send(Method::GET, path, None).await
    }

    /// Asks for JSON.
    pub(crate) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.get(path).await?.good()?.json()
    }

    /// Sends a body, JSON where it is one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<Bytes>,
    ) -> Result<Answer, ApiError> {
        let url = format!("{}{path}", self.base);
        let uri: Uri = url
            .parse()
            .map_err(|e| ApiError::Other(format!("{url:?} is not a URL: {e}")))?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if json.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        *request.body_mut() = json.unwrap_or_default();
        let asking = async {
            let response = self.client.send(request).await?;
            read(response, &url).await
        };
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Timeout {
                url: url.clone(),
                timeout: self.timeout,
            }),
        }
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response<Incoming>, url: &str) -> Result<Answer, ApiError> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|e| ApiError::Body {
        url: url.to_owned(),
        reason: e.to_string(),
    })?;
    Ok(Answer {
        url: url.to_owned(),
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

impl Answer {
    /// Only a success goes on.
    pub(crate) fn good(self) -> Result<Self, ApiError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let shown = &self.body[..self.body.len().min(SHOWN_BYTES)];
        let text = String::from_utf8_lossy(shown);
        let body = match text.trim() {
            "" => String::new(),
            text => format!(": {text}"),
        };
        Err(ApiError::Status {
            status: self.status,
            body,
        })
    }

    /// The body must say that it is JSON in UTF-8.
    pub(crate) fn must_be_json(self) -> Result<Self, ApiError> {
        let header = self.headers.get(CONTENT_TYPE);
        let text = header.map_or("", |value| value.to_str().unwrap_or(""));
        let lower = text.trim().to_ascii_lowercase();
        let rest = lower.strip_prefix("application/json");
        let fits = rest.is_some_and(|rest| match rest.strip_prefix(';') {
            Some(parameter) => {
                matches!(
                    parameter.trim_start(),
                    "charset=utf-8" | "charset=\"utf-8\""
                )
            }
            None => rest.is_empty(),
        });
        if fits {
            Ok(self)
        } else {
            Err(ApiError::ContentType(text.to_owned()))
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Json {
            url: self.url.clone(),
            error,
        })
    }

    /// A header's text, empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or(""))
    }
}
