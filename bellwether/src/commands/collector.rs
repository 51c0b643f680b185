//! `bellwether collector`: one OpenTelemetry Collector.

use std::process::ExitCode;

use bellwether_collector::{Collector, CollectorConfig, ConfigSource};

use crate::cli::CollectorArgs;
use crate::signals;

pub(super) async fn run(args: &CollectorArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&args.log, "info");
    let env = |name: &str| std::env::var(name).ok();
    let sources = args
        .config
        .iter()
        .map(|uri| ConfigSource::parse(uri, &env))
        .collect::<Result<Vec<_>, _>>()?;
    let config = CollectorConfig::load(&sources, &env)?;
    if args.validate {
        return Ok(ExitCode::SUCCESS);
    }
    let collector = Collector::build(&config).await?;
    collector.run(signals::shutdown_token()).await?;
    Ok(ExitCode::SUCCESS)
}
