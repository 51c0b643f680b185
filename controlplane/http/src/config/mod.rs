//! The keys of an HTTP client as a user writes them.
//!
//! [`HttpClientConfig`] mirrors the YAML. Its keys stand at the same level as those of the section that has a client:
//! such a section reads them with [`bellwether_yaml::Strict::embed`] and writes them with serde's `flatten`:
//!
//! ```
//! use bellwether_http::HttpClientConfig;
//! use bellwether_yaml::Strict;
//! use serde::{Deserialize, Deserializer, Serialize};
//!
//! #[derive(Default, Deserialize, Serialize)]
//! #[serde(remote = "Self", default)]
//! struct Section {
//!     url: String,
//!     #[serde(flatten, skip_deserializing)]
//!     http: HttpClientConfig,
//! }
//!
//! impl<'de> Deserialize<'de> for Section {
//!     fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
//!         let mut http = HttpClientConfig::default();
//!         let mut section =
//!             Self::deserialize(Strict::new(deserializer, "section", &[]).embed(&mut http))?;
//!         section.http = http;
//!         Ok(section)
//!     }
//! }
//! ```
//!
//! Keys and texts of errors are those of prometheus/common's `HTTPClientConfig`.

mod auth;
mod check;
mod error;
mod headers;
mod oauth2;
mod proxy;
mod resolve;
mod shown;
mod sigv4;
mod tls;

use std::collections::BTreeMap;

use bellwether_yaml::{Embedded, Secret, Strict};
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize};

pub use auth::{Authorization, BasicAuth};
pub use error::HttpConfigError;
pub use headers::HttpHeader;
pub use oauth2::{GRANT_JWT_BEARER, OAuth2Config};
pub use proxy::{ProxyConfig, ProxyUrl};
pub use sigv4::Sigv4Config;
pub use tls::{TlsConfig, TlsVersion};

/// How requests are made: authentication, TLS, proxies, headers, redirects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpClientConfig {
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// `Authorization` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Tokens of an OAuth 2.0 server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Config>,
    /// Older form of `authorization.credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    /// Older form of `authorization.credentials_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<String>,
    /// Certificates, names and versions of TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_config: TlsConfig,
    /// Follow redirects. Default true.
    pub follow_redirects: bool,
    /// Offer HTTP/2 where TLS is spoken. Default true.
    pub enable_http2: bool,
    /// Proxies.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// Headers to add, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, HttpHeader>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            http_headers: BTreeMap::new(),
        }
    }
}

impl Embedded for HttpClientConfig {
    const KEYS: &'static [&'static str] = &[
        "basic_auth",
        "authorization",
        "oauth2",
        "bearer_token",
        "bearer_token_file",
        "tls_config",
        "follow_redirects",
        "enable_http2",
        "proxy_url",
        "no_proxy",
        "proxy_from_environment",
        "proxy_connect_header",
        "http_headers",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "basic_auth" => self.basic_auth = map.next_value()?,
            "authorization" => self.authorization = map.next_value()?,
            "oauth2" => self.oauth2 = map.next_value()?,
            "bearer_token" => self.bearer_token = map.next_value()?,
            "bearer_token_file" => self.bearer_token_file = map.next_value()?,
            "tls_config" => self.tls_config = or_default(map)?,
            "follow_redirects" => self.follow_redirects = map.next_value()?,
            "enable_http2" => self.enable_http2 = map.next_value()?,
            "http_headers" => self.http_headers = or_default(map)?,
            _ => return self.proxy.take(key, map),
        }
        Ok(())
    }
}

/// A key without a value stands for the default.
fn or_default<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

/// A client's keys alone, as in a file of their own (`--http.config.file`).
impl<'de> Deserialize<'de> for HttpClientConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct NoOwnKeys {}

        let mut http = Self::default();
        NoOwnKeys::deserialize(
            Strict::new(deserializer, "HTTP client config", &[]).embed(&mut http),
        )?;
        Ok(http)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !*value
}
