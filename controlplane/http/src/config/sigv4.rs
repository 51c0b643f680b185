//! `sigv4`: Amazon's signatures, of remote write and of Alertmanagers.

use bellwether_yaml::{Secret, Strict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `sigv4`. Read, checked and shown; this build signs no requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct Sigv4Config {
    /// Region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Access key; with its secret or not at all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// Its secret.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub secret_key: Secret,
    /// Profile of the credentials' file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// Role to assume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
    /// Needs a role.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_id: String,
    /// Ask the endpoint that follows FIPS for the role.
    #[serde(skip_serializing_if = "super::is_false")]
    pub use_fips_sts_endpoint: bool,
    /// Name of the service in signatures.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
}

impl<'de> Deserialize<'de> for Sigv4Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(Strict::new(deserializer, "sigv4", &[]))?;
        config.check().map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for Sigv4Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Sigv4Config {
    fn check(&self) -> Result<(), &'static str> {
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            return Err(
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
            );
        }
        if !self.external_id.is_empty() && self.role_arn.is_empty() {
            return Err("external_id can only be used with role_arn");
        }
        Ok(())
    }
}
