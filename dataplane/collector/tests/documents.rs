//! What the documents show must load, and every component has a document.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use bellwether_collector::{Collector, CollectorConfig, ConfigSource};

/// Around a README's snippet: pipelines that use nothing of it.
const BASE: &str = "
receivers: { otlp/base: { protocols: { grpc: } } }
exporters: { debug/base: }
service: { pipelines: { metrics: { receivers: [otlp/base], exporters: [debug/base] } } }
";

fn readmes(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            readmes(&path, found);
        } else if path.ends_with("README.md") {
            found.push(path);
        }
    }
}

fn source(name: &str, text: &str) -> ConfigSource {
    ConfigSource::Text {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn every_snippet_of_the_readmes_loads() {
    let mut files = Vec::new();
    readmes(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut snippets = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let yaml = block.split("```").next().unwrap();
            let name = file.display().to_string();
            // A snippet may name components of the base configuration's kinds.
            let known = "receivers: { otlp: { protocols: { grpc: } } }\nprocessors: { batch: }\nexporters: { prometheus: { endpoint: \"localhost:8889\" } }\n";
            let sources = [
                source("base", BASE),
                source("known", known),
                source(&name, yaml),
            ];
            CollectorConfig::load(&sources, &|_| None).unwrap_or_else(|e| panic!("{name}: {e}"));
            snippets += 1;
        }
    }
    assert!(snippets >= 10, "{snippets}");
}

#[test]
fn every_component_has_a_readme() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for kind in [
        "receivers",
        "processors",
        "exporters",
        "connectors",
        "extensions",
    ] {
        for entry in std::fs::read_dir(src.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            assert!(
                !path.is_dir() || path.join("README.md").exists(),
                "{}",
                path.display()
            );
        }
    }
}

/// The example binds the ports that a supervisor gives it.
#[tokio::test]
async fn the_example_runs_with_a_supervisors_variables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data-plane.yaml");
    let env = |name: &str| {
        Some(
            match name {
                "TELEMETRY_PORT" => "0",
                "TELEMETRY_HOST" => "127.0.0.1",
                "ENVIRONMENT" => "qa",
                "DATA_PLANE_ID" => "007",
                name if name.ends_with("_ENDPOINT") => "127.0.0.1:0",
                _ => return None,
            }
            .to_owned(),
        )
    };
    let config = CollectorConfig::load(&[ConfigSource::File(path.clone())], &env).unwrap();
    assert_eq!(config.warnings(), []);
    let collector = Collector::build(&config).await.unwrap();
    let mut options: Vec<&str> = collector
        .listen_addresses()
        .iter()
        .map(|a| a.option.as_str())
        .collect();
    options.sort_unstable();
    assert_eq!(
        options,
        [
            "exporters::prometheus::endpoint",
            "extensions::health_check::endpoint",
            "receivers::otlp::protocols::grpc::endpoint",
            "receivers::otlp::protocols::http::endpoint",
            "service::telemetry::metrics::readers",
        ]
    );
    // And without any variable.
    CollectorConfig::load(&[ConfigSource::File(path)], &|_| None).unwrap();
}
