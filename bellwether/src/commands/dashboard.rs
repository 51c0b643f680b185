//! `bellwether dashboard`: the dashboard in front of any Prometheus-compatible server.

use std::process::ExitCode;

use bellwether_dashboard::{DashboardConfig, UiConfig};
use bellwether_net::bind;

use crate::cli::DashboardArgs;
use crate::http_client;
use crate::signals;

pub(super) async fn run(args: DashboardArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&args.log, "info");
    let client = http_client::settings(args.http_config_file.as_deref())?;
    let listener = bind(args.listen, "dashboard", "--listen").await?;
    tracing::info!(address = %args.listen, prometheus = args.prometheus_url, "dashboard listens");
    let config = DashboardConfig {
        prometheus_url: args.prometheus_url,
        client,
        ui_config: UiConfig::default(),
    };
    bellwether_dashboard::run(config, listener, signals::shutdown_token()).await?;
    Ok(ExitCode::SUCCESS)
}
