//! `basic_auth` and `authorization`.

use bellwether_yaml::{Secret, Strict, null_is_default};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `basic_auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct BasicAuth {
    /// User name.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub username: String,
    /// File that holds the user name; read at each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_ref: Option<String>,
    /// Password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password; read at each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_ref: Option<String>,
}

/// `authorization`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct Authorization {
    /// Scheme, `Bearer` when empty.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub scheme: String,
    /// Credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// File that holds the credentials; read at each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<String>,
    /// Name of the secret in a secret manager, which nobody has here: requests fail, as Prometheus' do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<String>,
}

impl<'de> Deserialize<'de> for BasicAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "basic_auth", &[]))
    }
}

impl Serialize for BasicAuth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Authorization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "authorization", &[]))
    }
}

impl Serialize for Authorization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
