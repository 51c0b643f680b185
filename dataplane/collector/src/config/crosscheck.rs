//! Checks over several components: signals, both sides of connectors, cycles.

use std::collections::HashSet;

use bellwether_otlp::Signal;

use super::id::{ComponentId, PipelineId};
use super::service::{Checker, ServiceConfig};

impl Checker {
    /// Each component must support the signals of its pipelines.
    pub(super) fn signals(&mut self, config: &ServiceConfig) {
        for (id, pipeline) in &config.pipelines {
            let path = format!("service::pipelines::{id}");
            let mut wrong: Vec<(&str, &ComponentId)> = Vec::new();
            let unfit =
                |signals: Option<&[Signal]>| signals.is_some_and(|s| !s.contains(&id.signal));
            for component in &pipeline.receivers {
                if unfit(config.receivers.get(component).map(|d| d.config.signals())) {
                    wrong.push(("receiver", component));
                }
            }
            for component in &pipeline.processors {
                if unfit(config.processors.get(component).map(|d| d.config.signals())) {
                    wrong.push(("processor", component));
                }
            }
            for component in &pipeline.exporters {
                if unfit(config.exporters.get(component).map(|d| d.config.signals())) {
                    wrong.push(("exporter", component));
                }
            }
            for (kind, component) in wrong {
                let message = format!("{kind} \"{component}\" does not support {}", id.signal);
                self.problem(&pipeline.at, &path, message);
            }
        }
    }

    /// A connector needs both sides, with signals that it can connect.
    pub(super) fn connector_sides(&mut self, config: &ServiceConfig) {
        for (id, defined) in &config.connectors {
            let inputs: Vec<Signal> = config
                .pipelines
                .iter()
                .filter(|(_, p)| p.exporters.contains(id))
                .map(|(p, _)| p.signal)
                .collect();
            let outputs: Vec<Signal> = config
                .pipelines
                .iter()
                .filter(|(_, p)| p.receivers.contains(id))
                .map(|(p, _)| p.signal)
                .collect();
            let path = format!("connectors::{id}");
            let pairs = defined.config.signals();
            for signal in &inputs {
                if !outputs.iter().any(|o| pairs.contains(&(*signal, *o))) {
                    let message = format!(
                        "connector \"{id}\" is used as exporter in a {signal} pipeline but not as receiver in any pipeline that it can feed"
                    );
                    self.problem(&defined.at, &path, message);
                }
            }
            for signal in &outputs {
                if !inputs.iter().any(|i| pairs.contains(&(*i, *signal))) {
                    let message = format!(
                        "connector \"{id}\" is used as receiver in a {signal} pipeline but not as exporter in any pipeline that can feed it"
                    );
                    self.problem(&defined.at, &path, message);
                }
            }
        }
    }

    /// Pipelines connected in a circle by connectors.
    pub(super) fn cycles(&mut self, config: &ServiceConfig) {
        let mut done = HashSet::new();
        for id in config.pipelines.keys() {
            let mut path = Vec::new();
            if let Some(chain) = find_cycle(config, id, &mut path, &mut done) {
                let at = config.pipelines[id].at.clone();
                self.problem(
                    &at,
                    "service::pipelines",
                    format!("cycle detected: {chain}"),
                );
                return;
            }
        }
    }
}

fn find_cycle<'c>(
    config: &'c ServiceConfig,
    id: &'c PipelineId,
    path: &mut Vec<&'c PipelineId>,
    done: &mut HashSet<&'c PipelineId>,
) -> Option<String> {
    if let Some(start) = path.iter().position(|p| *p == id) {
        let names: Vec<String> = path[start..]
            .iter()
            .chain([&id])
            .map(ToString::to_string)
            .collect();
        return Some(names.join(" -> "));
    }
    if !done.insert(id) {
        return None;
    }
    path.push(id);
    for connector in &config.pipelines[id].exporters {
        if !config.connectors.contains_key(connector) {
            continue;
        }
        for (next, pipeline) in &config.pipelines {
            if pipeline.receivers.contains(connector)
                && let Some(chain) = find_cycle(config, next, path, done)
            {
                return Some(chain);
            }
        }
    }
    path.pop();
    None
}
