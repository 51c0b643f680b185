//! `bellwether orders`: the order service.

use std::process::ExitCode;

use bellwether_net::bind;
use bellwether_orders::OrdersConfig;

use crate::cli::OrdersArgs;
use crate::signals;

pub(super) async fn run(args: &OrdersArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&args.log, "info");
    let listener = bind(args.listen, "order service", "--listen").await?;
    tracing::info!(address = %args.listen, "order service listens");
    bellwether_orders::run(OrdersConfig::default(), listener, signals::shutdown_token()).await?;
    Ok(ExitCode::SUCCESS)
}
