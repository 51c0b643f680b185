//! What a client runs with: checked, every default filled in, paths complete.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_yaml::Secret;
use http::HeaderName;
use serde_json::Value;

use crate::config::{ProxyUrl, TlsVersion};

/// A text in place, in a file that is read at each use, or out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In place.
    Inline(Secret),
    /// In a file; blanks around the text do not count.
    File(PathBuf),
    /// In a secret manager, which there is none of: whoever needs the text fails.
    Reference(String),
}

impl Default for SecretSource {
    fn default() -> Self {
        Self::Inline(Secret::default())
    }
}

/// How a client identifies itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User name and password.
    Basic {
        /// User name.
        username: SecretSource,
        /// Password.
        password: SecretSource,
    },
    /// `Authorization: <scheme> <credentials>`.
    Header {
        /// Usually `Bearer`.
        scheme: String,
        /// Credentials.
        credentials: SecretSource,
    },
    /// Tokens of a token server.
    OAuth2(Box<OAuth2Settings>),
}

/// Tokens of a token server.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2Settings {
    /// The client's name at the token server.
    pub client_id: String,
    /// How the client proves that it is the one.
    pub grant: Grant,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Where tokens are had.
    pub token_url: String,
    /// Further parameters of the request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    pub tls: TlsSettings,
    /// Proxies towards the token server.
    pub proxy: ProxySettings,
}

/// What a token is asked for with.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    /// The client's secret.
    ClientCredentials {
        /// The secret.
        secret: SecretSource,
    },
    /// An assertion signed by the client (RFC 7523).
    JwtBearer {
        /// RSA key in PEM.
        key: SecretSource,
        /// The key's name in the assertion's header.
        key_id: Option<String>,
        /// How the assertion is signed.
        algorithm: SignatureAlgorithm,
        /// Who asks.
        issuer: String,
        /// Who is asked.
        audience: String,
        /// Further claims.
        claims: BTreeMap<String, Value>,
    },
}

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSA PKCS#1 1.5 with SHA-256.
    #[default]
    Rs256,
    /// RSA PKCS#1 1.5 with SHA-384.
    Rs384,
    /// RSA PKCS#1 1.5 with SHA-512.
    Rs512,
}

/// Certificates, names and versions of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Authorities that servers are checked against, in PEM; `None` for those of the system.
    pub ca: Option<SecretSource>,
    /// Own certificate and key, in PEM.
    pub identity: Option<(SecretSource, SecretSource)>,
    /// Name that the server must have instead of the URL's host.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub insecure_skip_verify: bool,
    /// Oldest version.
    pub min_version: Option<TlsVersion>,
    /// Newest version.
    pub max_version: Option<TlsVersion>,
}

/// Which requests go through a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxySettings {
    /// None.
    #[default]
    Direct,
    /// All, but for the exceptions.
    Url {
        /// The proxy; its scheme was checked.
        url: ProxyUrl,
        /// Exceptions as written; empty for none.
        no_proxy: String,
        /// Headers for a proxy that is asked to connect through.
        connect_headers: Vec<(HeaderName, Secret)>,
    },
    /// As `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the process say when the client is made.
    Environment {
        /// Headers for a proxy that is asked to connect through.
        connect_headers: Vec<(HeaderName, Secret)>,
    },
}

/// What a client runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// Authentication.
    pub auth: Auth,
    /// TLS.
    pub tls: TlsSettings,
    /// Proxies.
    pub proxy: ProxySettings,
    /// Headers to add. A name may come several times.
    pub headers: Vec<(HeaderName, SecretSource)>,
    /// Follow redirects.
    pub follow_redirects: bool,
    /// Offer HTTP/2 where TLS is spoken.
    pub enable_http2: bool,
    /// Each connection begins with the next address of the host. No key of its own: sections that have one set it.
    pub addresses_in_turn: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: TlsSettings::default(),
            proxy: ProxySettings::Direct,
            headers: Vec::new(),
            follow_redirects: true,
            enable_http2: true,
            addresses_in_turn: false,
        }
    }
}
