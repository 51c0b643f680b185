//! `/openapi.yaml`: a description of the API for programs, in OpenAPI 3.1 or, when asked for, 3.2.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | from the table to the document |
//! | `table` | the endpoints |
//! | `schemas` | what their answers look like |

mod schemas;
mod table;
#[cfg(test)]
mod tests;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::Ready;
use super::params::Params;
use crate::config::to_yaml;
use crate::http::plain_error;
use table::{Answer, ENDPOINTS, Endpoint, Kind, Parameter};

pub(crate) async fn openapi(_: Ready, params: Params) -> Response {
    let version = match params.get("openapi_version") {
        "3.2" | "3.2.0" => "3.2.0",
        _ => "3.1.0",
    };
    match to_yaml(&document(version)) {
        Ok(yaml) => {
            let headers = [
                (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
                (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
            ];
            (headers, yaml).into_response()
        }
        Err(error) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let methods: Map<String, Value> = endpoint
            .methods
            .iter()
            .map(|method| ((*method).to_owned(), operation(endpoint, method)))
            .collect();
        paths.insert(endpoint.path.to_owned(), methods.into());
    }
    json!({
        "openapi": version,
        "info": {
            "title": "Bellwether metrics API",
            "description": "Prometheus' HTTP API v1.",
            "version": crate::version::PROMETHEUS_COMPATIBILITY,
        },
        "servers": [{ "url": "/api/v1" }],
        "paths": paths,
        "components": { "schemas": schemas::all() },
    })
}

/// `/label/{name}/values` by GET: `get-label-name-values`.
fn operation_id(endpoint: &Endpoint, method: &str) -> String {
    let words = endpoint
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("-")
}

fn operation(endpoint: &Endpoint, method: &str) -> Value {
    let in_path = |p: &&Parameter| endpoint.path.contains(&format!("{{{}}}", p.name));
    // Endpoints that take a form take the same parameters in it.
    let in_form = method == "post" && endpoint.methods.contains(&"get");
    let mut parameters = Vec::new();
    let mut fields = Map::new();
    let mut required = Vec::new();
    for p in endpoint.parameters {
        if in_form && !in_path(&p) {
            fields.insert(p.name.to_owned(), described(p));
            if p.required {
                required.push(p.name);
            }
        } else {
            parameters.push(json!({
                "name": p.name,
                "in": if in_path(&p) { "path" } else { "query" },
                "description": p.description,
                "required": p.required,
                "schema": schema(p.kind),
            }));
        }
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint, method),
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "responses": responses(&endpoint.answer),
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !fields.is_empty() {
        let mut form = json!({ "type": "object", "properties": fields });
        if !required.is_empty() {
            form["required"] = required.into();
        }
        operation["requestBody"] =
            json!({ "content": { "application/x-www-form-urlencoded": { "schema": form } } });
    }
    if let Some(media) = endpoint.body {
        operation["requestBody"] = json!({ "required": true, "content": { media: {} } });
    }
    operation
}

fn described(p: &Parameter) -> Value {
    let mut schema = schema(p.kind);
    schema["description"] = p.description.into();
    schema
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Integer => json!({ "type": "integer", "format": "int64" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Time => json!({ "$ref": "#/components/schemas/Time" }),
        Kind::Duration => json!({ "$ref": "#/components/schemas/Duration" }),
        Kind::OneOf(texts) => json!({ "type": "string", "enum": texts }),
    }
}

fn responses(answer: &Answer) -> Value {
    let error = json!({
        "description": "What is wrong.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    match answer {
        Answer::Data(schema) => {
            let envelope = json!({
                "allOf": [
                    { "$ref": "#/components/schemas/Success" },
                    {
                        "type": "object",
                        "properties": { "data": { "$ref": format!("#/components/schemas/{schema}") } },
                    },
                ],
            });
            json!({
                "200": {
                    "description": "The answer.",
                    "content": { "application/json": { "schema": envelope } },
                },
                "default": error,
            })
        }
        Answer::Nothing => json!({ "204": { "description": "Done." }, "default": error }),
        Answer::Media(media) => json!({
            "200": { "description": "The answer.", "content": { *media: {} } },
            "default": {
                "description": "What is wrong.",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
        }),
    }
}
