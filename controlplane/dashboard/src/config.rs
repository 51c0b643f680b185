//! What `/ui/v1/config` tells the pages. Field names are the JSON's; the TypeScript side reads them in `src/api/ui.ts`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything the pages cannot learn from the Prometheus API. Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UiConfig {
    /// Product version shown in the sidebar.
    pub version: String,
    /// Other names for metrics and labels, by the keys of `src/lib/promql/names.ts`.
    pub names: BTreeMap<String, String>,
    /// The configured data planes, in the order that gives them their colours.
    pub planes: Vec<UiPlane>,
    /// The interval at which the planes are scraped, in seconds.
    pub scrape_interval_seconds: f64,
    /// Limits for every plane that sets none of its own.
    pub thresholds: Thresholds,
    /// Switches for pages, by name.
    pub features: BTreeMap<String, bool>,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            names: BTreeMap::new(),
            planes: Vec::new(),
            scrape_interval_seconds: 10.0,
            thresholds: Thresholds::default(),
            features: BTreeMap::new(),
        }
    }
}

/// One data plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UiPlane {
    /// Value of the label `data_plane_id`, for example `dp-prod-01`.
    pub id: String,
    /// Shown name, usually the environment's.
    pub name: String,
    /// Value of the label `environment`.
    pub environment: String,
    /// Where a person reaches the plane's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// Where a person reaches the plane's collector exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector_url: Option<String>,
    /// This plane's own limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
}

/// From where on a signal is a warning, and from where on critical.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Share of answers with status 5xx, in percent.
    pub error_percent: Limits,
    /// 95th percentile of the request duration, in seconds.
    pub p95_seconds: Limits,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            error_percent: Limits {
                warning: 5.0,
                critical: 20.0,
            },
            p95_seconds: Limits {
                warning: 1.0,
                critical: 2.0,
            },
        }
    }
}

/// Two limits of one signal, in the signal's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Above this the plane is degraded.
    pub warning: f64,
    /// Above this for two windows the plane is critical.
    pub critical: f64,
}
