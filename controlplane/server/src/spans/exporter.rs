//! Sends batches of spans by OTLP, over gRPC or HTTP.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bellwether_http::{Client, HttpClientConfig};
use bellwether_telemetry::Registry;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use tokio::runtime::Handle;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, service_fn};

use crate::config::TracingConfig;

/// What the configuration leaves to the protocol: its default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A receiver that has no time is asked again so often, after one second, two, and so on.
const RETRIES: u32 = 3;
/// Name of the connections in metrics.
const DIALER: &str = "tracing";

/// Sends spans; each batch on the server's runtime, whoever waits for it.
pub(super) struct Exporter {
    receiver: Receiver,
    runtime: Handle,
    timeout: Duration,
    resource: ResourceAttributesWithSchema,
}

#[derive(Clone)]
enum Receiver {
    Http {
        client: Client,
        url: Uri,
        headers: HeaderMap,
        gzip: bool,
    },
    Grpc {
        client: TraceServiceClient<Channel>,
        metadata: MetadataMap,
    },
}

/// Why a batch was not taken.
struct Refused {
    reason: String,
    /// It may be taken later.
    may_pass: bool,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Exporter {
    /// Blocks on the disk.
    pub(super) fn new(
        config: &TracingConfig,
        base_dir: &Path,
        runtime: Handle,
    ) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let wrong = |error: &dyn fmt::Display| format!("header {name:?}: {error}");
            let key = HeaderName::try_from(name).map_err(|e| wrong(&e))?;
            let value = HeaderValue::try_from(value).map_err(|e| wrong(&e))?;
            headers.insert(key, value);
        }
        let receiver = {
            // A gRPC channel belongs to a runtime.
            let _entered = runtime.enter();
            receiver(config, base_dir, headers)?
        };
        Ok(Self {
            receiver,
            runtime,
            timeout: config.timeout.map_or(TIMEOUT, |timeout| timeout.0),
            resource: ResourceAttributesWithSchema::default(),
        })
    }
}

fn receiver(
    config: &TracingConfig,
    base_dir: &Path,
    headers: HeaderMap,
) -> Result<Receiver, String> {
    let http = HttpClientConfig {
        tls_config: config.tls_config.clone().unwrap_or_default(),
        ..HttpClientConfig::default()
    };
    let settings = http.resolve(base_dir).map_err(|e| e.to_string())?;
    let endpoint = config.endpoint.as_deref().unwrap_or_default();
    let gzip = config.compression.as_deref() == Some("gzip");
    let scheme = if config.insecure { "http" } else { "https" };
    let wrong = |error: &dyn fmt::Display| format!("endpoint {endpoint:?}: {error}");
    if config.client_type == "http" {
        let url = format!("{scheme}://{endpoint}/v1/traces");
        let client = Client::new(&settings, DIALER).map_err(|e| e.to_string())?;
        return Ok(Receiver::Http {
            client,
            url: url.parse().map_err(|e| wrong(&e))?,
            headers,
            gzip,
        });
    }
    let origin: Uri = format!("{scheme}://{endpoint}")
        .parse()
        .map_err(|e| wrong(&e))?;
    let connector = Client::connector(&settings, DIALER, &Registry::new());
    let connector = connector.map_err(|e| e.to_string())?;
    let to = origin.clone();
    // TLS is the connector's business: the channel is told of plain HTTP.
    let connect = service_fn(move |_: Uri| connector.clone().call(to.clone()));
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(|e| wrong(&e))?
        .origin(origin)
        .connect_with_connector_lazy(connect);
    let mut client = TraceServiceClient::new(channel);
    if gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    Ok(Receiver::Grpc {
        client,
        metadata: MetadataMap::from_headers(headers),
    })
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        let sending = deliver(self.receiver.clone(), request, self.timeout);
        let sent = self.runtime.spawn(sending).await;
        let result = sent.unwrap_or_else(|error| Err(error.to_string()));
        result.map_err(|error| {
            tracing::error!(error, "spans were not delivered");
            OTelSdkError::InternalFailure(error)
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// Sends a batch, again while the receiver may take it later.
async fn deliver(
    mut receiver: Receiver,
    request: ExportTraceServiceRequest,
    timeout: Duration,
) -> Result<(), String> {
    let mut pause = Duration::from_secs(1);
    for tries_left in (0..=RETRIES).rev() {
        let refused = match tokio::time::timeout(timeout, receiver.send(&request)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(refused)) => refused,
            Err(_) => Refused {
                reason: format!("no answer within {timeout:?}"),
                may_pass: true,
            },
        };
        if !refused.may_pass || tries_left == 0 {
            return Err(refused.reason);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

impl Receiver {
    async fn send(&mut self, batch: &ExportTraceServiceRequest) -> Result<(), Refused> {
        match self {
            Self::Http {
                client,
                url,
                headers,
                gzip,
            } => {
                let body = batch.encode_to_vec();
                let mut request = Request::new(body.into());
                *request.method_mut() = Method::POST;
                *request.uri_mut() = url.clone();
                *request.headers_mut() = headers.clone();
                let protobuf = HeaderValue::from_static("application/x-protobuf");
                request.headers_mut().insert(CONTENT_TYPE, protobuf);
                if *gzip {
                    compress(&mut request)?;
                }
                let answer = client.send(request).await.map_err(|error| Refused {
                    reason: error.to_string(),
                    may_pass: true,
                })?;
                judge(answer.status())
            }
            Self::Grpc { client, metadata } => {
                let mut request = tonic::Request::new(batch.clone());
                *request.metadata_mut() = metadata.clone();
                let answer = client.export(request).await;
                answer.map(drop).map_err(|status| Refused {
                    reason: status.to_string(),
                    may_pass: may_pass(status.code()),
                })
            }
        }
    }
}

fn compress(request: &mut Request<bytes::Bytes>) -> Result<(), Refused> {
    let failed = |error: std::io::Error| Refused {
        reason: error.to_string(),
        may_pass: false,
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(request.body()).map_err(failed)?;
    *request.body_mut() = encoder.finish().map_err(failed)?.into();
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().insert(CONTENT_ENCODING, gzip);
    Ok(())
}

/// As the protocol says which answers are worth another try.
fn judge(status: StatusCode) -> Result<(), Refused> {
    if status.is_success() {
        return Ok(());
    }
    Err(Refused {
        reason: format!("server returned HTTP status {status}"),
        may_pass: matches!(status.as_u16(), 429 | 502 | 503 | 504),
    })
}

fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}
