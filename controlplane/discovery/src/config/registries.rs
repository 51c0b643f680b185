//! Service registries and container managers.

use std::collections::BTreeMap;

use bellwether_http::config::BasicAuth;

use super::keys::{config_struct, config_words};
use super::{HttpClientConfig, PromDuration, SdConfigError, Secret, seconds, url, zero};

config_struct! {
    /// One entry of `consul_sd_configs`.
    pub struct ConsulSdConfig in "consul_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        server: String = "localhost:8500".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        path_prefix: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        token: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        datacenter: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        namespace: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        partition: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        tag_separator: String = ",".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        scheme: String = "http".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        username: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        password: Secret = Secret::default(),
        allow_stale: bool = true,
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(30),
        #[serde(skip_serializing_if = "zero")]
        services: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        tags: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        node_meta: BTreeMap<String, String> = BTreeMap::new(),
        #[serde(skip_serializing_if = "zero")]
        filter: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        health_filter: String = String::new(),
    }
}

impl ConsulSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.server.trim().is_empty() {
            return Err("consul SD configuration requires a server address".into());
        }
        let has_login = !self.username.is_empty() || !zero(&self.password);
        if has_login && self.http.basic_auth.is_some() {
            return Err("at most one of consul SD configuration username and password and basic auth can be configured".into());
        }
        if !zero(&self.token) && (self.http.authorization.is_some() || self.http.oauth2.is_some()) {
            return Err(
                "at most one of consul SD token, authorization, or oauth2 can be configured".into(),
            );
        }
        super::check_http(&self.http_with_login())
    }

    /// The client's options with the older keys for user name and password among them.
    pub(crate) fn http_with_login(&self) -> HttpClientConfig {
        let mut http = self.http.clone();
        if !self.username.is_empty() || !zero(&self.password) {
            http.basic_auth = Some(BasicAuth {
                username: self.username.clone(),
                password: Some(self.password.clone()),
                ..BasicAuth::default()
            });
        }
        http
    }
}

config_struct! {
    /// One entry of `nomad_sd_configs`.
    pub struct NomadSdConfig in "nomad_sd_configs" with http {
        allow_stale: bool = true,
        namespace: String = "default".to_owned(),
        refresh_interval: PromDuration = seconds(60),
        region: String = "global".to_owned(),
        server: String = "http://localhost:4646".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        tag_separator: String = ",".to_owned(),
    }
}

impl NomadSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.server.trim().is_empty() {
            return Err("nomad SD configuration requires a server address".into());
        }
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `eureka_sd_configs`.
    pub struct EurekaSdConfig in "eureka_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        server: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(30),
    }
}

impl EurekaSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.server.is_empty() {
            return Err("eureka_sd: empty or null eureka server".into());
        }
        let parts = url::split(&self.server)?;
        if parts.scheme.is_empty() || parts.host.is_empty() {
            return Err("eureka_sd: invalid eureka server URL".into());
        }
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `marathon_sd_configs`.
    pub struct MarathonSdConfig in "marathon_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        servers: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(30),
        #[serde(skip_serializing_if = "zero")]
        auth_token: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        auth_token_file: String = String::new(),
    }
}

impl MarathonSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.servers.is_empty() {
            return Err("marathon_sd: must contain at least one Marathon server".into());
        }
        let (token, file) = (!zero(&self.auth_token), !self.auth_token_file.is_empty());
        if token && file {
            return Err(
                "marathon_sd: at most one of auth_token & auth_token_file must be configured"
                    .into(),
            );
        }
        let http = &self.http;
        if !token && !file {
            return super::check_http(http);
        }
        if http.basic_auth.is_some() {
            Err("marathon_sd: at most one of basic_auth, auth_token & auth_token_file must be configured".into())
        } else if http.bearer_token.is_some() || http.bearer_token_file.is_some() {
            Err("marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & auth_token_file must be configured".into())
        } else if http.authorization.is_some() {
            Err("marathon_sd: at most one of auth_token, auth_token_file & authorization must be configured".into())
        } else {
            super::check_http(http)
        }
    }
}

config_struct! {
    /// One entry of `kuma_sd_configs`.
    pub struct KumaSdConfig in "kuma_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(15),
        #[serde(skip_serializing_if = "zero")]
        fetch_timeout: PromDuration = seconds(120),
        #[serde(skip_serializing_if = "zero")]
        server: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        client_id: String = String::new(),
    }
}

impl KumaSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.server.is_empty() {
            return Err("kuma SD server must not be empty: ".into());
        }
        let parts = url::split(&self.server)?;
        if parts.scheme.is_empty() || parts.host.is_empty() {
            return Err(format!(
                "kuma SD server must not be empty and have a scheme: {}",
                self.server
            )
            .into());
        }
        super::check_http(&self.http)
    }
}

config_struct! {
    /// A filter of Docker objects.
    pub struct DockerFilter in "filters" {
        name: String = String::new(),
        values: Vec<String> = Vec::new(),
    }
}

impl DockerFilter {
    #[allow(clippy::unused_self)] // every configuration has a check
    fn check(&self) -> Result<(), SdConfigError> {
        Ok(())
    }
}

config_struct! {
    /// One entry of `docker_sd_configs`.
    pub struct DockerSdConfig in "docker_sd_configs" with http {
        host: String = String::new(),
        port: i64 = 80,
        filters: Vec<DockerFilter> = Vec::new(),
        host_networking_host: String = "localhost".to_owned(),
        refresh_interval: PromDuration = seconds(60),
        match_first_network: bool = true,
    }
}

fn check_docker_host(host: &str) -> Result<(), SdConfigError> {
    if host.is_empty() {
        return Err("host missing".into());
    }
    url::split(host)?;
    Ok(())
}

