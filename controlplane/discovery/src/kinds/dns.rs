//! `dns_sd_configs`: records of a name, one group for each name.
//!
//! The system's resolver configuration counts, search domains included; it is read again at each refresh. A name that
//! does not exist has no targets; one that no server answers for keeps those it had.

use std::time::Duration;

use bellwether_model::Labels;
use bellwether_telemetry::Counter;
use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::api::ApiError;
use crate::config::DnsSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_dns_";
/// Time for one try of one server, as in Prometheus' resolver.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How a resolver is had.
type Resolvers = Box<dyn Fn() -> Result<TokioResolver, NetError> + Send + Sync>;

struct DnsDiscovery {
    names: Vec<String>,
    kind: RecordType,
    port: i64,
    set: String,
    resolvers: Resolvers,
    lookups: Counter,
    failures: Counter,
}

pub(super) fn build(
    config: &DnsSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    build_with(config, context, Box::new(of_system))
}

fn build_with(
    config: &DnsSdConfig,
    context: &BuildContext,
    resolvers: Resolvers,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let kind = match config.kind.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "MX" => RecordType::MX,
        "NS" => RecordType::NS,
        _ => RecordType::SRV,
    };
    let discovery = DnsDiscovery {
        names: config.names.clone(),
        kind,
        port: config.port,
        set: context.set.clone(),
        resolvers,
        lookups: context.metrics.dns_lookups.clone(),
        failures: context.metrics.dns_failures.clone(),
    };
    let interval = config.refresh_interval.0;
    Ok(Refresher::boxed(discovery, "dns", interval, context))
}

/// A resolver as `/etc/resolv.conf` is now.
fn of_system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    set_options(builder.options_mut());
    builder.build()
}

/// Answers are asked for at each refresh, and only servers give them.
fn set_options(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = TIMEOUT;
}

impl Refresh for DnsDiscovery {
    // A name that no server answered for is missing, and keeps its targets.
    const COMPLETE: bool = false;

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let resolver = (self.resolvers)()
            .map_err(|e| ApiError::Other(format!("could not load resolv.conf: {e}")))?;
        let asked = join_all(self.names.iter().map(|name| self.look_up(&resolver, name)));
        let mut groups = Vec::new();
        for (name, answer) in self.names.iter().zip(asked.await) {
            self.lookups.inc();
            match answer {
                Ok(targets) => groups.push(TargetGroup {
                    source: name.as_str().into(),
                    targets,
                    labels: Labels::empty(),
                }),
                Err(error) => {
                    self.failures.inc();
                    tracing::error!(
                        discovery = "dns",
                        config = self.set,
                        name,
                        %error,
                        "Error refreshing DNS targets"
                    );
                }
            }
        }
        Ok(groups)
    }
}

impl DnsDiscovery {
    async fn look_up(&self, resolver: &TokioResolver, name: &str) -> Result<Vec<Labels>, NetError> {
        match resolver.lookup(name, self.kind).await {
            Ok(found) => {
                let records = found.answers().iter();
                Ok(records
                    .filter_map(|record| self.labels(name, &record.data))
                    .collect())
            }
            // The servers know that there is nothing.
            Err(error) if error.is_nx_domain() || error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// `None`: a record of another kind, such as the alias on the way to an address.
    fn labels(&self, name: &str, record: &RData) -> Option<Labels> {
        let mut set = Set::new();
        let address = match record {
            RData::SRV(srv) => {
                let target = srv.target.to_utf8();
                set.set(format!("{PREFIX}srv_record_target"), target.as_str())
                    .set(format!("{PREFIX}srv_record_port"), srv.port.to_string());
                host_port(unrooted(&target), srv.port)
            }
            RData::MX(mx) => {
                let target = mx.exchange.to_utf8();
                set.set(format!("{PREFIX}mx_record_target"), target.as_str());
                host_port(unrooted(&target), self.port)
            }
            RData::NS(ns) => {
                let target = ns.0.to_utf8();
                set.set(format!("{PREFIX}ns_record_target"), target.as_str());
                host_port(unrooted(&target), self.port)
            }
            RData::A(a) => host_port(&a.0.to_string(), self.port),
            RData::AAAA(aaaa) => host_port(&aaaa.0.to_string(), self.port),
            _ => return None,
        };
        set.set(format!("{PREFIX}name"), name).set(ADDRESS, address);
        Some(set.build())
    }
}

/// Without the dot at the end.
fn unrooted(name: &str) -> &str {
    name.trim_end_matches('.')
}
