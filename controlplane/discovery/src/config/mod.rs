//! `*_sd_configs` as a user writes them.
//!
//! [`SdConfigs`] holds all of them. Its keys stand among those of a scrape configuration or of an entry of
//! `alertmanagers`, which read them with [`bellwether_yaml::Strict::embed`] and write them with serde's `flatten`.
//! Every kind that Prometheus 3.14 has is read and checked here with its error texts, also those that this build
//! cannot run: what those are, and why, is in [`not_runnable`].

mod aws;
mod basic;
mod clouds;
mod keys;
mod kubernetes;
mod registries;
mod selector;
mod shown;
pub(crate) mod url;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use bellwether_yaml::{Embedded, list};
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use bellwether_http::HttpClientConfig;
pub(crate) use bellwether_http::config::TlsConfig;
pub(crate) use bellwether_yaml::{PromDuration, Secret};

pub use aws::{
    AwsFilter, AwsRole, AwsSdConfig, Ec2SdConfig, EcsSdConfig, ElasticacheSdConfig,
    LightsailSdConfig, MskSdConfig, RdsSdConfig,
};
pub use basic::{DnsSdConfig, FileSdConfig, HttpSdConfig, StaticConfig};
pub use clouds::{
    AzureSdConfig, GceSdConfig, OciSdConfig, OpenstackRole, OpenstackSdConfig, OutscaleSdConfig,
    OvhcloudSdConfig, ScalewayRole, ScalewaySdConfig, StackitSdConfig, TritonSdConfig,
};
pub(crate) use keys::Keys;
pub use kubernetes::{
    AttachMetadata, KubernetesRole, KubernetesSdConfig, NamespaceDiscovery, SelectorConfig,
};
pub use registries::{
    ConsulSdConfig, DigitalOceanRole, DigitalOceanSdConfig, DockerFilter, DockerSdConfig,
    DockerSwarmSdConfig, EurekaSdConfig, HetznerRole, HetznerSdConfig, IonosSdConfig, KumaSdConfig,
    LinodeSdConfig, MarathonSdConfig, NerveSdConfig, NomadSdConfig, PuppetdbSdConfig,
    ServersetSdConfig, UyuniSdConfig, VultrSdConfig,
};

/// What is wrong with one entry of `*_sd_configs`. The texts are Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SdConfigError(Cow<'static, str>);

impl From<&'static str> for SdConfigError {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl From<String> for SdConfigError {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// Whether a value is its type's zero, which Prometheus leaves out when it writes a configuration.
pub(crate) fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn seconds(n: u64) -> PromDuration {
    PromDuration(Duration::from_secs(n))
}

/// The keys of HTTP clients, for lists of known keys.
pub(crate) mod http_keys {
    /// By the name of the field that holds them.
    pub(crate) fn http() -> &'static [&'static str] {
        <super::HttpClientConfig as bellwether_yaml::Embedded>::KEYS
    }
}

impl Keys for HttpClientConfig {
    fn keys() -> Vec<&'static str> {
        <Self as Embedded>::KEYS.to_vec()
    }

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        if !<Self as Embedded>::KEYS.contains(&key) {
            return Ok(false);
        }
        Embedded::take(self, key, map)?;
        Ok(true)
    }
}

/// Checks the options of an HTTP client.
fn check_http(http: &HttpClientConfig) -> Result<(), SdConfigError> {
    http.check().map_err(|e| e.to_string().into())
}

/// Checks TLS options that stand alone.
fn check_tls(tls: &TlsConfig) -> Result<(), SdConfigError> {
    tls.check().map_err(|e| e.to_string().into())
}

