#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::testing::start;

/// Calls `each` with every `$ref`.
fn references(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().filter(|_| name == "$ref") {
                    Some(target) => each(target),
                    None => references(value, each),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, each)),
        _ => {}
    }
}

#[test]
fn references_point_to_schemas_and_names_are_unique() {
    let document = document("3.1.0");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut used = BTreeSet::new();
    references(&document, &mut |target| {
        let name = target.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas.contains_key(name), "{target}");
        used.insert(name.to_owned());
    });
    let named: BTreeSet<String> = schemas.keys().cloned().collect();
    assert_eq!(used, named, "no schema is left over");
    let mut ids = BTreeSet::new();
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()));
        }
    }
}

#[tokio::test]
async fn what_is_described_is_there_and_nothing_else() {
    let server = start().await;
    for endpoint in ENDPOINTS {
        let path = format!("/api/v1{}", endpoint.path.replace("{name}", "job"));
        for method in ["get", "post", "put", "delete"] {
            // A stream has no end to wait for.
            if endpoint.path == "/notifications/live" && method == "get" {
                continue;
            }
            let answer = server.method(&method.to_uppercase(), &path).await;
            let known = endpoint.methods.contains(&method);
            assert_eq!(answer.status == 405, !known, "{method} {path}: {answer:?}");
            assert!(answer.body != "404 page not found\n", "{path}");
        }
    }
}

#[tokio::test]
async fn the_version_can_be_chosen() {
    let server = start().await;
    for (query, version) in [("", "3.1.0"), ("?openapi_version=3.2", "3.2.0")] {
        let answer = server.get(&format!("/api/v1/openapi.yaml{query}")).await;
        assert_eq!(
            answer.header("content-type"),
            "application/yaml; charset=utf-8"
        );
        let line = answer.body.lines().find(|l| l.starts_with("openapi: "));
        assert!(line.is_some_and(|l| l.contains(version)), "{line:?}");
    }
}
