//! `kubernetes_sd_configs`.

use std::collections::BTreeSet;

use super::keys::{config_struct, config_words};
use super::{HttpClientConfig, SdConfigError, selector, url, zero};

config_words! {
    /// What is looked for.
    pub enum KubernetesRole, unknown "unknown Kubernetes SD role {:?}" {
        Node = "node",
        Pod = "pod",
        Service = "service",
        Endpoints = "endpoints",
        EndpointSlice = "endpointslice",
        Ingress = "ingress",
    }
}

impl KubernetesRole {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::EndpointSlice,
        Self::Endpoints,
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::Ingress,
    ];

    /// The roles whose objects a selector can choose.
    fn selectors(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::Node => &[Self::Node],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

config_struct! {
    /// One entry of `kubernetes_sd_configs`.
    pub struct KubernetesSdConfig in "kubernetes_sd_configs" with http {
        #[serde(skip_serializing_if = "Option::is_none")]
        api_server: Option<String> = None,
        role: Option<KubernetesRole> = None,
        kubeconfig_file: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        namespaces: NamespaceDiscovery = NamespaceDiscovery::default(),
        #[serde(skip_serializing_if = "zero")]
        selectors: Vec<SelectorConfig> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        attach_metadata: AttachMetadata = AttachMetadata::default(),
    }
}

config_struct! {
    /// `namespaces`.
    pub struct NamespaceDiscovery in "namespaces" {
        own_namespace: bool = false,
        names: Vec<String> = Vec::new(),
    }
}

config_struct! {
    /// One entry of `selectors`.
    pub struct SelectorConfig in "selectors" {
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<KubernetesRole> = None,
        #[serde(skip_serializing_if = "zero")]
        label: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        field: String = String::new(),
    }
}

config_struct! {
    /// `attach_metadata`.
    pub struct AttachMetadata in "attach_metadata" {
        node: bool = false,
        namespace: bool = false,
        deployment: bool = false,
        job: bool = false,
        cronjob: bool = false,
    }
}

macro_rules! nothing_to_check {
    ($($name:ident)*) => {
        $(
            impl $name {
                #[allow(clippy::unused_self)] // every configuration has a check
                fn check(&self) -> Result<(), SdConfigError> {
                    Ok(())
                }
            }
        )*
    };
}

nothing_to_check!(NamespaceDiscovery SelectorConfig AttachMetadata);

impl KubernetesSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        let Some(role) = self.role else {
            return Err(
                "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)"
                    .into(),
            );
        };
        super::check_http(&self.http)?;
        if let Some(server) = &self.api_server {
            url::split(server)?;
        }
        self.check_access()?;
        let mut seen = BTreeSet::new();
        self.selectors
            .iter()
            .try_for_each(|selector| selector.check_for(role, &mut seen))
    }

    /// One way to the API only.
    fn check_access(&self) -> Result<(), SdConfigError> {
        let has_server = self.api_server.is_some();
        let has_file = !self.kubeconfig_file.is_empty();
        let own_http = self.http != HttpClientConfig::default();
        let own_namespace = self.namespaces.own_namespace;
        let found = match (has_server, has_file) {
            (true, true) => Some("cannot use 'kubeconfig_file' and 'api_server' simultaneously"),
            (_, true) if own_http => Some(
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (false, _) if own_http => Some(
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            ),
            (true, _) if own_namespace => {
                Some("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously")
            }
            (_, true) if own_namespace => {
                Some("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously")
            }
            _ => None,
        };
        found.map_or(Ok(()), |text| Err(text.into()))
    }

    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code))]
    /// The label and field selectors for objects of a role; empty texts choose everything.
    pub(crate) fn selector(&self, role: KubernetesRole) -> (&str, &str) {
        let found = self.selectors.iter().find(|s| s.role == Some(role));
        found.map_or(("", ""), |s| (&s.label, &s.field))
    }
}

impl SelectorConfig {
    fn check_for(
        &self,
        role: KubernetesRole,
        seen: &mut BTreeSet<Option<KubernetesRole>>,
    ) -> Result<(), SdConfigError> {
        let own = self.role.map_or("", KubernetesRole::as_str);
        if !seen.insert(self.role) {
            return Err(format!("duplicated selector role: {own}").into());
        }
        let allowed = role.selectors();
        if !self.role.is_some_and(|own| allowed.contains(&own)) {
            let names: Vec<_> = allowed.iter().map(|role| role.as_str()).collect();
            return Err(format!(
                "{} role supports only {} selectors",
                role.as_str(),
                names.join(", ")
            )
            .into());
        }
        selector::check_field(&self.field)?;
        selector::check_label(&self.label)?;
        Ok(())
    }
}

impl KubernetesSdConfig {
    /// How the API server is asked.
    #[must_use]
    pub fn http(&self) -> &HttpClientConfig {
        &self.http
    }
}
