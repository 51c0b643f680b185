//! Factories, and what a component's configuration can do.
//!
//! A factory is a type name and a function that decodes the body of a component. The decoded
//! configuration validates itself and builds the component; building binds ports, so that all
//! mistakes show before anything runs. What runs is returned as a [`Runner`].

use std::net::SocketAddr;
use std::sync::Arc;

use bellwether_net::BindError;
use bellwether_otlp::Signal;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Outputs};
use super::own_metrics::OwnMetrics;
use crate::config::endpoint::listen_address;
use crate::config::{ComponentId, Node, PipelineId, Problem, decode};
use crate::{CollectorError, ListenAddress};

/// The task of a component. It ends after the token is cancelled, when everything it held is handed on.
pub(crate) type Runner = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// What building makes.
pub(crate) type BuildFuture<'a> = BoxFuture<'a, Result<Built, CollectorError>>;

/// A component, connected and not yet running.
#[derive(Default)]
pub(crate) struct Built {
    /// Its entry; receivers and extensions have none.
    pub(crate) consumer: Option<Arc<dyn Consumer>>,
    /// Its task, if it needs one.
    pub(crate) runner: Option<Runner>,
}

/// What a component gets while it is built.
pub(crate) struct BuildContext<'a> {
    /// Its id.
    pub(crate) id: &'a ComponentId,
    /// Own metrics of the collector.
    pub(crate) metrics: &'a OwnMetrics,
    /// Where it writes the addresses it listens on.
    pub(crate) listens: &'a parking_lot::Mutex<Vec<ListenAddress>>,
    /// Cancelled when the collector begins to stop, long before extensions are told to.
    pub(crate) draining: CancellationToken,
}

impl BuildContext<'_> {
    /// Binds a listener for a key of this component, for example `receivers::otlp::protocols::grpc::endpoint`.
    pub(crate) async fn bind(
        &self,
        section: &str,
        key: &str,
        endpoint: &str,
    ) -> Result<tokio::net::TcpListener, CollectorError> {
        let option = format!("{section}::{}::{key}", self.id);
        bind(&self.id.to_string(), option, endpoint, self.listens).await
    }
}

/// Binds a listener and notes its address.
pub(crate) async fn bind(
    component: &str,
    option: String,
    endpoint: &str,
    listens: &parking_lot::Mutex<Vec<ListenAddress>>,
) -> Result<tokio::net::TcpListener, CollectorError> {
    let address: SocketAddr =
        listen_address(endpoint).map_err(|message| CollectorError::Component {
            component: option.clone(),
            message,
        })?;
    let component = format!("collector {component}");
    let listener = bellwether_net::bind(address, &component, &option).await?;
    let address = listener.local_addr().map_err(|source| BindError::Other {
        component,
        address,
        option: option.clone(),
        source,
    })?;
    listens.lock().push(ListenAddress { option, address });
    Ok(listener)
}

/// Mistakes of one component: key below its body, message.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<(String, String)>);

impl Problems {
    /// Adds a mistake.
    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    /// Adds the mistakes of a shared block that stands under `key`.
    pub(crate) fn extend(&mut self, key: &str, problems: Vec<(&'static str, String)>) {
        for (inner, message) in problems {
            self.add(format!("{key}::{inner}"), message);
        }
    }

    /// Checks a listening address.
    pub(crate) fn endpoint(&mut self, key: &str, endpoint: &str) {
        if let Err(message) = listen_address(endpoint) {
            self.add(key, message);
        }
    }
}

/// Configuration of a receiver.
pub(crate) trait ReceiverConfig: Send + Sync {
    /// Signals it can produce.
    fn signals(&self) -> &'static [Signal];
    /// Collects mistakes that decoding cannot see.
    fn validate(&self, problems: &mut Problems);
    /// Binds its ports. `outputs` has an entry for each signal that a pipeline wants.
    fn build<'a>(&'a self, context: BuildContext<'a>, outputs: Outputs) -> BuildFuture<'a>;
}

/// Configuration of a processor. Each pipeline gets its own instance.
pub(crate) trait ProcessorConfig: Send + Sync {
    /// Signals it can process.
    fn signals(&self) -> &'static [Signal];
    /// Collects mistakes that decoding cannot see.
    fn validate(&self, problems: &mut Problems);
    /// Builds an instance for a pipeline in front of `next`.
    fn build(
        &self,
        context: &BuildContext<'_>,
        pipeline: &PipelineId,
        next: Arc<dyn Consumer>,
    ) -> Result<Built, CollectorError>;
}

/// Configuration of an exporter.
pub(crate) trait ExporterConfig: Send + Sync {
    /// Signals it can export.
    fn signals(&self) -> &'static [Signal];
    /// Collects mistakes that decoding cannot see.
    fn validate(&self, problems: &mut Problems);
    /// Builds the one instance that all pipelines share.
    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a>;
}

/// Configuration of a connector: an exporter of one pipeline and a receiver of another.
pub(crate) trait ConnectorConfig: Send + Sync {
    /// Pairs of signals it can take and give.
    fn signals(&self) -> &'static [(Signal, Signal)];
    /// Collects mistakes that decoding cannot see.
    fn validate(&self, problems: &mut Problems);
    /// Builds the side that takes `signal`.
    fn build(
        &self,
        context: &BuildContext<'_>,
        signal: Signal,
        outputs: Outputs,
    ) -> Result<Built, CollectorError>;
}

/// Configuration of an extension.
pub(crate) trait ExtensionConfig: Send + Sync {
    /// Collects mistakes that decoding cannot see.
    fn validate(&self, problems: &mut Problems);
    /// Binds its ports.
    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a>;
}

/// A component type of one kind.
pub(crate) struct Factory<C: ?Sized> {
    /// Type name used in configurations.
    pub(crate) name: &'static str,
    /// Other accepted spellings; they log what to write instead.
    pub(crate) aliases: &'static [&'static str],
    /// A remark that using the type logs.
    pub(crate) remark: Option<&'static str>,
    /// Decodes the body.
    pub(crate) parse: fn(&Node, &str) -> Result<Box<C>, Problem>,
}

/// Makes the `parse` function of a factory for a configuration type and the trait of its kind.
macro_rules! factory {
    ($name:literal, $aliases:expr, $config:ty) => {
        $crate::pipeline::component::factory!($name, $aliases, $config, None)
    };
    ($name:literal, $aliases:expr, $config:ty, $remark:expr) => {
        $crate::pipeline::Factory {
            name: $name,
            aliases: $aliases,
            remark: $remark,
            parse: |node, path| {
                let config: $config = $crate::pipeline::component::decode_body(node, path)?;
                Ok(Box::new(config))
            },
        }
    };
}
pub(crate) use factory;

/// Decodes a body into the configuration of a component.
pub(crate) fn decode_body<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, Problem> {
    decode::decode(node, path)
}
