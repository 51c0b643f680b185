//! `runtime`, and the sections that this build refuses by name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sections of Prometheus' configuration that are accepted only when they are empty.
pub(crate) const UNSUPPORTED_SECTIONS: &[&str] = &["remote_write", "remote_read", "tracing"];

/// `runtime`: settings of the Go runtime. Read for compatibility; there is no garbage collector to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gogc: Option<i64>,
}

/// Whether a section says nothing: null, an empty list, or a map of those.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
