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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, NS, SRV};
    use hickory_resolver::proto::rr::{Name, Record};
    use parking_lot::Mutex;
    use tokio::net::UdpSocket;

    use super::*;
    use crate::testing::{context, discover};

    /// What a name server says.
    type Zone = Arc<Mutex<Result<Vec<RData>, ResponseCode>>>;

    /// A name server that gives every question the same answer.
    async fn server(zone: Zone) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..len]).unwrap();
                let mut answer = question.clone();
                answer.metadata.message_type = MessageType::Response;
                let query = question.queries[0].clone();
                match &*zone.lock() {
                    Ok(records) => {
                        for data in records {
                            let record = Record::from_rdata(query.name().clone(), 60, data.clone());
                            answer.answers.push(record);
                        }
                    }
                    Err(code) => answer.metadata.response_code = *code,
                }
                let bytes = answer.to_vec().unwrap();
                socket.send_to(&bytes, from).await.unwrap();
            }
        });
        address
    }

    fn resolvers(server: SocketAddr) -> Resolvers {
        Box::new(move || {
            let mut connection = ConnectionConfig::udp();
            connection.port = server.port();
            let server = NameServerConfig::new(server.ip(), true, vec![connection]);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let provider = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, provider);
            set_options(builder.options_mut());
            builder.options_mut().attempts = 1;
            builder.build()
        })
    }

    fn config(kind: &str, port: i64) -> DnsSdConfig {
        DnsSdConfig {
            names: vec!["web.example".to_owned()],
            kind: kind.to_owned(),
            port,
            ..DnsSdConfig::default()
        }
    }

    async fn found(kind: &str, port: i64, records: Vec<RData>) -> Vec<String> {
        let address = server(Arc::new(Mutex::new(Ok(records)))).await;
        let config = config(kind, port);
        let groups = discover(|context| build_with(&config, context, resolvers(address))).await;
        assert_eq!(&*groups[0].source, "web.example");
        groups[0].targets.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn records_of_all_types() {
        let name = |text: &str| Name::from_utf8(text).unwrap();
        let srv = RData::SRV(SRV::new(1, 1, 9100, name("n1.example.")));
        assert_eq!(
            found("SRV", 0, vec![srv]).await,
            [
                r#"{__address__="n1.example:9100", __meta_dns_name="web.example", __meta_dns_srv_record_port="9100", __meta_dns_srv_record_target="n1.example."}"#
            ]
        );
        let a = RData::A(A::new(10, 0, 0, 1));
        assert_eq!(
            found("a", 80, vec![a]).await,
            [r#"{__address__="10.0.0.1:80", __meta_dns_name="web.example"}"#]
        );
        let aaaa = RData::AAAA(AAAA::new(0x2001, 0, 0, 0, 0, 0, 0, 1));
        assert_eq!(
            found("AAAA", 80, vec![aaaa]).await,
            [r#"{__address__="[2001::1]:80", __meta_dns_name="web.example"}"#]
        );
        let mx = RData::MX(MX::new(10, name("mail.example.")));
        assert_eq!(
            found("MX", 25, vec![mx]).await,
            [
                r#"{__address__="mail.example:25", __meta_dns_mx_record_target="mail.example.", __meta_dns_name="web.example"}"#
            ]
        );
        let ns = RData::NS(NS(name("ns.example.")));
        assert_eq!(
            found("NS", 53, vec![ns]).await,
            [
                r#"{__address__="ns.example:53", __meta_dns_name="web.example", __meta_dns_ns_record_target="ns.example."}"#
            ]
        );
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_has_no_targets_and_a_failure_says_nothing() {
        let zone: Zone = Arc::new(Mutex::new(Err(ResponseCode::NXDomain)));
        let address = server(Arc::clone(&zone)).await;
        let context = context();
        let config = config("A", 80);
        let refreshed = async || {
            let mut discovery = DnsDiscovery {
                names: config.names.clone(),
                kind: RecordType::A,
                port: config.port,
                set: String::new(),
                resolvers: resolvers(address),
                lookups: context.metrics.dns_lookups.clone(),
                failures: context.metrics.dns_failures.clone(),
            };
            discovery.refresh().await.unwrap()
        };
        let groups = refreshed().await;
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].targets, []);
        *zone.lock() = Ok(Vec::new());
        assert_eq!(refreshed().await[0].targets, []);
        *zone.lock() = Err(ResponseCode::ServFail);
        // Not even an empty group: the manager keeps the last one.
        assert_eq!(refreshed().await, []);
        let counted = (
            context.metrics.dns_lookups.get(),
            context.metrics.dns_failures.get(),
        );
        assert!((counted.0 - 3.0).abs() < f64::EPSILON, "{counted:?}");
        assert!((counted.1 - 1.0).abs() < f64::EPSILON, "{counted:?}");
    }
}
