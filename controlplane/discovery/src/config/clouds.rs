//! Clouds whose interfaces need a login of their own.

use super::keys::{config_struct, config_words};
use super::{PromDuration, SdConfigError, Secret, TlsConfig, seconds, url, zero};

config_struct! {
    /// One entry of `azure_sd_configs`.
    pub struct AzureSdConfig in "azure_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        environment: String = "AzurePublicCloud".to_owned(),
        port: i64 = 80,
        subscription_id: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        tenant_id: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        client_id: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        client_secret: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(300),
        #[serde(skip_serializing_if = "zero")]
        authentication_method: String = "OAuth".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        resource_group: String = String::new(),
    }
}

impl AzureSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        let require = |missing: bool, name: &str| match missing {
            true => Err(format!("azure SD configuration requires a {name}")),
            false => Ok(()),
        };
        require(self.subscription_id.is_empty(), "subscription_id")?;
        if self.authentication_method == "OAuth" {
            require(self.tenant_id.is_empty(), "tenant_id")?;
            require(self.client_id.is_empty(), "client_id")?;
            require(zero(&self.client_secret), "client_secret")?;
        }
        match self.authentication_method.as_str() {
            "OAuth" | "ManagedIdentity" | "SDK" | "WorkloadIdentity" => {
                super::check_http(&self.http)
            }
            other => Err(format!(
                "unknown authentication_type {other:?}. Supported types are \"OAuth\", \"ManagedIdentity\", \"SDK\" or \"WorkloadIdentity\""
            )
            .into()),
        }
    }
}

config_struct! {
    /// One entry of `gce_sd_configs`.
    pub struct GceSdConfig in "gce_sd_configs" {
        project: String = String::new(),
        zone: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        filter: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        #[serde(skip_serializing_if = "zero")]
        tag_separator: String = ",".to_owned(),
    }
}

impl GceSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.project.is_empty() {
            return Err("GCE SD configuration requires a project".into());
        }
        if self.zone.is_empty() {
            return Err("GCE SD configuration requires a zone".into());
        }
        Ok(())
    }
}

config_struct! {
    /// One entry of `oci_sd_configs`.
    pub struct OciSdConfig in "oci_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        auth: String = "api_key".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        tenancy: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        user: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        fingerprint: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        key_file: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        key_passphrase: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        key_passphrase_file: String = String::new(),
        region: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        compartments: Vec<String> = Vec::new(),
        port: i64 = 80,
        refresh_interval: PromDuration = seconds(60),
    }
}

impl OciSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.region.is_empty() {
            return Err("oci_sd: region is required".into());
        }
        self.check_login()?;
        if let Some(index) = self.compartments.iter().position(String::is_empty) {
            return Err(format!("oci_sd: compartments[{index}] must not be empty").into());
        }
        if self.refresh_interval == seconds(0) {
            return Err("oci_sd: refresh_interval must be positive, got 0s".into());
        }
        super::check_http(&self.http)
    }

    fn check_login(&self) -> Result<(), SdConfigError> {
        let names = [
            ("tenancy", &self.tenancy),
            ("user", &self.user),
            ("fingerprint", &self.fingerprint),
            ("key_file", &self.key_file),
        ];
        let passphrase = !zero(&self.key_passphrase);
        let passphrase_file = !self.key_passphrase_file.is_empty();
        match self.auth.as_str() {
            "api_key" => {
                if let Some((name, _)) = names.iter().find(|(_, value)| value.is_empty()) {
                    return Err(format!("oci_sd: api_key auth requires {name}").into());
                }
                if passphrase && passphrase_file {
                    return Err("oci_sd: at most one of key_passphrase and key_passphrase_file must be configured".into());
                }
                Ok(())
            }
            "instance_principal" => {
                let any = names.iter().any(|(_, value)| !value.is_empty());
                if any || passphrase || passphrase_file {
                    return Err("oci_sd: instance_principal auth must not have tenancy, user, fingerprint, key_file, key_passphrase, or key_passphrase_file set".into());
                }
                Ok(())
            }
            other => Err(format!(
                "oci_sd: unknown auth method {other:?}, expected \"api_key\" or \"instance_principal\""
            )
            .into()),
        }
    }
}

config_words! {
    /// What `openstack_sd_configs` looks for.
    pub enum OpenstackRole, unknown "unknown OpenStack SD role {:?}" {
        Hypervisor = "hypervisor",
        Instance = "instance",
        LoadBalancer = "loadbalancer",
    }
}

