//! Serves the dashboard alone, in front of any Prometheus: `cargo run -p bellwether-dashboard --example serve -- 127.0.0.1:3000 http://127.0.0.1:9090`.
//! For work on the pages; the product is started with `bellwether dashboard`.
#![allow(clippy::print_stderr)]

use bellwether_dashboard::{DashboardConfig, UiConfig, UiPlane, run};
use bellwether_http::ClientSettings;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let listen = args.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let prometheus_url = args
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:9090".to_owned());
    let planes = ["prod", "dev", "qa"]
        .map(|name| UiPlane {
            id: format!("dp-{name}-01"),
            name: name.to_owned(),
            environment: name.to_owned(),
            ..UiPlane::default()
        })
        .to_vec();
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("dashboard on http://{}", listener.local_addr()?);
    let ui_config = UiConfig {
        planes,
        ..UiConfig::default()
    };
    run(
        DashboardConfig {
            prometheus_url,
            client: ClientSettings::default(),
            ui_config,
        },
        listener,
        CancellationToken::new(),
    )
    .await?;
    Ok(())
}