/// Declares all kinds: field and key of the list, name of the mechanism, type.
macro_rules! kinds {
    ($( $field:ident $key:literal, $variant:ident $name:literal: $type:ident; )*) => {
        /// All `*_sd_configs` and `static_configs` of one section.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        pub struct SdConfigs {
            $(
                #[doc = concat!("`", $key, "`.")]
                #[serde(skip_serializing_if = "Vec::is_empty")]
                pub $field: Vec<$type>,
            )*
            /// `static_configs`.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub static_configs: Vec<StaticConfig>,
        }

        impl Embedded for SdConfigs {
            const KEYS: &'static [&'static str] = &[$($key,)* "static_configs"];

            fn take<'de, A: MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match key {
                    $(
                        $key => {
                            self.$field =
                                map.next_value_seed(Entries::new(concat!("empty or null section in ", $key)))?;
                        }
                    )*
                    _ => {
                        self.static_configs =
                            map.next_value_seed(Entries::new("empty or null section in static_configs"))?;
                    }
                }
                Ok(())
            }
        }

        /// One entry of one of the lists, `static_configs` aside.
        #[derive(Clone, Debug, PartialEq)]
        pub enum SdConfig {
            $(
                #[doc = concat!("An entry of `", $key, "`.")]
                $variant(Box<$type>),
            )*
        }

        impl SdConfig {
            /// The mechanism's name, `consul` for example.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $name, )*
                }
            }

            /// The key of the list that it stands in.
            #[must_use]
            pub fn key(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $key, )*
                }
            }
        }

        impl SdConfigs {
            fn show_http(&mut self, base_dir: &Path) {
                $( self.$field.iter_mut().for_each(|c| c.show_http(base_dir)); )*
            }

            /// All entries besides `static_configs`, ordered by key.
            pub fn entries(&self) -> impl Iterator<Item = SdConfig> {
                std::iter::empty()
                    $( .chain(self.$field.iter().map(|c| SdConfig::$variant(Box::new(c.clone())))) )*
            }
        }

        /// Names of all mechanisms in alphabetical order, with `static`.
        #[must_use]
        pub fn mechanisms() -> Vec<&'static str> {
            let mut names = vec![$($name,)* "static"];
            names.sort_unstable();
            names
        }
    };
}

kinds! {
    aws_sd_configs "aws_sd_configs", Aws "aws": AwsSdConfig;
    azure_sd_configs "azure_sd_configs", Azure "azure": AzureSdConfig;
    consul_sd_configs "consul_sd_configs", Consul "consul": ConsulSdConfig;
    digitalocean_sd_configs "digitalocean_sd_configs", DigitalOcean "digitalocean": DigitalOceanSdConfig;
    dns_sd_configs "dns_sd_configs", Dns "dns": DnsSdConfig;
    docker_sd_configs "docker_sd_configs", Docker "docker": DockerSdConfig;
    dockerswarm_sd_configs "dockerswarm_sd_configs", DockerSwarm "dockerswarm": DockerSwarmSdConfig;
    ec2_sd_configs "ec2_sd_configs", Ec2 "ec2": Ec2SdConfig;
    ecs_sd_configs "ecs_sd_configs", Ecs "ecs": EcsSdConfig;
    elasticache_sd_configs "elasticache_sd_configs", Elasticache "elasticache": ElasticacheSdConfig;
    eureka_sd_configs "eureka_sd_configs", Eureka "eureka": EurekaSdConfig;
    file_sd_configs "file_sd_configs", File "file": FileSdConfig;
    gce_sd_configs "gce_sd_configs", Gce "gce": GceSdConfig;
    hetzner_sd_configs "hetzner_sd_configs", Hetzner "hetzner": HetznerSdConfig;
    http_sd_configs "http_sd_configs", Http "http": HttpSdConfig;
    ionos_sd_configs "ionos_sd_configs", Ionos "ionos": IonosSdConfig;
    kubernetes_sd_configs "kubernetes_sd_configs", Kubernetes "kubernetes": KubernetesSdConfig;
    kuma_sd_configs "kuma_sd_configs", Kuma "kuma": KumaSdConfig;
    lightsail_sd_configs "lightsail_sd_configs", Lightsail "lightsail": LightsailSdConfig;
    linode_sd_configs "linode_sd_configs", Linode "linode": LinodeSdConfig;
    marathon_sd_configs "marathon_sd_configs", Marathon "marathon": MarathonSdConfig;
    msk_sd_configs "msk_sd_configs", Msk "msk": MskSdConfig;
    nerve_sd_configs "nerve_sd_configs", Nerve "nerve": NerveSdConfig;
    nomad_sd_configs "nomad_sd_configs", Nomad "nomad": NomadSdConfig;
    oci_sd_configs "oci_sd_configs", Oci "oci": OciSdConfig;
    openstack_sd_configs "openstack_sd_configs", Openstack "openstack": OpenstackSdConfig;
    outscale_sd_configs "outscale_sd_configs", Outscale "outscale": OutscaleSdConfig;
    ovhcloud_sd_configs "ovhcloud_sd_configs", Ovhcloud "ovhcloud": OvhcloudSdConfig;
    puppetdb_sd_configs "puppetdb_sd_configs", Puppetdb "puppetdb": PuppetdbSdConfig;
    rds_sd_configs "rds_sd_configs", Rds "rds": RdsSdConfig;
    scaleway_sd_configs "scaleway_sd_configs", Scaleway "scaleway": ScalewaySdConfig;
    serverset_sd_configs "serverset_sd_configs", Serverset "serverset": ServersetSdConfig;
    stackit_sd_configs "stackit_sd_configs", Stackit "stackit": StackitSdConfig;
    triton_sd_configs "triton_sd_configs", Triton "triton": TritonSdConfig;
    uyuni_sd_configs "uyuni_sd_configs", Uyuni "uyuni": UyuniSdConfig;
    vultr_sd_configs "vultr_sd_configs", Vultr "vultr": VultrSdConfig;
}