config_struct! {
    /// One entry of `openstack_sd_configs`.
    pub struct OpenstackSdConfig in "openstack_sd_configs" {
        identity_endpoint: String = String::new(),
        username: String = String::new(),
        userid: String = String::new(),
        password: Secret = Secret::default(),
        project_name: String = String::new(),
        project_id: String = String::new(),
        domain_name: String = String::new(),
        domain_id: String = String::new(),
        application_credential_name: String = String::new(),
        application_credential_id: String = String::new(),
        application_credential_secret: Secret = Secret::default(),
        role: Option<OpenstackRole> = None,
        region: String = String::new(),
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        #[serde(skip_serializing_if = "zero")]
        all_tenants: bool = false,
        #[serde(skip_serializing_if = "zero")]
        tls_config: TlsConfig = TlsConfig::default(),
        #[serde(skip_serializing_if = "zero")]
        availability: String = "public".to_owned(),
    }
}

impl OpenstackSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if !matches!(self.availability.as_str(), "public" | "internal" | "admin") {
            return Err(format!(
                "unknown availability {}, must be one of admin, internal or public",
                self.availability
            )
            .into());
        }
        if self.role.is_none() {
            return Err("role missing (one of: instance, hypervisor, loadbalancer)".into());
        }
        if self.region.is_empty() {
            return Err("openstack SD configuration requires a region".into());
        }
        super::check_tls(&self.tls_config)
    }
}

fn check_secret_key(key: &Secret, file: &str) -> Result<(), SdConfigError> {
    match (zero(key), file.is_empty()) {
        (true, true) => Err("one of secret_key & secret_key_file must be configured".into()),
        (false, false) => {
            Err("at most one of secret_key & secret_key_file must be configured".into())
        }
        _ => Ok(()),
    }
}

config_struct! {
    /// One entry of `outscale_sd_configs`.
    pub struct OutscaleSdConfig in "outscale_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        endpoint: String = String::new(),
        region: String = "eu-west-2".to_owned(),
        access_key: String = String::new(),
        secret_key: Secret = Secret::default(),
        secret_key_file: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
    }
}

impl OutscaleSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.region.is_empty() {
            return Err("outscale SD configuration requires a region".into());
        }
        if self.access_key.is_empty() {
            return Err("outscale SD configuration requires access_key".into());
        }
        check_secret_key(&self.secret_key, &self.secret_key_file)?;
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `ovhcloud_sd_configs`.
    pub struct OvhcloudSdConfig in "ovhcloud_sd_configs" {
        endpoint: String = "ovh-eu".to_owned(),
        application_key: String = String::new(),
        application_secret: Secret = Secret::default(),
        consumer_key: Secret = Secret::default(),
        refresh_interval: PromDuration = seconds(60),
        service: String = String::new(),
    }
}

impl OvhcloudSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.endpoint.is_empty() {
            return Err("endpoint can not be empty".into());
        }
        if self.application_key.is_empty() {
            return Err("application key can not be empty".into());
        }
        if zero(&self.application_secret) {
            return Err("application secret can not be empty".into());
        }
        if zero(&self.consumer_key) {
            return Err("consumer key can not be empty".into());
        }
        match self.service.as_str() {
            "dedicated_server" | "vps" => Ok(()),
            other => Err(format!("unknown service: {other}").into()),
        }
    }
}

config_words! {
    /// What `scaleway_sd_configs` looks for.
    pub enum ScalewayRole, unknown "unknown role {:?}" {
        Instance = "instance",
        Baremetal = "baremetal",
    }
}

config_struct! {
    /// One entry of `scaleway_sd_configs`.
    pub struct ScalewaySdConfig in "scaleway_sd_configs" with http {
        project_id: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        api_url: String = "https://api.scaleway.com".to_owned(),
        zone: String = "fr-par-1".to_owned(),
        access_key: String = String::new(),
        secret_key: Secret = Secret::default(),
        secret_key_file: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        name_filter: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        tags_filter: Vec<String> = Vec::new(),
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        role: Option<ScalewayRole> = None,
    }
}

