//! `tls_config`.

use bellwether_yaml::{Secret, Strict, null_is_default};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version of TLS, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.0: known, never spoken.
    Tls10,
    /// 1.1: known, never spoken.
    Tls11,
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl TlsVersion {
    const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// As configurations write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| D::Error::custom(format!("unknown TLS version: {text}")))
    }
}

impl Serialize for TlsVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `tls_config`. An empty text counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct TlsConfig {
    /// Certificates of the authorities that servers are checked against, in PEM. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Own certificate and its chain, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// Own key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// File for [`Self::ca`]; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<String>,
    /// File for [`Self::cert`]; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_ref: Option<String>,
    /// File for [`Self::key`]; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<String>,
    /// Name that the server's certificate must have, and that is sent as SNI. Default: the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Take any certificate. Default false.
    #[serde(deserialize_with = "null_is_default")]
    pub insecure_skip_verify: bool,
    /// Oldest version. Default 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Newest version. Default 1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

impl<'de> Deserialize<'de> for TlsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "tls_config", &[]))
    }
}

impl Serialize for TlsConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
