//! `digitalocean_sd_configs`: droplets or managed databases at DigitalOcean.

use bellwether_model::Labels;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{Api, ApiError, client};
use crate::config::{DigitalOceanRole, DigitalOceanSdConfig};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};
use crate::refresh::{Refresh, Refresher};

const SERVER: &str = "https://api.digitalocean.com";
const PREFIX: &str = "__meta_digitalocean_";

struct DigitalOceanDiscovery {
    api: Api,
    role: DigitalOceanRole,
    port: i64,
}

pub(super) fn build(
    config: &DigitalOceanSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    build_at(SERVER, config, context)
}

fn build_at(
    server: &str,
    config: &DigitalOceanSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "digitalocean_sd")?;
    let discovery = DigitalOceanDiscovery {
        api: Api::new(client, server, interval),
        role: config.role,
        port: config.port,
    };
    Ok(Refresher::boxed(
        discovery,
        "digitalocean",
        interval,
        context,
    ))
}

/// One page of a list.
trait Page: DeserializeOwned {
    type Item;

    fn split(self) -> (Option<Vec<Self::Item>>, Links);
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    pages: Option<Pages>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pages {
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Droplets {
    droplets: Option<Vec<Droplet>>,
    links: Links,
}

impl Page for Droplets {
    type Item = Droplet;

    fn split(self) -> (Option<Vec<Droplet>>, Links) {
        (self.droplets, self.links)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Databases {
    databases: Option<Vec<Database>>,
    links: Links,
}

impl Page for Databases {
    type Item = Database;

    fn split(self) -> (Option<Vec<Database>>, Links) {
        (self.databases, self.links)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Droplet {
    id: i64,
    name: String,
    status: String,
    image: Image,
    region: Slug,
    size_slug: String,
    vpc_uuid: String,
    networks: Networks,
    features: Option<Vec<String>>,
    tags: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    slug: Option<String>,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Slug {
    slug: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Networks {
    v4: Option<Vec<Network>>,
    v6: Option<Vec<Network>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    ip_address: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Database {
    id: String,
    name: String,
    engine: String,
    version: String,
    status: String,
    region: String,
    size: String,
    num_nodes: i64,
    connection: Option<Connection>,
    private_connection: Option<Connection>,
    tags: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Connection {
    host: String,
}

impl Refresh for DigitalOceanDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let (source, targets) = match self.role {
            DigitalOceanRole::Droplets => {
                let droplets = self.list::<Droplets>("droplets").await?;
                let labels = droplets.iter().filter_map(|d| d.labels(self.port));
                ("DigitalOcean", labels.collect())
            }
            DigitalOceanRole::Databases => {
                let databases = self.list::<Databases>("databases").await?;
                let labels = databases.iter().map(|d| d.labels(self.port));
                ("DigitalOcean Databases", labels.collect())
            }
        };
        Ok(vec![TargetGroup {
            source: source.into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl DigitalOceanDiscovery {
    async fn list<P: Page>(&self, what: &str) -> Result<Vec<P::Item>, ApiError> {
        let mut all = Vec::new();
        for number in 1.. {
            let path = format!("/v2/{what}?page={number}&per_page=100");
            let page: P = self.api.get_json(&path).await.map_err(|e| {
                ApiError::Other(format!("error while listing {what} page {number}: {e}"))
            })?;
            let (items, links) = page.split();
            let items = items.unwrap_or_default();
            let last = items.is_empty() || links.pages.is_none_or(|p| p.next.is_empty());
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }
}

/// The first address of a kind.
fn address<'a>(networks: Option<&'a Vec<Network>>, kind: &str) -> &'a str {
    let found = networks.into_iter().flatten().find(|n| n.kind == kind);
    found.map_or("", |network| &network.ip_address)
}

impl Droplet {
    /// `None`: it has no network yet.
    fn labels(&self, port: i64) -> Option<Labels> {
        let v4 = self.networks.v4.as_ref();
        if v4.is_none_or(Vec::is_empty) {
            return None;
        }
        let public = address(v4, "public");
        let mut set = Set::new();
        for (label, value) in [
            ("droplet_id", self.id.to_string().as_str()),
            ("droplet_name", &self.name),
            ("image", self.image.slug.as_deref().unwrap_or_default()),
            ("image_name", &self.image.name),
            ("private_ipv4", address(v4, "private")),
            ("public_ipv4", public),
            ("public_ipv6", address(self.networks.v6.as_ref(), "public")),
            ("region", &self.region.slug),
            ("size", &self.size_slug),
            ("status", &self.status),
            ("vpc", &self.vpc_uuid),
        ] {
            set.set(format!("{PREFIX}{label}"), value);
        }
        for (label, values) in [("features", &self.features), ("tags", &self.tags)] {
            if let Some(values) = values.as_ref().filter(|values| !values.is_empty()) {
                set.set(format!("{PREFIX}{label}"), joined(values, ","));
            }
        }
        set.set(ADDRESS, host_port(public, port));
        Some(set.build())
    }
}

impl Database {
    fn labels(&self, port: i64) -> Labels {
        let host = |connection: &Option<Connection>| {
            let connection = connection.as_ref();
            connection.map(|c| c.host.clone()).unwrap_or_default()
        };
        let (public, private) = (host(&self.connection), host(&self.private_connection));
        let mut set = Set::new();
        for (label, value) in [
            ("id", &self.id),
            ("name", &self.name),
            ("engine", &self.engine),
            ("version", &self.version),
            ("status", &self.status),
            ("region", &self.region),
            ("size", &self.size),
            ("num_nodes", &self.num_nodes.to_string()),
            ("host", &public),
            ("private_host", &private),
        ] {
            set.set(format!("{PREFIX}db_{label}"), value.as_str());
        }
        for tag in self.tags.iter().flatten() {
            set.set(format!("{PREFIX}db_tag_{tag}"), "true");
        }
        let host = if private.is_empty() { public } else { private };
        if !host.is_empty() {
            set.set(ADDRESS, host_port(&host, port));
        }
        set.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn droplets() {
        let server = Fake::start(|request| match request.path.as_str() {
            "/v2/droplets?page=1&per_page=100" => Fake::json(
                r#"{"droplets":[{"id":3,"name":"d","status":"active","image":{"slug":"ubuntu","name":"U"},
                    "region":{"slug":"nyc3"},"size_slug":"s","vpc_uuid":"v","tags":["web","env:prod"],
                    "networks":{"v4":[{"ip_address":"10.0.0.1","type":"private"},{"ip_address":"1.2.3.4","type":"public"}],
                    "v6":[{"ip_address":"2604::1","type":"public"}]}}],
                   "links":{"pages":{"next":"https://elsewhere/?page=2"}}}"#,
            ),
            "/v2/droplets?page=2&per_page=100" => {
                Fake::json(r#"{"droplets":[{"id":4,"networks":{"v4":[]}}],"links":{}}"#)
            }
            _ => Fake::not_found(),
        })
        .await;
        let (config, url) = (DigitalOceanSdConfig::default(), server.url());
        let groups = discover(|context| build_at(&url, &config, context)).await;
        // The second one has no network.
        assert_eq!(groups[0].targets.len(), 1);
        let labels = &groups[0].targets[0];
        assert_eq!(labels.value("__address__"), "1.2.3.4:80");
        assert_eq!(labels.value("__meta_digitalocean_private_ipv4"), "10.0.0.1");
        assert_eq!(labels.value("__meta_digitalocean_tags"), ",web,env:prod,");
    }

    #[tokio::test]
    async fn databases_prefer_the_private_host() {
        let server = Fake::start(|_| {
            Fake::json(
                r#"{"databases":[{"id":"a","name":"n","engine":"pg","num_nodes":2,"tags":["x"],
                   "connection":{"host":"public"},"private_connection":{"host":"private"}}]}"#,
            )
        })
        .await;
        let config = DigitalOceanSdConfig {
            role: DigitalOceanRole::Databases,
            ..DigitalOceanSdConfig::default()
        };
        let url = server.url();
        let groups = discover(|context| build_at(&url, &config, context)).await;
        let labels = &groups[0].targets[0];
        assert_eq!(labels.value("__address__"), "private:80");
        assert_eq!(labels.value("__meta_digitalocean_db_tag_x"), "true");
        assert_eq!(&*groups[0].source, "DigitalOcean Databases");
    }
}
