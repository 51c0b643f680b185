//! `azuread` and `google_iam`: logins of clouds. Read, checked and shown; this build has none of them.

use bellwether_yaml::{Secret, Strict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares a section of texts, secrets and truth values, all of which may be missing.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident in $place:literal { $($field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(remote = "Self", default)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($field), "`.")]
                #[serde(skip_serializing_if = "is_default")]
                pub $field: $type,
            )*
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let config = Self::deserialize(Strict::new(deserializer, $place, &[]))?;
                config.check().map_err(serde::de::Error::custom)?;
                Ok(config)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    };
}

/// Sections that are checked by the one that they stand in.
macro_rules! nothing_to_check {
    ($($name:ident)*) => {
        $(
            impl $name {
                #[allow(clippy::unused_self)] // every section has a check
                fn check(&self) -> Result<(), String> {
                    Ok(())
                }
            }
        )*
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

section!(
    /// `azuread`.
    AzureAdConfig in "azuread" {
        managed_identity: Option<ManagedIdentity>,
        workload_identity: Option<WorkloadIdentity>,
        oauth: Option<OAuth>,
        sdk: Option<Sdk>,
        certificate: Option<Certificate>,
        cloud: String,
        scope: String,
    }
);

section!(
    /// `azuread.managed_identity`.
    ManagedIdentity in "managed_identity" {
        client_id: String,
    }
);

section!(
    /// `azuread.workload_identity`.
    WorkloadIdentity in "workload_identity" {
        client_id: String,
        tenant_id: String,
        token_file_path: String,
    }
);

section!(
    /// `azuread.oauth`.
    OAuth in "oauth" {
        client_id: String,
        client_secret: Secret,
        tenant_id: String,
    }
);

section!(
    /// `azuread.sdk`.
    Sdk in "sdk" {
        tenant_id: String,
    }
);

section!(
    /// `azuread.certificate`.
    Certificate in "certificate" {
        client_id: String,
        tenant_id: String,
        certificate_path: String,
        certificate_key_path: String,
        certificate_password: Secret,
        send_certificate_chain: bool,
    }
);

section!(
    /// `google_iam`.
    GoogleIamConfig in "google_iam" {
        credentials_file: String,
    }
);

nothing_to_check!(ManagedIdentity WorkloadIdentity OAuth Sdk Certificate GoogleIamConfig);

fn require(text: &str, what: &str) -> Result<(), String> {
    if text.is_empty() {
        Err(format!(
            "must provide an Azure {what} in the Azure AD config"
        ))
    } else {
        Ok(())
    }
}

fn require_uuid(text: &str, what: &str) -> Result<(), String> {
    if is_uuid(text) {
        Ok(())
    } else {
        Err(format!("the provided Azure {what} is invalid"))
    }
}

impl AzureAdConfig {
    /// The checks of Prometheus, in its order and words.
    fn check(&self) -> Result<(), String> {
        if !matches!(
            self.cloud.as_str(),
            "" | "AzureChina" | "AzureGovernment" | "AzurePublic"
        ) {
            return Err("must provide a cloud in the Azure AD config".to_owned());
        }
        let ways = [
            self.managed_identity.is_some(),
            self.workload_identity.is_some(),
            self.oauth.is_some(),
            self.sdk.is_some(),
            self.certificate.is_some(),
        ];
        match ways.into_iter().filter(|is_set| *is_set).count() {
            0 => return Err("must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth, Azure Certificate or Azure SDK in the Azure AD config".to_owned()),
            1 => {}
            _ => return Err("cannot provide multiple authentication methods in the Azure AD config".to_owned()),
        }
        self.check_way()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "_:/.-\t\n\x0c\r ".contains(c);
        if !self.scope.chars().all(fits) {
            return Err("the provided scope contains invalid characters".to_owned());
        }
        Ok(())
    }

    fn check_way(&self) -> Result<(), String> {
        if let Some(identity) = &self.managed_identity
            && !identity.client_id.is_empty()
        {
            require_uuid(&identity.client_id, "Managed Identity client_id")?;
        }
        if let Some(identity) = &self.workload_identity {
            require(&identity.client_id, "Workload Identity client_id")?;
            require(&identity.tenant_id, "Workload Identity tenant_id")?;
            require_uuid(&identity.client_id, "Workload Identity client_id")?;
            require_uuid(&identity.tenant_id, "Workload Identity tenant_id")?;
        }
        if let Some(oauth) = &self.oauth {
            require(&oauth.client_id, "OAuth client_id")?;
            require(&oauth.client_secret.0, "OAuth client_secret")?;
            require(&oauth.tenant_id, "OAuth tenant_id")?;
            require_uuid(&oauth.client_id, "OAuth client_id")?;
        }
        if let Some(certificate) = &self.certificate {
            require(&certificate.client_id, "Certificate client_id")?;
            require(&certificate.tenant_id, "Certificate tenant_id")?;
            require(
                &certificate.certificate_path,
                "Certificate certificate_path",
            )?;
            require_uuid(&certificate.client_id, "Certificate client_id")?;
        }
        Ok(())
    }
}

/// Plain, without hyphens, in braces, or behind `urn:uuid:`.
fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = match bytes.len() {
        32 => return bytes.iter().all(u8::is_ascii_hexdigit),
        36 => bytes,
        38 => &bytes[1..37],
        45 if bytes[..9].eq_ignore_ascii_case(b"urn:uuid:") => &bytes[9..],
        _ => return false,
    };
    plain.iter().enumerate().all(|(i, byte)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-00000000000a";

    fn read(yaml: &str) -> Result<AzureAdConfig, String> {
        let yaml = yaml.replace("ID", ID);
        bellwether_yaml::from_str_with_nulls("f", &yaml).map_err(|e| e.message)
    }

    #[test]
    fn one_way_to_log_in() {
        for yaml in [
            "managed_identity: {client_id: ID}",
            "managed_identity: {}",
            "managed_identity: {client_id: '{ID}'}",
            "managed_identity: {client_id: 'urn:uuid:ID'}",
            "workload_identity: {client_id: ID, tenant_id: ID}",
            "oauth: {client_id: ID, client_secret: a, tenant_id: b c}",
            "{cloud: AzureChina, sdk: {tenant_id: a}}",
            "{certificate: {client_id: ID, tenant_id: a, certificate_path: b}, scope: 'https://a/.default'}",
        ] {
            assert!(read(yaml).is_ok(), "{yaml}: {:?}", read(yaml));
        }
        for (yaml, expected) in [
            (
                "{}",
                "must provide an Azure Managed Identity, Azure Workload",
            ),
            (
                "managed_identity:",
                "must provide an Azure Managed Identity, Azure Workload",
            ),
            ("cloud: x", "must provide a cloud"),
            ("{sdk: {}, oauth: {}}", "cannot provide multiple"),
            (
                "managed_identity: {client_id: x}",
                "Managed Identity client_id is invalid",
            ),
            (
                "oauth: {client_id: ID, tenant_id: b}",
                "Azure OAuth client_secret",
            ),
            (
                "{sdk: {}, scope: 'a;b'}",
                "scope contains invalid characters",
            ),
            ("{sdk: {foo: a}}", "unknown key \"foo\""),
        ] {
            let error = read(yaml).expect_err(yaml);
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
