//! Consul's HTTP interface, as far as it is used.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::instance::Instance;
use crate::api::{Api, ApiError, client};
use crate::config::{ConsulSdConfig, url};
use crate::discoverer::{BuildContext, BuildError};

/// How long Consul holds a query when nothing changes.
const WATCH: Duration = Duration::from_secs(120);
/// Consul adds up to a sixteenth to the wait, and the way there and back takes time.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) struct Consul {
    api: Api,
    /// Parameters of every query.
    common: String,
    health_filter: String,
}

impl Consul {
    pub(super) fn new(config: &ConsulSdConfig, context: &BuildContext) -> Result<Self, BuildError> {
        let client = client(&config.http_with_login(), context, "consul_sd")?;
        // A scheme in front of the server counts more than `scheme`, as for Consul's own client.
        let server = match config.server.split_once("://") {
            Some(_) => config.server.clone(),
            None => format!("{}://{}", config.scheme, config.server),
        };
        let prefix = config.path_prefix.trim_matches('/');
        let base = match prefix {
            "" => server,
            prefix => format!("{}/{prefix}", server.trim_end_matches('/')),
        };
        let mut api = Api::new(client, &base, WATCH + PATIENCE);
        if !config.token.0.is_empty() {
            let mut token = HeaderValue::from_str(&config.token.0).map_err(|_| {
                BuildError::Other("token holds a character that no header may hold".to_owned())
            })?;
            token.set_sensitive(true);
            api = api.header("x-consul-token", token);
        }
        Ok(Self {
            api,
            common: common(config),
            health_filter: config.health_filter.clone(),
        })
    }

    pub(super) async fn own_datacenter(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Agent {
            config: AgentConfig,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct AgentConfig {
            datacenter: String,
        }
        let agent: Agent = self.api.get_json("/v1/agent/self").await?;
        Ok(agent.config.datacenter)
    }

    /// Names and tags of all services, when they differ from those at `index` or the wait is over.
    pub(super) async fn services(
        &self,
        index: u64,
        filter: &str,
    ) -> Result<(BTreeMap<String, Vec<String>>, u64), ApiError> {
        type Services = BTreeMap<String, Option<Vec<String>>>;
        let mut path = format!("/v1/catalog/services{}", self.common);
        push_filter(&mut path, filter);
        let (services, index): (Services, _) = self.watch(path, index).await?;
        let services = services
            .into_iter()
            .map(|(name, tags)| (name, tags.unwrap_or_default()))
            .collect();
        Ok((services, index))
    }

    pub(super) async fn instances(
        &self,
        service: &str,
        tags: &[String],
        index: u64,
    ) -> Result<(Vec<Instance>, u64), ApiError> {
        let service = url::path_segment(service);
        let mut path = format!("/v1/health/service/{service}{}", self.common);
        for tag in tags {
            push(&mut path, "tag", tag);
        }
        push_filter(&mut path, &self.health_filter);
        self.watch(path, index).await
    }

    async fn watch<T: DeserializeOwned>(
        &self,
        mut path: String,
        index: u64,
    ) -> Result<(T, u64), ApiError> {
        if index > 0 {
            push(&mut path, "index", &index.to_string());
        }
        push(&mut path, "wait", &format!("{}ms", WATCH.as_millis()));
        let answer = self.api.get(&path).await?.good()?;
        let index = answer.header("x-consul-index");
        let index = index.parse().map_err(|_| {
            ApiError::Other(format!(
                "{}: failed to parse X-Consul-Index: {index:?}",
                answer.url
            ))
        })?;
        Ok((answer.json()?, index))
    }
}

/// Always begins with a question mark.
fn common(config: &ConsulSdConfig) -> String {
    let mut query = "?".to_owned();
    let texts = [
        ("dc", &config.datacenter),
        ("ns", &config.namespace),
        ("partition", &config.partition),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        push(&mut query, name, text);
    }
    if config.allow_stale {
        push(&mut query, "stale", "");
    }
    for (name, value) in &config.node_meta {
        push(&mut query, "node-meta", &format!("{name}:{value}"));
    }
    query
}

fn push(query: &mut String, name: &str, value: &str) {
    if !query.ends_with('?') {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    url::push_query(query, value);
}

fn push_filter(query: &mut String, filter: &str) {
    if !filter.is_empty() {
        push(query, "filter", filter);
    }
}
