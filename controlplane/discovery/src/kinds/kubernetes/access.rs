//! Ways to a cluster: `api_server` with our own HTTP client, a kubeconfig file, or the service account of the pod
//! that this runs in.

use std::path::{Path, PathBuf};

use bellwether_http::Client as HttpClient;
use bytes::Bytes;
use http::Uri;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::api::client;
use crate::config::KubernetesSdConfig;
use crate::discoverer::{BuildContext, BuildError};

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Why a cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    #[error("{}: {error}", path.display())]
    Kubeconfig {
        path: PathBuf,
        error: Box<kube::config::KubeconfigError>,
    },
    #[error(
        "unable to load in-cluster configuration ({0}): set api_server or kubeconfig_file where this does not run in a pod"
    )]
    InCluster(Box<kube::config::InClusterError>),
    #[error("could not determine the pod's namespace: {0}")]
    Namespace(std::io::Error),
    #[error("could not read own namespace name (empty file)")]
    EmptyNamespace,
    #[error("{0}")]
    Client(Box<kube::Error>),
}

pub(super) enum Access {
    Server { client: HttpClient, base: Uri },
    Kubeconfig(PathBuf),
    InCluster,
}

impl Access {
    pub(super) fn new(
        config: &KubernetesSdConfig,
        context: &BuildContext,
    ) -> Result<Self, BuildError> {
        if !config.kubeconfig_file.is_empty() {
            return Ok(Self::Kubeconfig(
                context.base_dir.join(&config.kubeconfig_file),
            ));
        }
        let Some(server) = &config.api_server else {
            return Ok(Self::InCluster);
        };
        // Without a scheme Kubernetes' own client speaks plain HTTP.
        let text = match server.contains("://") {
            true => server.clone(),
            false => format!("http://{server}"),
        };
        let base: Uri = text
            .parse()
            .map_err(|e| BuildError::Other(format!("api_server {server:?}: {e}")))?;
        Ok(Self::Server {
            client: client(&config.http, context, "kubernetes_sd")?,
            base,
        })
    }

    /// A client, and the namespaces to look into; an empty name stands for all.
    pub(super) async fn open(
        &self,
        config: &KubernetesSdConfig,
    ) -> Result<(Client, Vec<String>), AccessError> {
        let mut namespaces = config.namespaces.names.clone();
        let client = match self {
            Self::Server { client, base } => through(client.clone(), base.clone()),
            Self::Kubeconfig(path) => {
                let config = from_file(path)
                    .await
                    .map_err(|error| AccessError::Kubeconfig {
                        path: path.clone(),
                        error: Box::new(error),
                    })?;
                Client::try_from(config).map_err(|e| AccessError::Client(Box::new(e)))?
            }
            Self::InCluster => {
                let cluster =
                    Config::incluster().map_err(|error| AccessError::InCluster(Box::new(error)))?;
                if config.namespaces.own_namespace {
                    namespaces.push(own_namespace().await?);
                }
                tracing::info!("Using pod service account via in-cluster config");
                Client::try_from(cluster).map_err(|e| AccessError::Client(Box::new(e)))?
            }
        };
        if namespaces.is_empty() {
            namespaces.push(String::new());
        }
        Ok((client, namespaces))
    }
}

async fn from_file(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await;
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig?,
        // The blocking thread panicked.
        Err(_) => return Err(kube::config::KubeconfigError::FindPath),
    };
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}

async fn own_namespace() -> Result<String, AccessError> {
    let text = tokio::fs::read_to_string(OWN_NAMESPACE)
        .await
        .map_err(AccessError::Namespace)?;
    if text.is_empty() {
        return Err(AccessError::EmptyNamespace);
    }
    Ok(text)
}

/// A client whose requests go through ours: base URL, TLS, credentials, proxies and headers are its business.
fn through(client: HttpClient, base: Uri) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, base) = (client.clone(), base.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            parts.uri = joined(&base, &parts.uri)?;
            let body: Bytes = body.collect().await?.to_bytes();
            let request = http::Request::from_parts(parts, body);
            Ok::<_, tower::BoxError>(client.send(request).await?)
        }
    });
    Client::new(service, "default")
}

/// The path behind the base URL, which may have a path of its own.
fn joined(base: &Uri, path: &Uri) -> Result<Uri, http::Error> {
    let own = path.path_and_query().map_or("/", |p| p.as_str());
    let prefix = base.path().trim_end_matches('/');
    let authority = base.authority().map_or("", |a| a.as_str());
    Uri::builder()
        .scheme(base.scheme_str().unwrap_or("http"))
        .authority(authority)
        .path_and_query(format!("{prefix}{own}"))
        .build()
}
