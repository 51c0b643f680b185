//! The sections of a configuration, decoded and checked against each other.

use std::collections::BTreeMap;

use super::decode::{decode, unknown_key};
use super::error::{ConfigError, Problem};
use super::id::{ComponentId, PipelineId};
use super::node::{Node, Position, Value};
use super::telemetry::TelemetryConfig;
use crate::pipeline::{
    ConnectorConfig, ExporterConfig, ExtensionConfig, Factory, Problems, ProcessorConfig,
    ReceiverConfig,
};

const SECTIONS: &[&str] = &[
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
    "service",
];
const SERVICE_KEYS: &[&str] = &["extensions", "pipelines", "telemetry"];
const PIPELINE_KEYS: &[&str] = &["receivers", "processors", "exporters"];

/// A defined component.
pub(crate) struct Defined<C: ?Sized> {
    /// Its decoded body.
    pub(crate) config: Box<C>,
    /// Where it is defined.
    pub(crate) at: Position,
}

/// Components of one kind, by id.
pub(crate) type Components<C> = BTreeMap<ComponentId, Defined<C>>;

/// A pipeline.
#[derive(Debug)]
pub(crate) struct PipelineConfig {
    /// Receivers and connectors that feed it.
    pub(crate) receivers: Vec<ComponentId>,
    /// In the order of the data.
    pub(crate) processors: Vec<ComponentId>,
    /// Exporters and connectors that it feeds.
    pub(crate) exporters: Vec<ComponentId>,
    /// Where it is defined.
    pub(super) at: Position,
}

/// Everything, checked.
pub(crate) struct ServiceConfig {
    pub(crate) receivers: Components<dyn ReceiverConfig>,
    pub(crate) processors: Components<dyn ProcessorConfig>,
    pub(crate) exporters: Components<dyn ExporterConfig>,
    pub(crate) connectors: Components<dyn ConnectorConfig>,
    pub(crate) extensions: Components<dyn ExtensionConfig>,
    /// Extensions to start, in order.
    pub(crate) started_extensions: Vec<ComponentId>,
    pub(crate) pipelines: BTreeMap<PipelineId, PipelineConfig>,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) warnings: Vec<Problem>,
}

/// Collects mistakes while the tree is read.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Decodes and checks a merged tree.
pub(super) fn check(tree: &Node) -> Result<ServiceConfig, ConfigError> {
    let mut checker = Checker::default();
    match &tree.value {
        Value::Null => {
            return Err(Problem::at(&tree.at, "", "the configuration is empty").into());
        }
        Value::Map(_) => {}
        _ => return Err(Problem::at(&tree.at, "", "the configuration must be a mapping").into()),
    }
    checker.keys(tree, "", SECTIONS);
    let null = Node::null(&tree.at.source);
    let section = |name: &str| tree.get(name).unwrap_or(&null);
    let receivers = checker.components(
        section("receivers"),
        "receivers",
        crate::receivers::FACTORIES,
        |c, p| c.validate(p),
    );
    let processors = checker.components(
        section("processors"),
        "processors",
        crate::processors::FACTORIES,
        |c, p| c.validate(p),
    );
    let exporters = checker.components(
        section("exporters"),
        "exporters",
        crate::exporters::FACTORIES,
        |c, p| c.validate(p),
    );
    let connectors = checker.components(
        section("connectors"),
        "connectors",
        crate::connectors::FACTORIES,
        |c, p| c.validate(p),
    );
    let extensions = checker.components(
        section("extensions"),
        "extensions",
        crate::extensions::FACTORIES,
        |c, p| c.validate(p),
    );
    for (name, empty) in [
        ("receivers", receivers.0.is_empty()),
        ("exporters", exporters.0.is_empty()),
    ] {
        if empty && section(name).entries().is_empty() && section("connectors").entries().is_empty()
        {
            let message = format!("no {name} are configured: at least one is needed");
            checker.problem(&tree.locate(name), name, message);
        }
    }
    let service = section("service");
    checker.mapping(service, "service");
    checker.keys(service, "service", SERVICE_KEYS);
    let telemetry = checker.telemetry(service.get("telemetry").unwrap_or(&null));
    let started_extensions = checker.started_extensions(service, &extensions.1);
    let names = Names {
        receivers: &receivers.1,
        processors: &processors.1,
        exporters: &exporters.1,
        connectors: &connectors.1,
    };
    checker.ambiguous(&names, tree);
    let pipelines = checker.pipelines(service, &names);
    let config = ServiceConfig {
        receivers: receivers.0,
        processors: processors.0,
        exporters: exporters.0,
        connectors: connectors.0,
        extensions: extensions.0,
        started_extensions,
        pipelines,
        telemetry,
        warnings: Vec::new(),
    };
    checker.signals(&config);
    checker.connector_sides(&config);
    if checker.problems.is_empty() {
        checker.cycles(&config);
    }
    if checker.problems.is_empty() {
        Ok(ServiceConfig {
            warnings: checker.warnings,
            ..config
        })
    } else {
        Err(ConfigError::new(checker.problems))
    }
}