impl DockerSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        check_docker_host(&self.host)?;
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `dockerswarm_sd_configs`.
    pub struct DockerSwarmSdConfig in "dockerswarm_sd_configs" with http {
        host: String = String::new(),
        role: String = String::new(),
        port: i64 = 80,
        filters: Vec<DockerFilter> = Vec::new(),
        refresh_interval: PromDuration = seconds(60),
    }
}

impl DockerSwarmSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        check_docker_host(&self.host)?;
        match self.role.as_str() {
            "services" | "nodes" | "tasks" => super::check_http(&self.http),
            "" => Err("role missing (one of: tasks, services, nodes)".into()),
            role => Err(format!("invalid role {role}, expected tasks, services, or nodes").into()),
        }
    }
}

/// Kinds that keep their services in ZooKeeper.
macro_rules! zookeeper {
    ($(#[$meta:meta])* $name:ident, $place:literal, $kind:literal) => {
        config_struct! {
            $(#[$meta])*
            pub struct $name in $place {
                servers: Vec<String> = Vec::new(),
                paths: Vec<String> = Vec::new(),
                #[serde(skip_serializing_if = "zero")]
                timeout: PromDuration = seconds(10),
            }
        }

        impl $name {
            fn check(&self) -> Result<(), SdConfigError> {
                if self.servers.is_empty() {
                    return Err(
                        concat!($kind, " SD config must contain at least one Zookeeper server")
                            .into(),
                    );
                }
                if self.paths.is_empty() {
                    return Err(concat!($kind, " SD config must contain at least one path").into());
                }
                match self.paths.iter().find(|path| !path.starts_with('/')) {
                    Some(path) => Err(format!(
                        concat!($kind, " SD config paths must begin with '/': {}"),
                        path
                    )
                    .into()),
                    None => Ok(()),
                }
            }
        }
    };
}

zookeeper!(
    /// One entry of `serverset_sd_configs`.
    ServersetSdConfig,
    "serverset_sd_configs",
    "serverset"
);

zookeeper!(
    /// One entry of `nerve_sd_configs`.
    NerveSdConfig,
    "nerve_sd_configs",
    "nerve"
);

config_struct! {
    /// One entry of `puppetdb_sd_configs`.
    pub struct PuppetdbSdConfig in "puppetdb_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        url: String = String::new(),
        query: String = String::new(),
        include_parameters: bool = false,
        port: i64 = 80,
    }
}

impl PuppetdbSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        url::check_http(&self.url)?;
        if self.query.is_empty() {
            return Err("query missing".into());
        }
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `uyuni_sd_configs`.
    pub struct UyuniSdConfig in "uyuni_sd_configs" with http {
        server: String = String::new(),
        username: String = String::new(),
        password: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        entitlement: String = "monitoring_entitled".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        separator: String = ",".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
    }
}

impl UyuniSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.server.is_empty() {
            return Err("Uyuni SD configuration requires server host".into());
        }
        url::split(&self.server).map_err(|e| format!("Uyuni Server URL is not valid: {e}"))?;
        if self.username.is_empty() {
            return Err("Uyuni SD configuration requires a username".into());
        }
        if zero(&self.password) {
            return Err("Uyuni SD configuration requires a password".into());
        }
        super::check_http(&self.http)
    }
}

config_words! {
    /// What `digitalocean_sd_configs` looks for.
    pub enum DigitalOceanRole, unknown "unknown DigitalOcean SD role {:?}" {
        Droplets = "droplets",
        Databases = "databases",
    }
}

config_struct! {
    /// One entry of `digitalocean_sd_configs`.
    pub struct DigitalOceanSdConfig in "digitalocean_sd_configs" with http {
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        role: DigitalOceanRole = DigitalOceanRole::Droplets,
    }
}

config_struct! {
    /// One entry of `linode_sd_configs`.
    pub struct LinodeSdConfig in "linode_sd_configs" with http {
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        #[serde(skip_serializing_if = "zero")]
        tag_separator: String = ",".to_owned(),
        #[serde(skip_serializing_if = "zero")]
        region: String = String::new(),
    }
}

config_struct! {
    /// One entry of `vultr_sd_configs`.
    pub struct VultrSdConfig in "vultr_sd_configs" with http {
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
    }
}

macro_rules! only_http_is_checked {
    ($($name:ident)*) => {
        $(
            impl $name {
                fn check(&self) -> Result<(), SdConfigError> {
                    super::check_http(&self.http)
                }
            }
        )*
    };
}

only_http_is_checked!(DigitalOceanSdConfig LinodeSdConfig VultrSdConfig);

config_words! {
    /// What `hetzner_sd_configs` looks for.
    pub enum HetznerRole, unknown "unknown role {:?}" {
        Robot = "robot",
        Hcloud = "hcloud",
    }
}

config_struct! {
    /// One entry of `hetzner_sd_configs`.
    pub struct HetznerSdConfig in "hetzner_sd_configs" with http {
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
        role: Option<HetznerRole> = None,
        #[serde(skip_serializing_if = "zero")]
        label_selector: String = String::new(),
    }
}

impl HetznerSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.role.is_none() {
            return Err("role missing (one of: robot, hcloud)".into());
        }
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `ionos_sd_configs`.
    pub struct IonosSdConfig in "ionos_sd_configs" with http {
        datacenter_id: String = String::new(),
        refresh_interval: PromDuration = seconds(60),
        port: i64 = 80,
    }
}

impl IonosSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.datacenter_id.is_empty() {
            return Err("datacenter id can't be empty".into());
        }
        super::check_http(&self.http)
    }
}
