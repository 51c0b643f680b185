//! `eureka_sd_configs`: instances of the applications registered at Eureka.

use bellwether_model::Labels;
use bellwether_model::labels::INSTANCE;
use http::HeaderValue;
use roxmltree::{Document, Node};

use crate::api::{Api, ApiError, client};
use crate::config::EurekaSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, sanitize};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_eureka_app_instance_";

struct EurekaDiscovery {
    api: Api,
}

pub(super) fn build(
    config: &EurekaSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "eureka_sd")?;
    let api = Api::new(client, &config.server, interval)
        .header("accept", HeaderValue::from_static("application/xml"));
    let discovery = EurekaDiscovery { api };
    Ok(Refresher::boxed(discovery, "eureka", interval, context))
}

impl Refresh for EurekaDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let answer = self.api.get("/apps").await?.good()?;
        let wrong = |e: &dyn std::fmt::Display| ApiError::Other(format!("{}: {e}", answer.url));
        let text = str::from_utf8(&answer.body).map_err(|e| wrong(&e))?;
        let document = Document::parse(text).map_err(|e| wrong(&e))?;
        Ok(vec![TargetGroup {
            source: "eureka".into(),
            targets: targets(&document, text)?,
            labels: Labels::empty(),
        }])
    }
}

fn targets(document: &Document<'_>, text: &str) -> Result<Vec<Labels>, ApiError> {
    let mut targets = Vec::new();
    for app in children(document.root_element(), "application") {
        let name = child_text(app, "name");
        for instance in children(app, "instance") {
            targets.push(labels(name, instance, text)?);
        }
    }
    Ok(targets)
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |n| n.has_tag_name(name))
}

fn child_text<'a>(node: Node<'a, '_>, name: &'static str) -> &'a str {
    let child = children(node, name).next();
    child.and_then(|c| c.text()).unwrap_or_default()
}

/// A port with its attribute `enabled`.
fn port(instance: Node<'_, '_>, name: &'static str) -> Result<Option<(i64, bool)>, ApiError> {
    let Some(node) = children(instance, name).next() else {
        return Ok(None);
    };
    let text = node.text().unwrap_or_default().trim();
    let number = match text {
        "" => 0,
        text => text
            .parse()
            .map_err(|e| ApiError::Other(format!("{name} {text:?}: {e}")))?,
    };
    Ok(Some((number, node.attribute("enabled") == Some("true"))))
}

/// Names and raw contents of the elements below `metadata`.
fn metadata<'t>(node: Node<'_, '_>, text: &'t str) -> Vec<(String, &'t str)> {
    let elements = children(node, "metadata").flat_map(|m| m.children());
    let entry = |element: Node<'_, '_>| {
        let first = element.first_child().map(|n| n.range().start);
        let last = element.last_child().map(|n| n.range().end);
        let inner = first.zip(last).and_then(|(from, to)| text.get(from..to));
        (
            sanitize(element.tag_name().name()),
            inner.unwrap_or_default(),
        )
    };
    elements.filter(Node::is_element).map(entry).collect()
}

fn labels(app: &str, instance: Node<'_, '_>, text: &str) -> Result<Labels, ApiError> {
    let host = child_text(instance, "hostName");
    let id = child_text(instance, "instanceId");
    let plain = port(instance, "port")?;
    let mut set = Set::new();
    set.set("__meta_eureka_app_name", app)
        .set(ADDRESS, host_port(host, plain.map_or(80, |(port, _)| port)))
        .set(INSTANCE, id);
    for (label, value) in [
        ("hostname", host),
        ("homepage_url", child_text(instance, "homePageUrl")),
        ("statuspage_url", child_text(instance, "statusPageUrl")),
        ("healthcheck_url", child_text(instance, "healthCheckUrl")),
        ("ip_addr", child_text(instance, "ipAddr")),
        ("vip_address", child_text(instance, "vipAddress")),
        (
            "secure_vip_address",
            child_text(instance, "secureVipAddress"),
        ),
        ("status", child_text(instance, "status")),
        ("country_id", country(instance)),
        ("id", id),
    ] {
        set.set(format!("{PREFIX}{label}"), value);
    }
    for (label, port) in [
        ("port", plain),
        ("secure_port", port(instance, "securePort")?),
    ] {
        if let Some((number, enabled)) = port {
            set.set(format!("{PREFIX}{label}"), number.to_string())
                .set(format!("{PREFIX}{label}_enabled"), enabled.to_string());
        }
    }
    if let Some(info) = children(instance, "dataCenterInfo").next() {
        set.set(
            format!("{PREFIX}datacenterinfo_name"),
            child_text(info, "name"),
        );
        for (name, value) in metadata(info, text) {
            set.set(format!("{PREFIX}datacenterinfo_metadata_{name}"), value);
        }
    }
    for (name, value) in metadata(instance, text) {
        set.set(format!("{PREFIX}metadata_{name}"), value);
    }
    Ok(set.build())
}

/// A number; 0 where there is none.
fn country<'a>(instance: Node<'a, '_>) -> &'a str {
    match child_text(instance, "countryId").trim() {
        "" => "0",
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn instances_of_applications() {
        let server = Fake::start(|request| {
            if request.path != "/eureka/apps" {
                return Fake::not_found();
            }
            let xml = r#"<applications><versions__delta>1</versions__delta>
              <application><name>SHOP</name>
                <instance><instanceId>i1</instanceId><hostName>shop.example</hostName><ipAddr>10.0.0.1</ipAddr>
                  <status>UP</status><port enabled="true">8080</port><securePort enabled="false">443</securePort>
                  <countryId>1</countryId>
                  <dataCenterInfo class="x"><name>MyOwn</name><metadata><zone>a</zone></metadata></dataCenterInfo>
                  <metadata><management.port>9090</management.port><note>a &amp; b</note></metadata></instance>
                <instance><hostName>other.example</hostName></instance>
              </application></applications>"#;
            ([("content-type", "application/xml")], xml).into_response()
        })
        .await;
        let config = EurekaSdConfig {
            server: format!("{}/eureka", server.url()),
            ..EurekaSdConfig::default()
        };
        let groups = discover(|context| build(&config, context)).await;
        let labels = &groups[0].targets[0];
        for (label, want) in [
            ("__address__", "shop.example:8080"),
            ("instance", "i1"),
            ("__meta_eureka_app_name", "SHOP"),
            ("__meta_eureka_app_instance_port_enabled", "true"),
            ("__meta_eureka_app_instance_secure_port_enabled", "false"),
            (
                "__meta_eureka_app_instance_datacenterinfo_metadata_zone",
                "a",
            ),
            (
                "__meta_eureka_app_instance_metadata_management_port",
                "9090",
            ),
            ("__meta_eureka_app_instance_metadata_note", "a &amp; b"),
        ] {
            assert_eq!(labels.value(label), want, "{label}");
        }
        assert_eq!(
            groups[0].targets[1].value("__address__"),
            "other.example:80"
        );
    }
}
