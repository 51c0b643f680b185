//! `otlp_http` (old name `otlphttp`): OTLP over HTTP. See `README.md`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bellwether_otlp::{Signal, json};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use super::otlp::pem;
use super::sending::{self, Transport};
use super::{partial_success, with_sources};
use crate::CollectorError;
use crate::config::blocks::{QueueConfig, RetryConfig, TlsClient};
use crate::config::types::{Accepted, GoDuration, Unsupported};
use crate::pipeline::component::BuildFuture;
use crate::pipeline::{Batch, BuildContext, ConsumeError, ExporterConfig, Problems};
use crate::rpc_status::RpcStatus;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Keys of the exporter.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OtlpHttpConfig {
    endpoint: Option<String>,
    metrics_endpoint: Option<String>,
    traces_endpoint: Option<String>,
    logs_endpoint: Option<String>,
    encoding: Encoding,
    compression: Compression,
    timeout: GoDuration,
    headers: BTreeMap<String, String>,
    tls: TlsClient,
    retry_on_failure: RetryConfig,
    sending_queue: QueueConfig,
    max_idle_conns: Option<usize>,
    idle_conn_timeout: GoDuration,
    proxy_url: Option<String>,
    /// HTTP/2 is used when the server offers it.
    force_attempt_http2: Accepted,
    /// Buffers size themselves.
    write_buffer_size: Accepted,
    /// As `write_buffer_size`.
    read_buffer_size: Accepted,
    profiles_endpoint: Unsupported,
    compression_params: Unsupported,
    auth: Unsupported,
    cookies: Unsupported,
    middlewares: Unsupported,
}

impl Default for OtlpHttpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            metrics_endpoint: None,
            traces_endpoint: None,
            logs_endpoint: None,
            encoding: Encoding::Proto,
            compression: Compression::Gzip,
            timeout: GoDuration::secs(30),
            headers: BTreeMap::new(),
            tls: TlsClient::default(),
            retry_on_failure: RetryConfig::default(),
            sending_queue: QueueConfig::default(),
            max_idle_conns: None,
            idle_conn_timeout: GoDuration::secs(90),
            proxy_url: None,
            force_attempt_http2: Accepted,
            write_buffer_size: Accepted,
            read_buffer_size: Accepted,
            profiles_endpoint: Unsupported,
            compression_params: Unsupported,
            auth: Unsupported,
            cookies: Unsupported,
            middlewares: Unsupported,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Proto,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    Gzip,
    Zstd,
    #[serde(alias = "zlib")]
    Deflate,
    #[serde(alias = "")]
    None,
}

impl OtlpHttpConfig {
    fn url(&self, signal: Signal) -> Option<String> {
        let own = match signal {
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Traces => &self.traces_endpoint,
            Signal::Logs => &self.logs_endpoint,
        };
        own.clone().or_else(|| {
            let base = self.endpoint.as_deref()?.trim_end_matches('/');
            Some(format!("{base}{}", signal.http_path()))
        })
    }

    fn client(&self) -> Result<Client, (&'static str, String)> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let in_tls = |message: String| ("tls", message);
        let mut builder = Client::builder()
            .pool_max_idle_per_host(self.max_idle_conns.unwrap_or(100))
            .pool_idle_timeout(self.idle_conn_timeout.non_zero())
            // An exporter talks to the address it was given, and never to another one.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_danger_accept_invalid_certs(self.tls.insecure_skip_verify);
        if let Some(proxy) = &self.proxy_url {
            let proxy = reqwest::Proxy::all(proxy).map_err(|e| ("proxy_url", e.to_string()))?;
            builder = builder.proxy(proxy);
        }
        let tls = &self.tls;
        if let Some(ca) =
            pem("ca", tls.ca_file.as_deref(), tls.ca_pem.as_deref()).map_err(in_tls)?
        {
            let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes())
                .map_err(|e| in_tls(e.to_string()))?;
            builder = if tls.include_system_ca_certs_pool {
                builder.tls_certs_merge(certificates)
            } else {
                builder.tls_certs_only(certificates)
            };
        }
        let cert =
            pem("cert", tls.cert_file.as_deref(), tls.cert_pem.as_deref()).map_err(in_tls)?;
        let key = pem("key", tls.key_file.as_deref(), tls.key_pem.as_deref()).map_err(in_tls)?;
        match (cert, key) {
            (Some(cert), Some(key)) => {
                let identity = reqwest::Identity::from_pem(format!("{cert}\n{key}").as_bytes())
                    .map_err(|e| in_tls(e.to_string()))?;
                builder = builder.identity(identity);
            }
            (None, None) => {}
            _ => {
                return Err(in_tls(
                    "certificate and key must be given together".to_owned(),
                ));
            }
        }
        builder.build().map_err(|e| ("tls", with_sources(&e)))
    }
}