/// Ids of all defined components, also of those whose bodies are wrong: one mistake, one message.
struct Names<'c> {
    receivers: &'c [ComponentId],
    processors: &'c [ComponentId],
    exporters: &'c [ComponentId],
    connectors: &'c [ComponentId],
}

impl Checker {
    pub(super) fn problem(&mut self, at: &Position, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::at(at, path, message));
    }

    fn keys(&mut self, node: &Node, path: &str, known: &[&str]) {
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                self.problem(&entry.key_at, path, unknown_key(&entry.key, known));
            }
        }
    }

    fn mapping(&mut self, node: &Node, path: &str) {
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            let message = format!("expected a mapping, found {}", node.describe());
            self.problem(&node.at, path, message);
        }
    }

    /// Decodes a section. Returns the good components and the ids of all.
    fn components<C: ?Sized>(
        &mut self,
        section: &Node,
        kind: &str,
        factories: &[Factory<C>],
        validate: impl Fn(&C, &mut Problems),
    ) -> (Components<C>, Vec<ComponentId>) {
        let mut components = BTreeMap::new();
        let mut ids: Vec<ComponentId> = Vec::new();
        self.mapping(section, kind);
        for entry in section.entries() {
            let id = match ComponentId::parse(&entry.key) {
                Ok(id) => id,
                Err(message) => {
                    self.problem(&entry.key_at, kind, message);
                    continue;
                }
            };
            if ids.contains(&id) {
                let message = format!("duplicate name \"{id}\": two keys are equal after trimming");
                self.problem(&entry.key_at, kind, message);
                continue;
            }
            ids.push(id.clone());
            let path = format!("{kind}::{id}");
            let Some(factory) = self.factory(&id, kind, &entry.key_at, factories) else {
                continue;
            };
            let mut body = entry.value.clone();
            if body.value == Value::Null {
                body.at = entry.key_at.clone();
            }
            match (factory.parse)(&body, &path) {
                Err(problem) => self.problems.push(problem),
                Ok(config) => {
                    let mut found = Problems::default();
                    validate(&config, &mut found);
                    for (key, message) in found.0 {
                        let mut at = entry.value.locate(&key);
                        if key.is_empty() || at == entry.value.at {
                            at = entry.key_at.clone();
                        }
                        let path = if key.is_empty() {
                            path.clone()
                        } else {
                            format!("{path}::{key}")
                        };
                        self.problem(&at, &path, message);
                    }
                    let at = entry.key_at.clone();
                    components.insert(id, Defined { config, at });
                }
            }
        }
        (components, ids)
    }

    fn factory<'f, C: ?Sized>(
        &mut self,
        id: &ComponentId,
        kind: &str,
        at: &Position,
        factories: &'f [Factory<C>],
    ) -> Option<&'f Factory<C>> {
        if let Some(factory) = factories.iter().find(|f| f.name == id.kind) {
            if let Some(remark) = factory.remark {
                let path = format!("{kind}::{id}");
                self.warnings.push(Problem::at(at, &path, remark));
            }
            return Some(factory);
        }
        if let Some(factory) = factories
            .iter()
            .find(|f| f.aliases.contains(&id.kind.as_str()))
        {
            let message = format!(
                "the type \"{}\" is an old name: write \"{}\"",
                id.kind, factory.name
            );
            self.warnings
                .push(Problem::at(at, &format!("{kind}::{id}"), message));
            return Some(factory);
        }
        let names: Vec<&str> = factories.iter().map(|f| f.name).collect();
        let mut message = format!(
            "unknown type {:?} for id \"{id}\" (valid types: {})",
            id.kind,
            names.join(", ")
        );
        let spellings = factories
            .iter()
            .flat_map(|f| f.aliases.iter().copied().chain([f.name]));
        if let Some(near) = bellwether_yaml::nearest(&id.kind, spellings) {
            message.push_str(&format!("; did you mean {near:?}?"));
        }
        self.problem(at, kind, message);
        None
    }

    fn telemetry(&mut self, node: &Node) -> TelemetryConfig {
        let path = "service::telemetry";
        let config: TelemetryConfig = match decode(node, path) {
            Ok(config) => config,
            Err(problem) => {
                self.problems.push(problem);
                return TelemetryConfig::default();
            }
        };
        if config.metrics.address.is_some() {
            let at = node.locate("metrics::address");
            let message = "the key is no longer part of the official collector; write readers with a pull exporter";
            self.warnings.push(Problem::at(
                &at,
                "service::telemetry::metrics::address",
                message,
            ));
        }
        for page in config.metrics.pages() {
            if let Err(message) = super::endpoint::ListenEndpoint::parse(&page.endpoint) {
                let at = node.locate("metrics");
                self.problem(&at, page.option, message);
            }
        }
        config
    }

    /// A list of ids; `path` is its key path.
    fn ids(&mut self, node: &Node, path: &str) -> Vec<(ComponentId, Position)> {
        let list: Vec<String> = match decode(node, path) {
            Ok(list) => list,
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        };
        let mut ids = Vec::with_capacity(list.len());
        for (index, text) in list.iter().enumerate() {
            let at = match &node.value {
                Value::Seq(items) => items.get(index).map_or(&node.at, |n| &n.at),
                _ => &node.at,
            };
            match ComponentId::parse(text) {
                Ok(id) => ids.push((id, at.clone())),
                Err(message) => self.problem(at, path, message),
            }
        }
        ids
    }

    fn started_extensions(&mut self, service: &Node, known: &[ComponentId]) -> Vec<ComponentId> {
        let Some(node) = service.get("extensions") else {
            return Vec::new();
        };
        let path = "service::extensions";
        let ids = self.ids(node, path);
        for (id, at) in &ids {
            if !known.contains(id) {
                self.undefined(at, path, "extension", id, known);
            }
        }
        ids.into_iter().map(|(id, _)| id).collect()
    }

    fn undefined(
        &mut self,
        at: &Position,
        path: &str,
        kind: &str,
        id: &ComponentId,
        known: &[ComponentId],
    ) {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let list = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        let text = id.to_string();
        let mut message =
            format!("references {kind} \"{id}\" which is not configured (configured: {list})");
        if let Some(near) = bellwether_yaml::nearest(&text, known.iter().map(String::as_str)) {
            message.push_str(&format!("; did you mean \"{near}\"?"));
        }
        self.problem(at, path, message);
    }

    /// An id that is a connector and something else at the same time.
    fn ambiguous(&mut self, names: &Names<'_>, tree: &Node) {
        for id in names.connectors {
            for (kind, list) in [("exporter", names.exporters), ("receiver", names.receivers)] {
                if list.contains(id) {
                    let path = format!("connectors::{id}");
                    let message = format!(
                        "ambiguous id: \"{id}\" is configured as {kind} and as connector; rename it to \"{id}/connector\""
                    );
                    self.problem(&tree.locate(&path), &path, message);
                }
            }
        }
    }

    fn pipelines(
        &mut self,
        service: &Node,
        names: &Names<'_>,
    ) -> BTreeMap<PipelineId, PipelineConfig> {
        let mut pipelines = BTreeMap::new();
        let null = Node::null(&service.at.source);
        let section = service.get("pipelines").unwrap_or(&null);
        self.mapping(section, "service::pipelines");
        if section.entries().is_empty() {
            let message = "the service must have at least one pipeline";
            self.problem(&service.locate("pipelines"), "service::pipelines", message);
        }
        for entry in section.entries() {
            let id = match PipelineId::parse(&entry.key) {
                Ok(id) => id,
                Err(message) => {
                    self.problem(&entry.key_at, "service::pipelines", message);
                    continue;
                }
            };
            let pipeline = self.pipeline(&id, &entry.value, &entry.key_at, names);
            pipelines.insert(id, pipeline);
        }
        pipelines
    }

    fn pipeline(
        &mut self,
        id: &PipelineId,
        node: &Node,
        at: &Position,
        names: &Names<'_>,
    ) -> PipelineConfig {
        let path = format!("service::pipelines::{id}");
        self.mapping(node, &path);
        self.keys(node, &path, PIPELINE_KEYS);
        let mut list = |key: &str, kind: &str, known: Vec<ComponentId>| -> Vec<ComponentId> {
            let mut result = Vec::new();
            let Some(list) = node.get(key) else {
                return result;
            };
            for (component, at) in self.ids(list, &format!("{path}::{key}")) {
                if !known.contains(&component) {
                    self.undefined(&at, &path, kind, &component, &known);
                } else if result.contains(&component) {
                    let message = format!("references {kind} \"{component}\" multiple times");
                    self.problem(&at, &path, message);
                    continue;
                }
                result.push(component);
            }
            result
        };
        let receivers = list(
            "receivers",
            "receiver",
            [names.receivers, names.connectors].concat(),
        );
        let processors = list("processors", "processor", names.processors.to_vec());
        let exporters = list(
            "exporters",
            "exporter",
            [names.exporters, names.connectors].concat(),
        );
        for (kind, empty) in [
            ("receiver", receivers.is_empty()),
            ("exporter", exporters.is_empty()),
        ] {
            if empty {
                self.problem(at, &path, format!("must have at least one {kind}"));
            }
        }
        PipelineConfig {
            receivers,
            processors,
            exporters,
            at: at.clone(),
        }
    }
}
