//! `oauth2`.

use std::collections::BTreeMap;

use bellwether_yaml::{Secret, Strict, null_is_default};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{ProxyConfig, TlsConfig};

/// The grant of RFC 7523: a signed assertion instead of a client secret.
pub const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// `oauth2`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct OAuth2Config {
    /// The client's name at the token server. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub client_id: String,
    /// The client's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// File that holds the secret; read at each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<String>,
    /// Name of the signing key, put into the assertion's header. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_key_id: Option<String>,
    /// RSA key in PEM that signs the assertion. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_key: Option<Secret>,
    /// File for the key. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_key_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_key_ref: Option<String>,
    /// `client_credentials` (default) or [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// `RS256` (default), `RS384` or `RS512`. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<String>,
    /// Issuer in the assertion. Default: the client's name. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Audience in the assertion. Default: the token URL. Only for [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Further claims of the assertion. Only for [`GRANT_JWT_BEARER`].
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub claims: BTreeMap<String, Value>,
    /// Scopes to ask for.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scopes: Vec<String>,
    /// Where tokens are had. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub token_url: String,
    /// Further parameters of the token request.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "super::is_default"
    )]
    pub tls_config: TlsConfig,
    /// Proxies towards the token server.
    #[serde(flatten, skip_deserializing)]
    pub proxy: ProxyConfig,
}

impl<'de> Deserialize<'de> for OAuth2Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut proxy = ProxyConfig::default();
        let mut config =
            Self::deserialize(Strict::new(deserializer, "oauth2", &[]).embed(&mut proxy))?;
        config.proxy = proxy;
        Ok(config)
    }
}

impl Serialize for OAuth2Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
