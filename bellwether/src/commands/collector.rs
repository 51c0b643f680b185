//! `bellwether collector`: one OpenTelemetry Collector.

use std::process::ExitCode;

use anyhow::bail;
use bellwether_collector::{Collector, CollectorConfig, ConfigSource, LogEncoding};
use bellwether_telemetry::LogFormat;

use crate::cli::CollectorArgs;
use crate::signals;

pub(super) async fn run(args: &CollectorArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let mut uris = args.config.clone();
    for setting in &args.set {
        uris.push(set_uri(setting)?);
    }
    let sources = uris
        .iter()
        .map(|uri| ConfigSource::parse(uri, &env))
        .collect::<Result<Vec<_>, _>>()?;
    let config = CollectorConfig::load(&sources, &env)?;
    // The configuration says how to log where the command line does not.
    let format = match config.log_encoding() {
        LogEncoding::Json => LogFormat::Json,
        LogEncoding::Console => LogFormat::Logfmt,
    };
    super::start_logging_as(&args.log, config.log_level().as_str(), format);
    if args.validate {
        return Ok(ExitCode::SUCCESS);
    }
    let collector = Collector::build(&config).await?;
    collector.run(signals::shutdown_token()).await?;
    Ok(ExitCode::SUCCESS)
}

/// `a.b=v` as the inline source `yaml:a::b: v`, which is how the official collector reads it.
fn set_uri(setting: &str) -> anyhow::Result<String> {
    match setting.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(format!("yaml:{}: {value}", key.replace('.', "::")))
        }
        _ => bail!("--set {setting}: use KEY=VALUE, for example processors.batch.timeout=2s"),
    }
}
