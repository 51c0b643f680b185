//! The stack file as written. Unknown keys are refused; missing ones are `None`.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StackFile {
    pub(super) listen: Option<IpAddr>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) scrape_interval: Option<String>,
    pub(super) export_interval: Option<String>,
    #[serde(default)]
    pub(super) server: ServerSection,
    #[serde(default)]
    pub(super) dashboard: DashboardSection,
    #[serde(default)]
    pub(super) orders: OrdersSection,
    pub(super) planes: Option<Vec<PlaneSection>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    pub(super) port: Option<u16>,
    pub(super) retention: Option<String>,
    pub(super) config: Option<PathBuf>,
    pub(super) web_config: Option<PathBuf>,
    pub(super) client_config: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DashboardSection {
    pub(super) port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersSection {
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) traffic: TrafficSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaneSection {
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) data_plane_id: Option<String>,
    pub(super) ports: PortsSection,
    pub(super) collector: Option<PathBuf>,
    #[serde(default)]
    pub(super) faults: FaultsSection,
    #[serde(default)]
    pub(super) traffic: TrafficSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortsSection {
    pub(super) api: u16,
    pub(super) payments: u16,
    pub(super) otlp_grpc: u16,
    pub(super) otlp_http: u16,
    pub(super) exporter: u16,
    pub(super) telemetry: u16,
    pub(super) health: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultsSection {
    pub(super) error_rate: Option<f64>,
    pub(super) latency_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrafficSection {
    pub(super) rate: Option<f64>,
    pub(super) mix: Option<String>,
}
