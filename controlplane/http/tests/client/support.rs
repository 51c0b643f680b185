//! Certificates, a server that notes what it is asked, and a proxy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bellwether_http::{Client, ClientError, HttpClientConfig};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pem {
    pub cert: String,
    pub key: String,
}

/// An authority.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub cert: String,
}

impl Authority {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        Self { params, key, cert }
    }

    /// A certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Pem {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        Pem {
            cert: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A certificate that vouches for itself; `openssl req -x509` marks it as an authority.
pub fn self_signed(names: &[&str]) -> Pem {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Pem {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// TLS of a server; with `clients`, an authority that must vouch for them.
pub fn server_tls(pem: &Pem, clients: Option<&str>) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for cert in CertificateDer::pem_slice_iter(authority.as_bytes()) {
                roots.add(cert.unwrap()).unwrap();
            }
            let check = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(check.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(pem.cert.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    // Unchecked: also what the library could not read.
    let identity = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let mut config = builder.with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A request that a server got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

pub type Answer = Response<Full<Bytes>>;

pub fn text(status: u16, body: &str) -> Answer {
    let body = Full::new(Bytes::from(body.to_owned()));
    Response::builder().status(status).body(body).unwrap()
}

pub fn redirect(status: u16, to: &str) -> Answer {
    let builder = Response::builder().status(status).header("location", to);
    builder.body(Full::default()).unwrap()
}

/// A server on a free port of this machine, until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answering = dyn Fn(&Seen) -> Answer + Send + Sync;

impl Server {
    pub async fn start(
        tls: Option<rustls::ServerConfig>,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (notes, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, notes) = (tls.clone(), Arc::clone(&notes));
                let answer: Arc<Answering> = Arc::clone(&answer) as Arc<Answering>;
                connections.spawn(async move {
                    match tls {
                        None => speak(stream, notes, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                speak(stream, notes, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Plain HTTP with one answer for everything.
    pub async fn plain(body: &'static str) -> Self {
        Self::start(None, move |_| text(200, body)).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("no request came")
    }

    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    notes: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answering>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let seen = Seen {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            };
            notes.lock().push(seen.clone());
            Ok::<_, hyper::Error>(answer(&seen))
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A client by its keys in YAML; paths start at `base_dir`.
pub fn client_in(base_dir: &Path, yaml: &str) -> Client {
    let config: HttpClientConfig = bellwether_yaml::from_str("test.yml", yaml).unwrap();
    Client::new(&config.resolve(base_dir).unwrap(), "test").unwrap()
}

pub fn client(yaml: &str) -> Client {
    client_in(&PathBuf::from("."), yaml)
}

/// Status, version and body of an answer.
pub async fn fetch(client: &Client, url: &str) -> Result<(StatusCode, String), ClientError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let answer = client.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The body of a good answer.
pub async fn body(client: &Client, url: &str) -> String {
    let (status, body) = fetch(client, url).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// The text of an error.
pub async fn error(client: &Client, url: &str) -> String {
    fetch(client, url).await.unwrap_err().to_string()
}

/// A PEM text as a YAML value.
pub fn yaml_text(pem: &str) -> String {
    format!("{pem:?}")
}
