//! `otlp_grpc` (old name `otlp`): OTLP over gRPC. See `README.md`.

mod tls;

pub(crate) use tls::pem;

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_otlp::Signal;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use serde::Deserialize;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use super::sending::{self, Transport};
use super::{partial_success, with_sources};
use crate::CollectorError;
use crate::config::blocks::{QueueConfig, RetryConfig, TlsClient};
use crate::config::types::{Accepted, GoDuration, Unsupported};
use crate::grpc_codec::BytesCodec;
use crate::pipeline::component::BuildFuture;
use crate::pipeline::{Batch, BuildContext, ConsumeError, ExporterConfig, Problems};
use crate::rpc_status::RpcStatus;

/// Keys of the exporter.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OtlpGrpcConfig {
    endpoint: String,
    tls: TlsClient,
    compression: Compression,
    timeout: GoDuration,
    headers: BTreeMap<String, String>,
    retry_on_failure: RetryConfig,
    sending_queue: QueueConfig,
    authority: Option<String>,
    user_agent: Option<String>,
    /// HTTP/2 pings: the connection is checked by each request anyway.
    keepalive: Accepted,
    /// Sending always waits for the connection, within the timeout.
    wait_for_ready: Accepted,
    /// One address, one connection.
    balancer_name: Accepted,
    /// Buffers size themselves.
    write_buffer_size: Accepted,
    /// As `write_buffer_size`.
    read_buffer_size: Accepted,
    auth: Unsupported,
    middlewares: Unsupported,
}

impl Default for OtlpGrpcConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            tls: TlsClient::default(),
            compression: Compression::Gzip,
            timeout: GoDuration::secs(5),
            headers: BTreeMap::new(),
            retry_on_failure: RetryConfig::default(),
            sending_queue: QueueConfig::default(),
            authority: None,
            user_agent: None,
            keepalive: Accepted,
            wait_for_ready: Accepted,
            balancer_name: Accepted,
            write_buffer_size: Accepted,
            read_buffer_size: Accepted,
            auth: Unsupported,
            middlewares: Unsupported,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    Gzip,
    Zstd,
    #[serde(alias = "")]
    None,
}

/// Scheme and `host:port` of an endpoint.
fn split_endpoint(endpoint: &str) -> Result<(Option<bool>, &str), String> {
    let (plain, rest) = match endpoint.split_once("://") {
        None => (None, endpoint),
        Some(("http", rest)) => (Some(true), rest),
        Some(("https", rest)) => (Some(false), rest),
        Some(("dns", rest)) => (None, rest.trim_start_matches('/')),
        Some((scheme, _)) => {
            return Err(format!(
                "invalid endpoint {endpoint:?}: the scheme {scheme} is not supported (http, https and dns are)"
            ));
        }
    };
    let rest = rest.trim_end_matches('/');
    let port = rest.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok((plain, rest)),
        _ => Err(format!(
            "invalid endpoint {endpoint:?}: it must end in a valid port, for example collector:4317"
        )),
    }
}

impl ExporterConfig for OtlpGrpcConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.add(
                "",
                "the key `endpoint` is required, for example collector:4317",
            );
        } else if let Err(message) = split_endpoint(&self.endpoint) {
            problems.add("endpoint", message);
        }
        if self.tls.insecure_skip_verify {
            let message = "is not supported yet for gRPC; set ca_file, or insecure for plain text";
            problems.add("tls::insecure_skip_verify", message);
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
            let channel = self
                .channel()
                .map_err(|(key, message)| fail(key, message))?;
            let metadata = metadata(&self.headers).map_err(|message| fail("headers", message))?;
            let transport = Arc::new(GrpcTransport {
                channel,
                metadata,
                compression: match self.compression {
                    Compression::Gzip => Some(CompressionEncoding::Gzip),
                    Compression::Zstd => Some(CompressionEncoding::Zstd),
                    Compression::None => None,
                },
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

impl OtlpGrpcConfig {
    /// A channel that connects with the first request and again after each loss.
    fn channel(&self) -> Result<Channel, (&'static str, String)> {
        let in_endpoint = |message: String| ("endpoint", message);
        let (plain, host) = split_endpoint(&self.endpoint).map_err(in_endpoint)?;
        let plain = plain.unwrap_or(self.tls.insecure);
        let scheme = if plain { "http" } else { "https" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))
            .map_err(|e| in_endpoint(e.to_string()))?;
        if !plain {
            let tls = tls::config(&self.tls).map_err(|message| ("tls", message))?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|e| ("tls", e.to_string()))?;
        }
        if let Some(agent) = &self.user_agent {
            endpoint = endpoint
                .user_agent(agent.as_str())
                .map_err(|e| ("user_agent", e.to_string()))?;
        }
        if let Some(authority) = &self.authority {
            let origin = format!("{scheme}://{authority}")
                .parse()
                .map_err(|_| ("authority", format!("invalid authority {authority:?}")))?;
            endpoint = endpoint.origin(origin);
        }
        Ok(endpoint.connect_lazy())
    }
}

fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, String> {
    let mut map = MetadataMap::new();
    for (name, value) in headers {
        // Values may be secret: only the name is shown.
        let key = tonic::metadata::MetadataKey::from_bytes(name.to_lowercase().as_bytes())
            .map_err(|_| format!("invalid header name {name:?}"))?;
        let value: MetadataValue<_> = value
            .parse()
            .map_err(|_| format!("invalid value of the header {name:?}"))?;
        map.insert(key, value);
    }
    Ok(map)
}

struct GrpcTransport {
    channel: Channel,
    metadata: MetadataMap,
    compression: Option<CompressionEncoding>,
    id: String,
}

impl Transport for GrpcTransport {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<(), ConsumeError>> {
        Box::pin(async move {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone())
                .accept_compressed(CompressionEncoding::Gzip);
            if let Some(compression) = self.compression {
                grpc = grpc.send_compressed(compression);
            }
            grpc.ready()
                .await
                .map_err(|e| ConsumeError::retryable(with_sources(&e)))?;
            let mut request = tonic::Request::new(batch.bytes().clone());
            *request.metadata_mut() = self.metadata.clone();
            let path = http::uri::PathAndQuery::from_static(batch.signal().grpc_path());
            match grpc.unary(request, path, BytesCodec).await {
                Ok(answer) => {
                    let answer: Bytes = answer.into_inner();
                    partial_success(&self.id, batch.signal(), &answer);
                    Ok(())
                }
                Err(status) => Err(status_error(&status)),
            }
        })
    }
}

fn status_error(status: &tonic::Status) -> ConsumeError {
    let retry_after = RpcStatus::decode(status.details())
        .ok()
        .and_then(|s| s.retry_delay());
    ConsumeError::Status {
        code: status.code(),
        message: match std::error::Error::source(status) {
            Some(source) => format!("{}: {}", status.message(), with_sources(source)),
            None => status.message().to_owned(),
        },
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::split_endpoint;

    #[test]
    fn endpoints() {
        assert_eq!(split_endpoint("a:4317"), Ok((None, "a:4317")));
        assert_eq!(split_endpoint("http://a:1/"), Ok((Some(true), "a:1")));
        assert_eq!(split_endpoint("https://a:1"), Ok((Some(false), "a:1")));
        assert_eq!(split_endpoint("dns:///a:1"), Ok((None, "a:1")));
        for bad in ["a", "a:x", "unix:///tmp/s", "http://a"] {
            assert!(split_endpoint(bad).is_err(), "{bad}");
        }
    }
}
