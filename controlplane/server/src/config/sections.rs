//! The section `runtime`.

use serde::{Deserialize, Serialize};

/// `runtime`: settings of the Go runtime. Read for compatibility; there is no garbage collector to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gogc: Option<i64>,
}
