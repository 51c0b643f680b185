//! `puppetdb_sd_configs`: the resources that a query of PuppetDB gives.

use bellwether_model::Labels;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, ApiError, client};
use crate::config::PuppetdbSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined, sanitize};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_puppetdb_";
const SEPARATOR: &str = ",";

struct PuppetdbDiscovery {
    api: Api,
    /// The pseudo-URL that names the group.
    source: String,
    query: String,
    include_parameters: bool,
    port: i64,
}

pub(super) fn build(
    config: &PuppetdbSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "http")?;
    let url = format!("{}/pdb/query/v4", config.url.trim_end_matches('/'));
    let discovery = PuppetdbDiscovery {
        api: Api::exactly(client, &url, interval),
        source: format!("{url}?query={}", config.query),
        query: config.query.clone(),
        include_parameters: config.include_parameters,
        port: config.port,
    };
    Ok(Refresher::boxed(discovery, "puppetdb", interval, context))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    certname: String,
    resource: String,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    exported: bool,
    tags: Option<Vec<String>>,
    file: Option<String>,
    environment: Option<String>,
    parameters: Option<serde_json::Map<String, Value>>,
}

impl Refresh for PuppetdbDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let body = serde_json::json!({ "query": self.query }).to_string();
        let answer = self.api.send(Method::POST, "", Some(Bytes::from(body)));
        let answer = answer.await?;
        if answer.status != StatusCode::OK {
            return Err(ApiError::Status {
                status: answer.status,
                body: String::new(),
            });
        }
        let resources: Option<Vec<Resource>> = answer.must_be_json()?.json()?;
        let resources = resources.unwrap_or_default();
        Ok(vec![TargetGroup {
            source: self.source.as_str().into(),
            targets: resources.iter().map(|r| self.labels(r)).collect(),
            labels: Labels::empty(),
        }])
    }
}

impl PuppetdbDiscovery {
    fn labels(&self, resource: &Resource) -> Labels {
        let mut set = Set::new();
        for (name, value) in [
            ("query", self.query.as_str()),
            ("certname", &resource.certname),
            ("resource", &resource.resource),
            ("type", &resource.kind),
            ("title", &resource.title),
            ("file", resource.file.as_deref().unwrap_or_default()),
            (
                "environment",
                resource.environment.as_deref().unwrap_or_default(),
            ),
        ] {
            set.set(format!("{PREFIX}{name}"), value);
        }
        set.set(format!("{PREFIX}exported"), resource.exported.to_string())
            .set(ADDRESS, host_port(&resource.certname, self.port));
        if let Some(tags) = resource.tags.as_ref().filter(|tags| !tags.is_empty()) {
            set.set(format!("{PREFIX}tags"), joined(tags, SEPARATOR));
        }
        // They may hold secrets, so only where it is wanted.
        if self.include_parameters
            && let Some(parameters) = &resource.parameters
        {
            set_parameters(&mut set, &format!("{PREFIX}parameter_"), parameters);
        }
        set.build()
    }
}

fn set_parameters(set: &mut Set, prefix: &str, parameters: &serde_json::Map<String, Value>) {
    for (name, value) in parameters {
        let text = match value {
            Value::Object(inner) => {
                let prefix = format!("{prefix}{}", sanitize(&format!("{name}_")));
                set_parameters(set, &prefix, inner);
                continue;
            }
            // No separators at the ends, unlike for tags.
            Value::Array(values) => {
                let values = values.iter().map(scalar);
                values.collect::<Vec<_>>().join(SEPARATOR)
            }
            value => scalar(value),
        };
        set.set(format!("{prefix}{}", sanitize(name)), text);
    }
}

/// Numbers as Go's shortest form; anything that is no scalar is empty.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.as_f64().map(go_float).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Go's format 'g' with as many digits as needed: an exponent from 21 digits on and below 1e-4.
fn go_float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    number.to_string()
}