impl ScalewaySdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.role.is_none() {
            return Err("role missing (one of: instance, baremetal)".into());
        }
        if self.project_id.is_empty() {
            return Err("project_id is mandatory".into());
        }
        check_secret_key(&self.secret_key, &self.secret_key_file)?;
        if self.access_key.is_empty() {
            return Err("access_key is mandatory".into());
        }
        self.check_formats()?;
        super::check_http(&self.http)
    }

    /// What the cloud's own library finds wrong.
    fn check_formats(&self) -> Result<(), SdConfigError> {
        let wrong = |what: String| Err(SdConfigError::from(format!("scaleway-sdk-go: {what}")));
        let uuid = "expected a UUID: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        if !is_scaleway_key(&self.access_key) {
            let key = &self.access_key;
            return wrong(format!(
                "invalid access key format '{key}', expected SCWXXXXXXXXXXXXXXXXX format"
            ));
        }
        if self.secret_key_file.is_empty() && !is_uuid(&self.secret_key.0) {
            return wrong(format!("invalid secret key format, {uuid}"));
        }
        if !is_uuid(&self.project_id) {
            let id = &self.project_id;
            return wrong(format!("invalid project ID format '{id}', {uuid}"));
        }
        if self.zone.is_empty() {
            return wrong("default zone cannot be empty".to_owned());
        }
        if !is_scaleway_zone(&self.zone) {
            return wrong(format!("invalid default zone format '{}'", self.zone));
        }
        let url = &self.api_url;
        if url.is_empty() || url::split(url).is_err() {
            return wrong(format!("invalid API url '{url}'"));
        }
        if url.ends_with('/') {
            return wrong(format!(
                "invalid API url '{url}' it should not have a trailing slash"
            ));
        }
        Ok(())
    }
}

/// `SCW` and 17 capital letters or digits.
fn is_scaleway_key(key: &str) -> bool {
    key.strip_prefix("SCW").is_some_and(|rest| {
        let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        rest.len() == 17 && rest.bytes().all(fits)
    })
}

/// `fr-par-1` for example.
fn is_scaleway_zone(zone: &str) -> bool {
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase());
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match zone.split('-').collect::<Vec<_>>().as_slice() {
        [country, city, number] => {
            (country.len() == 2 && letters(country))
                && ((3..=7).contains(&city.len()) && letters(city))
                && ((1..=2).contains(&number.len()) && digits(number))
        }
        _ => false,
    }
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(i, byte): (usize, &u8)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(fits)
}

config_struct! {
    /// One entry of `stackit_sd_configs`.
    pub struct StackitSdConfig in "stackit_sd_configs" with http {
        project: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        #[serde(skip_serializing_if = "zero")]
        port: i64 = 80,
        #[serde(skip_serializing_if = "zero")]
        region: String = "eu01".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        endpoint: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        service_account_key: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        private_key: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        service_account_key_path: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        private_key_path: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        credentials_file_path: String = String::new(),
    }
}

impl StackitSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.endpoint.is_empty() && self.region.is_empty() {
            return Err("stackit_sd: endpoint and region missing".into());
        }
        url::split(&self.endpoint)
            .map_err(|e| format!("stackit_sd: invalid endpoint {:?}: {e}", self.endpoint))?;
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `triton_sd_configs`.
    pub struct TritonSdConfig in "triton_sd_configs" {
        account: String = String::new(),
        role: String = "container".to_owned(),
        dns_suffix: String = String::new(),
        endpoint: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        groups: Vec<String> = Vec::new(),
        port: i64 = 9163,
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        #[serde(skip_serializing_if = "zero")]
        tls_config: TlsConfig = TlsConfig::default(),
        version: i64 = 1,
    }
}

impl TritonSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.role != "container" && self.role != "cn" {
            return Err("triton SD configuration requires role to be 'container' or 'cn'".into());
        }
        for (value, what) in [
            (&self.account, "an account"),
            (&self.dns_suffix, "a dns_suffix"),
            (&self.endpoint, "an endpoint"),
        ] {
            if value.is_empty() {
                return Err(format!("triton SD configuration requires {what}").into());
            }
        }
        if self.refresh_interval == seconds(0) {
            return Err(
                "triton SD configuration requires RefreshInterval to be a positive integer".into(),
            );
        }
        super::check_tls(&self.tls_config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaleway_formats() {
        let good = "project_id: 11111111-1111-1111-1111-111111111112\n\
                    secret_key: 11111111-1111-1111-1111-111111111111\n\
                    access_key: SCWXXXXXXXXXXXXXXXXX\nrole: instance\n";
        let read = |text: &str| {
            let config: Result<ScalewaySdConfig, _> =
                bellwether_yaml::from_str_with_nulls("f", text);
            config.map_err(|e| e.message)
        };
        assert!(read(good).is_ok());
        for (from, to, error) in [
            ("SCWX", "SCW", "invalid access key format"),
            ("111111111112", "1", "invalid project ID format"),
            ("111111111111", "1", "invalid secret key format"),
            (
                "role:",
                "zone: paris\nrole:",
                "invalid default zone format 'paris'",
            ),
            ("role:", "api_url: http://a/\nrole:", "trailing slash"),
        ] {
            let found = read(&good.replace(from, to)).expect_err(error);
            assert!(found.contains(error), "{found}");
        }
    }
}