impl ExporterConfig for OtlpHttpConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        let urls = [
            ("endpoint", &self.endpoint),
            ("metrics_endpoint", &self.metrics_endpoint),
            ("traces_endpoint", &self.traces_endpoint),
            ("logs_endpoint", &self.logs_endpoint),
        ];
        if urls.iter().all(|(_, url)| url.is_none()) {
            let message = "at least one endpoint is required: endpoint, metrics_endpoint, traces_endpoint or logs_endpoint";
            problems.add("", message);
        }
        for (key, url) in urls {
            let Some(url) = url else { continue };
            let is_http = Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
            if !is_http {
                let message =
                    format!("invalid URL {url:?}: write for example http://collector:4318");
                problems.add(key, message);
            }
        }
        if self.tls.server_name_override.is_some() {
            problems.add(
                "tls::server_name_override",
                "is not supported yet for HTTP; remove it",
            );
        }
        if let Err(message) = header_map(&self.headers) {
            problems.add("headers", message);
        }
        problems.extend("retry_on_failure", self.retry_on_failure.validate());
        problems.extend("sending_queue", self.sending_queue.validate());
    }

    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a> {
        Box::pin(async move {
            let fail = |key: &str, message: String| CollectorError::Component {
                component: format!("exporters::{}::{key}", context.id),
                message,
            };
            let client = self.client().map_err(|(key, message)| fail(key, message))?;
            let headers = header_map(&self.headers).map_err(|message| fail("headers", message))?;
            let transport = Arc::new(HttpTransport {
                client,
                urls: Signal::ALL.map(|signal| self.url(signal)),
                headers,
                encoding: self.encoding,
                compression: self.compression,
                id: context.id.to_string(),
            });
            let settings = sending::Settings {
                queue: self.sending_queue.clone(),
                retry: self.retry_on_failure.clone(),
                timeout: self.timeout.non_zero(),
                drain_time: sending::DRAIN_TIME,
            };
            let id = context.id.to_string();
            Ok(sending::build(transport, settings, context.metrics, &id))
        })
    }
}

fn header_map(headers: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let key: HeaderName = name
            .parse()
            .map_err(|_| format!("invalid header name {name:?}"))?;
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| format!("invalid value of the header {name:?}"))?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

struct HttpTransport {
    client: Client,
    /// In the order of `Signal::ALL`.
    urls: [Option<String>; 3],
    headers: HeaderMap,
    encoding: Encoding,
    compression: Compression,
    id: String,
}

impl Transport for HttpTransport {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<(), ConsumeError>> {
        Box::pin(async move {
            let signal = batch.signal();
            let index = Signal::ALL.iter().position(|s| *s == signal).unwrap_or(0);
            let Some(url) = &self.urls[index] else {
                return Err(ConsumeError::permanent(format!("no endpoint for {signal}")));
            };
            let request = self.request(url, &batch)?;
            let answer = request
                .send()
                .await
                .map_err(|e| ConsumeError::retryable(with_sources(&e)))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = read_answer(answer).await;
            if status.is_success() {
                let message = match self.encoding {
                    Encoding::Proto => Some(body),
                    Encoding::Json => json::to_protobuf(signal.response(), &body)
                        .ok()
                        .map(Bytes::from),
                };
                if let Some(message) = message {
                    partial_success(&self.id, signal, &message);
                }
                return Ok(());
            }
            Err(self.failure(url, status, &headers, &body))
        })
    }
}

impl HttpTransport {
    fn request(&self, url: &str, batch: &Batch) -> Result<reqwest::RequestBuilder, ConsumeError> {
        let permanent = |message: String| ConsumeError::permanent(message);
        let (body, content_type) = match self.encoding {
            Encoding::Proto => (batch.bytes().clone(), "application/x-protobuf"),
            Encoding::Json => {
                let text = json::to_json(batch.signal().request(), batch.bytes())
                    .map_err(|e| permanent(e.to_string()))?;
                (Bytes::from(text), "application/json")
            }
        };
        let (body, content_encoding) =
            compress(body, self.compression).map_err(|e| permanent(e.to_string()))?;
        let mut request = self
            .client
            .post(url)
            .headers(self.headers.clone())
            .header("content-type", content_type);
        if let Some(encoding) = content_encoding {
            request = request.header("content-encoding", encoding);
        }
        Ok(request.body(body))
    }

    fn failure(
        &self,
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> ConsumeError {
        let reason = match self.encoding {
            Encoding::Proto => RpcStatus::decode(body.clone()).map(|s| s.message).ok(),
            Encoding::Json => serde_json::from_slice::<serde_json::Value>(body)
                .ok()
                .and_then(|v| v.get("message")?.as_str().map(str::to_owned)),
        };
        let reason = reason.filter(|r| !r.is_empty()).unwrap_or_default();
        let message = format!("{url} answered {status}: {reason}");
        let message = message.trim_end_matches(": ").to_owned();
        match status.as_u16() {
            429 | 502 | 503 | 504 => {
                let may_wait = matches!(status.as_u16(), 429 | 503);
                let retry_after = headers
                    .get("retry-after")
                    .filter(|_| may_wait)
                    .and_then(|v| retry_after(v.to_str().ok()?));
                ConsumeError::Retryable {
                    message,
                    retry_after,
                }
            }
            _ => ConsumeError::permanent(message),
        }
    }
}

/// `Retry-After`: seconds, or an HTTP date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let wait = date.timestamp().duration_since(jiff::Timestamp::now());
    Duration::try_from(wait).ok()
}

async fn read_answer(mut answer: reqwest::Response) -> Bytes {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    body.into()
}

fn compress(
    body: Bytes,
    compression: Compression,
) -> std::io::Result<(Bytes, Option<&'static str>)> {
    let level = flate2::Compression::default();
    let out = Vec::with_capacity(body.len() / 4);
    Ok(match compression {
        Compression::None => (body, None),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(&body)?;
            (encoder.finish()?.into(), Some("gzip"))
        }
        Compression::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(out, level);
            encoder.write_all(&body)?;
            (encoder.finish()?.into(), Some("deflate"))
        }
        Compression::Zstd => (zstd::bulk::compress(&body, 3)?.into(), Some("zstd")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), None, "past");
        let later = retry_after("Thu, 01 Jan 2150 00:00:00 GMT");
        assert!(
            later.is_some_and(|d| d > Duration::from_secs(3600)),
            "{later:?}"
        );
        assert_eq!(retry_after("soon"), None);
    }
}
