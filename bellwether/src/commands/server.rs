//! `bellwether server`: the metrics server with Prometheus' own flags.

use std::process::ExitCode;

use bellwether_server::{Server, ServerFlags};
use bellwether_telemetry::init_logging;

use crate::signals;

pub(super) async fn run(flags: ServerFlags) -> anyhow::Result<ExitCode> {
    let (level, format) = flags.logging();
    init_logging(level, format);
    let server = Server::bind(flags.settings()?).await?;
    server.run(signals::shutdown_token()).await?;
    Ok(ExitCode::SUCCESS)
}
