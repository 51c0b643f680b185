//! `bellwether dashboard`: the dashboard in front of any Prometheus-compatible server.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use bellwether_dashboard::{DashboardConfig, UiConfig};
use bellwether_http::ClientSettings;
use bellwether_net::bind;

use crate::cli::DashboardArgs;
use crate::signals;
use crate::stack::access::read_client_file;

pub(super) async fn run(args: DashboardArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&args.log, "info");
    let client = match &args.http_config_file {
        Some(path) => {
            client(path).with_context(|| format!("{} (--http.config.file)", path.display()))?
        }
        None => ClientSettings::default(),
    };
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

/// Reads and checks a file with the keys of an HTTP client.
fn client(path: &Path) -> anyhow::Result<ClientSettings> {
    let (config, _) = read_client_file(path)?;
    Ok(config.resolve(path.parent().unwrap_or(Path::new("")))?)
}
