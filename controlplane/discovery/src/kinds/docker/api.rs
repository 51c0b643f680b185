//! Docker's interface: over HTTP, or over a socket of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use crate::api::{Api, ApiError, client, read};
use crate::config::{DockerFilter, HttpClientConfig, url};
use crate::discoverer::{BuildContext, BuildError};
use crate::labels::Set;

/// Where Docker is asked.
pub(super) enum DockerApi {
    Http(Api),
    Unix { socket: PathBuf, timeout: Duration },
}

impl DockerApi {
    /// `unix://`, `tcp://`, `http://` or `https://`. Options of the HTTP client do not count for a socket.
    pub(super) fn new(
        host: &str,
        http: &HttpClientConfig,
        context: &BuildContext,
        timeout: Duration,
        name: &str,
    ) -> Result<Self, BuildError> {
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(Self::Unix {
                socket: PathBuf::from(path),
                timeout,
            });
        }
        let base = match host.split_once("://") {
            Some(("http" | "https", _)) => host.to_owned(),
            // Docker's own name for plain HTTP.
            Some(("tcp", rest)) => format!("http://{rest}"),
            _ => {
                return Err(BuildError::Other(format!(
                    "error setting up docker client: unable to parse docker host {host:?}: use unix://, tcp://, http:// or https://"
                )));
            }
        };
        let client = client(http, context, name)?;
        Ok(Self::Http(Api::new(client, &base, timeout)))
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        match self {
            Self::Http(api) => api.get_json(path).await,
            Self::Unix { socket, timeout } => {
                match tokio::time::timeout(*timeout, ask(socket, path)).await {
                    Ok(answer) => answer?.good()?.json(),
                    Err(_) => Err(ApiError::Timeout {
                        url: format!("unix://{}{path}", socket.display()),
                        timeout: *timeout,
                    }),
                }
            }
        }
    }

    /// Labels of all networks by their identifiers; `prefix` is `__meta_docker_` or the like.
    pub(super) async fn network_labels(
        &self,
        prefix: &str,
    ) -> Result<BTreeMap<String, Set>, ApiError> {
        let networks: Option<Vec<Network>> = self.get("/networks").await?;
        let labels = networks.unwrap_or_default().into_iter().map(|network| {
            let mut set = Set::new();
            set.set(format!("{prefix}network_id"), network.id.as_str())
                .set(format!("{prefix}network_name"), network.name)
                .set(format!("{prefix}network_scope"), network.scope)
                .set(
                    format!("{prefix}network_internal"),
                    network.internal.to_string(),
                )
                .set(
                    format!("{prefix}network_ingress"),
                    network.ingress.to_string(),
                )
                .set_all(
                    &format!("{prefix}network_label_"),
                    &network.labels.unwrap_or_default(),
                );
            (network.id, set)
        });
        Ok(labels.collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    labels: Option<BTreeMap<String, String>>,
}

/// One request over a connection of its own: they are few, and a socket of this machine costs nothing.
async fn ask(socket: &Path, path: &str) -> Result<crate::api::Answer, ApiError> {
    let url = format!("unix://{}{path}", socket.display());
    let failed = |e: &dyn std::fmt::Display| ApiError::Other(format!("{url}: {e}"));
    let stream = UnixStream::connect(socket).await.map_err(|e| failed(&e))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path
        .parse()
        .map_err(|e: http::uri::InvalidUri| failed(&e))?;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("docker"));
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    read(response, &url).await
}

/// The query of a list request: filters as Docker wants them, `{"name":{"value":true}}`.
pub(super) fn filter_query(filters: &[DockerFilter]) -> String {
    let mut all: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for filter in filters {
        for value in &filter.values {
            all.entry(&filter.name).or_default().insert(value, true);
        }
    }
    if all.is_empty() {
        return String::new();
    }
    let mut query = "?filters=".to_owned();
    let json = serde_json::to_string(&all).unwrap_or_default();
    url::push_query(&mut query, &json);
    query
}