/// The shared keys of a section that has an HTTP client and discovers: scrape configurations and entries of
/// `alertmanagers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAndSd {
    /// Options of the HTTP client.
    pub http: HttpClientConfig,
    /// Where targets come from.
    pub sd: SdConfigs,
}

const fn both<const N: usize>(
    first: &[&'static str],
    second: &[&'static str],
) -> [&'static str; N] {
    let mut all = [""; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < first.len() {
            first[i]
        } else {
            second[i - first.len()]
        };
        i += 1;
    }
    all
}

const HTTP_KEYS: &[&str] = <HttpClientConfig as Embedded>::KEYS;
const SD_KEYS: &[&str] = <SdConfigs as Embedded>::KEYS;

impl Embedded for HttpAndSd {
    const KEYS: &'static [&'static str] =
        &both::<{ HTTP_KEYS.len() + SD_KEYS.len() }>(HTTP_KEYS, SD_KEYS);

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if HTTP_KEYS.contains(&key) {
            Embedded::take(&mut self.http, key, map)
        } else {
            Embedded::take(&mut self.sd, key, map)
        }
    }
}

/// Reads a list; an entry that is null is refused with a text.
struct Entries<T> {
    empty_entry: &'static str,
    kind: std::marker::PhantomData<T>,
}

impl<T> Entries<T> {
    fn new(empty_entry: &'static str) -> Self {
        Self {
            empty_entry,
            kind: std::marker::PhantomData,
        }
    }
}

impl<'de, T: Deserialize<'de>> serde::de::DeserializeSeed<'de> for Entries<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        list(deserializer, self.empty_entry)
    }
}

/// A kind that is read and checked but cannot run in this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRunnable {
    /// The mechanism's name, `azure` for example.
    pub name: &'static str,
    /// Why.
    pub reason: &'static str,
}

const AMAZON: &str =
    "requests to Amazon's interfaces have to be signed, which this build does not do";
const OWN_LOGIN: &str = "the cloud's own login is not part of this build";
const ZOOKEEPER: &str = "ZooKeeper's protocol is not part of this build";

/// Kinds that cannot run. A server must refuse a configuration that uses one; a check of the file alone accepts it.
#[must_use]
pub fn not_runnable() -> &'static [NotRunnable] {
    macro_rules! list {
        ($($(#[$meta:meta])* $name:literal: $reason:expr,)*) => {
            &[$($(#[$meta])* NotRunnable { name: $name, reason: $reason },)*]
        };
    }
    list! {
        "aws": AMAZON,
        "azure": OWN_LOGIN,
        "ec2": AMAZON,
        "ecs": AMAZON,
        "elasticache": AMAZON,
        "gce": OWN_LOGIN,
        #[cfg(not(feature = "kubernetes"))]
        "kubernetes": "this build was made without the feature kubernetes",
        "lightsail": AMAZON,
        "msk": AMAZON,
        "nerve": ZOOKEEPER,
        "oci": OWN_LOGIN,
        "openstack": OWN_LOGIN,
        "outscale": OWN_LOGIN,
        "ovhcloud": OWN_LOGIN,
        "rds": AMAZON,
        "serverset": ZOOKEEPER,
        "stackit": OWN_LOGIN,
        "triton": "it is untested against Triton",
        "uyuni": "XML-RPC is not part of this build",
    }
}

impl SdConfig {
    /// Why it cannot run in this build, if it cannot.
    #[must_use]
    pub fn why_not_runnable(&self) -> Option<&'static str> {
        let name = self.name();
        let found = not_runnable().iter().find(|kind| kind.name == name);
        found.map(|kind| kind.reason)
    }
}

impl SdConfigs {
    /// Keys that cannot run in this build with the reasons, each key once.
    #[must_use]
    pub fn not_runnable(&self) -> Vec<(&'static str, &'static str)> {
        let mut found: Vec<_> = self
            .entries()
            .filter_map(|entry| Some((entry.key(), entry.why_not_runnable()?)))
            .collect();
        found.dedup();
        found
    }
}
