//! The web configuration file as a user writes it: the format of Prometheus' exporter toolkit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bellwether_yaml::{PromDuration, Secret, Strict, null_is_default};
use http::{HeaderName, HeaderValue};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::error::WebConfigError;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", default)]
pub(crate) struct WebConfig {
    /// TLS; spoken when one of its keys asks for it.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) tls_server_config: TlsServerConfig,
    /// HTTP.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) http_server_config: HttpServerConfig,
    /// Requests in a time.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) rate_limit: RateLimit,
    /// Hashes of passwords (bcrypt) by user. Empty: everybody may come.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) basic_auth_users: BTreeMap<String, Secret>,
}

/// `tls_server_config`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(remote = "Self", default)]
pub(crate) struct TlsServerConfig {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) cert: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) key: Secret,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) client_ca: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) cert_file: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) key_file: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) client_auth_type: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) client_ca_file: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) cipher_suites: Vec<CipherSuite>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) curve_preferences: Vec<Curve>,
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: TlsVersion,
    pub(crate) prefer_server_cipher_suites: bool,
    pub(crate) client_allowed_sans: Option<Vec<String>>,
}

impl Default for TlsServerConfig {
    fn default() -> Self {
        Self {
            cert: String::new(),
            key: Secret::default(),
            client_ca: String::new(),
            cert_file: String::new(),
            key_file: String::new(),
            client_auth_type: String::new(),
            client_ca_file: String::new(),
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            prefer_server_cipher_suites: true,
            client_allowed_sans: None,
        }
    }
}

/// `http_server_config`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(remote = "Self", default)]
pub(crate) struct HttpServerConfig {
    /// Offer HTTP/2 where TLS is spoken.
    pub(crate) http2: bool,
    /// Headers of every answer.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) headers: BTreeMap<String, String>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            http2: true,
            headers: BTreeMap::new(),
        }
    }
}

/// `rate_limit`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", default)]
pub(crate) struct RateLimit {
    /// Requests that may come at once.
    pub(crate) burst: u32,
    /// Time after which one more may come; zero for no limit.
    pub(crate) interval: PromDuration,
}

/// Reads a section whose keys are known.
macro_rules! strict {
    ($type:ty, $place:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(Strict::new(deserializer, $place, &[]))
            }
        }
    };
}

strict!(WebConfig, "web config");
strict!(TlsServerConfig, "tls_server_config");
strict!(HttpServerConfig, "http_server_config");
strict!(RateLimit, "rate_limit");

/// A version of TLS, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    /// Known, never spoken.
    Tls10,
    /// Known, never spoken.
    Tls11,
    Tls12,
    Tls13,
}

/// A cipher suite by Go's name. Those that are not spoken here are known nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CipherSuite(pub(crate) &'static str);

/// A curve by Go's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Curve(pub(crate) &'static str);

const TLS_VERSIONS: &[(&str, TlsVersion)] = &[
    ("TLS13", TlsVersion::Tls13),
    ("TLS12", TlsVersion::Tls12),
    ("TLS11", TlsVersion::Tls11),
    ("TLS10", TlsVersion::Tls10),
];

/// What Go's `tls.CipherSuites` names.
const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

const CURVES: &[&str] = &["CurveP256", "CurveP384", "CurveP521", "X25519"];

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = TLS_VERSIONS.iter().find(|(name, _)| *name == text);
        let unknown = || D::Error::custom(format!("unknown TLS version: {text}"));
        found.map(|(_, version)| *version).ok_or_else(unknown)
    }
}

impl<'de> Deserialize<'de> for CipherSuite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = CIPHER_SUITES.iter().find(|name| **name == text);
        let unknown = || D::Error::custom(format!("unknown cipher: {text}"));
        found.map(|name| Self(name)).ok_or_else(unknown)
    }
}

impl<'de> Deserialize<'de> for Curve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = CURVES.iter().find(|name| **name == text);
        let unknown = || D::Error::custom(format!("unknown curve: {text}"));
        found.map(|name| Self(name)).ok_or_else(unknown)
    }
}

impl TlsServerConfig {
    /// Whether one of the keys asks for TLS.
    pub(crate) fn is_enabled(&self) -> bool {
        let keys = [
            &self.cert_file,
            &self.cert,
            &self.key_file,
            &self.key.0,
            &self.client_ca_file,
            &self.client_ca,
            &self.client_auth_type,
        ];
        keys.into_iter().any(|key| !key.is_empty())
    }
}

/// Headers that may be configured, and their values where only some make sense.
const HEADERS: &[(&str, &[&str])] = &[
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

impl HttpServerConfig {
    /// The headers, checked.
    pub(crate) fn parsed_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, WebConfigError> {
        let mut parsed = Vec::new();
        for (name, value) in &self.headers {
            let known = HEADERS.iter().find(|(known, _)| known == name);
            let Some((_, values)) = known else {
                return Err(WebConfigError::Header(name.clone()));
            };
            let is_allowed = values.is_empty() || values.contains(&value.as_str());
            let (Ok(name), Ok(parsed_value), true) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
                is_allowed,
            ) else {
                let quoted: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
                return Err(WebConfigError::HeaderValue {
                    name: name.clone(),
                    value: value.clone(),
                    values: quoted.join(" "),
                });
            };
            parsed.push((name, parsed_value));
        }
        Ok(parsed)
    }
}

impl WebConfig {
    /// Reads and checks the file, but neither certificates nor hashes. Blocks on the disk.
    pub(crate) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let text = read(path)?;
        let mut config: Self =
            bellwether_yaml::from_str_with_nulls(&path.display().to_string(), &text)?;
        config.http_server_config.parsed_headers()?;
        let tls = &mut config.tls_server_config;
        for file in [
            &mut tls.cert_file,
            &mut tls.key_file,
            &mut tls.client_ca_file,
        ] {
            if !file.is_empty() {
                *file = joined(path, file).display().to_string();
            }
        }
        Ok(config)
    }
}

/// A path of the file, relative to where the file is.
fn joined(config: &Path, path: &str) -> PathBuf {
    match config.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.join(path),
        _ => PathBuf::from(path),
    }
}

pub(crate) fn read(path: &Path) -> Result<String, WebConfigError> {
    std::fs::read_to_string(path).map_err(|source| WebConfigError::Read {
        path: path.to_owned(),
        source,
    })
}
