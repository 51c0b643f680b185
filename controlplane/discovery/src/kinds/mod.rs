//! The mechanisms, one file or folder each.

mod consul;
mod digitalocean;
mod dns;
mod docker;
mod eureka;
mod file;
mod hetzner;
mod http;
mod ionos;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod kuma;
mod linode;
mod marathon;
mod nomad;
mod puppetdb;
mod scaleway;
mod vultr;

use crate::config::SdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};

/// Makes the mechanism of an entry.
pub(crate) fn build(
    config: &SdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    match config {
        SdConfig::Consul(config) => consul::build(config, context),
        SdConfig::DigitalOcean(config) => digitalocean::build(config, context),
        SdConfig::Dns(config) => dns::build(config, context),
        SdConfig::Docker(config) => docker::build(config, context),
        SdConfig::DockerSwarm(config) => docker::swarm::build(config, context),
        SdConfig::Eureka(config) => eureka::build(config, context),
        SdConfig::File(config) => Ok(file::build(config, context)),
        SdConfig::Hetzner(config) => hetzner::build(config, context),
        SdConfig::Http(config) => http::build(config, context),
        SdConfig::Ionos(config) => ionos::build(config, context),
        #[cfg(feature = "kubernetes")]
        SdConfig::Kubernetes(config) => kubernetes::build(config, context),
        SdConfig::Kuma(config) => kuma::build(config, context),
        SdConfig::Linode(config) => linode::build(config, context),
        SdConfig::Marathon(config) => marathon::build(config, context),
        SdConfig::Nomad(config) => nomad::build(config, context),
        SdConfig::Puppetdb(config) => puppetdb::build(config, context),
        SdConfig::Scaleway(config) => scaleway::build(config, context),
        SdConfig::Vultr(config) => vultr::build(config, context),
        other => Err(BuildError::NotRunnable {
            key: other.key(),
            reason: other
                .why_not_runnable()
                .unwrap_or("it is not part of this build"),
        }),
    }
}
