//! What answers look like.

use serde_json::{Value, json};

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn integer() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn constant(value: &str) -> Value {
    json!({ "type": "string", "const": value })
}

/// An object with these members, all of them there.
fn object(members: &[(&str, Value)]) -> Value {
    let properties: serde_json::Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// All schemas by name.
pub(super) fn all() -> Value {
    let groups = [common(), query(), targets(), rules(), status()];
    let members = groups.into_iter().filter_map(|group| match group {
        Value::Object(members) => Some(members),
        _ => None,
    });
    members.flatten().collect::<serde_json::Map<_, _>>().into()
}

fn common() -> Value {
    json!({
        "Time": {
            "description": "Seconds since the epoch, or RFC 3339.",
            "oneOf": [{ "type": "number" }, { "type": "string", "format": "date-time" }],
        },
        "Duration": {
            "description": "Seconds, or a duration like 1m30s.",
            "oneOf": [{ "type": "number" }, { "type": "string" }],
        },
        "Success": {
            "type": "object",
            "properties": {
                "status": constant("success"),
                "warnings": list("Text"),
                "infos": list("Text"),
            },
            "required": ["status"],
        },
        "Error": object(&[
            ("status", constant("error")),
            ("errorType", text()),
            ("error", text()),
        ]),
        "Text": text(),
        "Texts": list("Text"),
        "Object": { "type": "object" },
        "Objects": list("Object"),
        "TextMap": { "type": "object", "additionalProperties": text() },
        "Yaml": object(&[("yaml", text())]),
        "LabelSet": { "type": "object", "additionalProperties": text() },
        "LabelSets": list("LabelSet"),
    })
}

fn query() -> Value {
    json!({
        "Point": {
            "description": "Time in seconds and value.",
            "type": "array",
            "prefixItems": [number(), text()],
        },
        "HistogramPoint": {
            "description": "Time in seconds and histogram.",
            "type": "array",
            "prefixItems": [number(), reference("Histogram")],
        },
        "Histogram": {
            "type": "object",
            "properties": {
                "count": text(),
                "sum": text(),
                "buckets": {
                    "description": "Kind of the borders, lower border, upper border, count.",
                    "type": "array",
                    "items": {
                        "type": "array",
                        "prefixItems": [integer(), text(), text(), text()],
                    },
                },
            },
            "required": ["count", "sum"],
        },
        "QueryData": object(&[
            (
                "resultType",
                json!({ "type": "string", "enum": ["matrix", "vector", "scalar", "string"] }),
            ),
            (
                "result",
                json!({ "anyOf": [list("SampleRow"), list("SeriesRow"), reference("Point")] }),
            ),
        ]),
        "SampleRow": {
            "type": "object",
            "properties": {
                "metric": reference("LabelSet"),
                "value": reference("Point"),
                "histogram": reference("HistogramPoint"),
            },
            "required": ["metric"],
        },
        "SeriesRow": {
            "type": "object",
            "properties": {
                "metric": reference("LabelSet"),
                "values": list("Point"),
                "histograms": list("HistogramPoint"),
            },
            "required": ["metric"],
        },
        "Exemplars": {
            "type": "array",
            "items": object(&[
                ("seriesLabels", reference("LabelSet")),
                (
                    "exemplars",
                    json!({ "type": "array", "items": object(&[
                        ("labels", reference("LabelSet")),
                        ("value", text()),
                        ("timestamp", number()),
                    ]) }),
                ),
            ]),
        },
    })
}

fn targets() -> Value {
    json!({
        "MetadataEntry": object(&[("type", text()), ("unit", text()), ("help", text())]),
        "Metadata": { "type": "object", "additionalProperties": list("MetadataEntry") },
        "TargetMetadata": {
            "type": "array",
            "items": object(&[
                ("target", reference("LabelSet")),
                ("type", text()),
                ("help", text()),
                ("unit", text()),
            ]),
        },
        "Targets": object(&[
            ("activeTargets", list("ActiveTarget")),
            (
                "droppedTargets",
                json!({ "type": "array", "items": object(&[
                    ("discoveredLabels", reference("LabelSet")),
                    ("scrapePool", text()),
                ]) }),
            ),
            (
                "droppedTargetCounts",
                json!({ "type": ["object", "null"], "additionalProperties": integer() }),
            ),
        ]),
        "ActiveTarget": object(&[
            ("discoveredLabels", reference("LabelSet")),
            ("labels", reference("LabelSet")),
            ("scrapePool", text()),
            ("scrapeUrl", text()),
            ("globalUrl", text()),
            ("lastError", text()),
            ("lastScrape", time()),
            ("lastScrapeDuration", number()),
            ("health", json!({ "type": "string", "enum": ["up", "down", "unknown"] })),
            ("scrapeInterval", text()),
            ("scrapeTimeout", text()),
        ]),
        "ScrapePools": object(&[("scrapePools", list("Text"))]),
        "RelabelSteps": object(&[(
            "steps",
            json!({ "type": "array", "items": object(&[
                ("rule", reference("Object")),
                ("output", reference("LabelSet")),
                ("keep", json!({ "type": "boolean" })),
            ]) }),
        )]),
    })
}

fn rules() -> Value {
    json!({
        "Rules": {
            "type": "object",
            "properties": { "groups": list("RuleGroup"), "groupNextToken": text() },
            "required": ["groups"],
        },
        "RuleGroup": object(&[
            ("name", text()),
            ("file", text()),
            ("rules", list("Rule")),
            ("interval", number()),
            ("limit", integer()),
            ("evaluationTime", number()),
            ("lastEvaluation", time()),
        ]),
        "Rule": {
            "type": "object",
            "properties": {
                "type": { "type": "string", "enum": ["alerting", "recording"] },
                "name": text(),
                "query": text(),
                "labels": reference("LabelSet"),
                "health": { "type": "string", "enum": ["ok", "err", "unknown"] },
                "lastError": text(),
                "evaluationTime": number(),
                "lastEvaluation": time(),
                "state": {
                    "type": "string",
                    "enum": ["unknown", "inactive", "pending", "firing"],
                },
                "duration": number(),
                "keepFiringFor": number(),
                "annotations": reference("LabelSet"),
                "alerts": { "anyOf": [list("Alert"), { "type": "null" }] },
            },
            "required": ["type", "name", "query", "labels", "health"],
        },
        "Alert": {
            "type": "object",
            "properties": {
                "labels": reference("LabelSet"),
                "annotations": reference("LabelSet"),
                "state": { "type": "string", "enum": ["pending", "firing"] },
                "activeAt": time(),
                "keepFiringSince": time(),
                "value": text(),
            },
            "required": ["labels", "annotations", "state", "value"],
        },
        "Alerts": object(&[("alerts", list("Alert"))]),
        "Alertmanager": object(&[("url", text())]),
        "Alertmanagers": object(&[
            ("activeAlertmanagers", list("Alertmanager")),
            ("droppedAlertmanagers", list("Alertmanager")),
        ]),
    })
}

fn status() -> Value {
    json!({
        "Count": object(&[("name", text()), ("value", integer())]),
        "TsdbStatus": object(&[
            (
                "headStats",
                object(&[
                    ("numSeries", integer()),
                    ("numLabelPairs", integer()),
                    ("chunkCount", integer()),
                    ("minTime", integer()),
                    ("maxTime", integer()),
                ]),
            ),
            ("seriesCountByMetricName", list("Count")),
            ("labelValueCountByLabelName", list("Count")),
            ("memoryInBytesByLabelName", list("Count")),
            ("seriesCountByLabelValuePair", list("Count")),
        ]),
    })
}
