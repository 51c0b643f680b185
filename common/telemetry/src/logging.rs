//! Logging of the process: one line per event on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How log lines look, as Prometheus' `--log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Starts logging at a level (`debug`, `info`, `warn`, `error`); `RUST_LOG` overrides it. A second call does nothing.
pub fn init(level: &str, format: LogFormat) {
    // The exporters' own HTTP stack would otherwise log about itself while it sends telemetry.
    let default =
        format!("{level},h2=warn,hyper=warn,hyper_util=warn,tonic=warn,reqwest=warn,rustls=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true);
    let result = match format {
        LogFormat::Logfmt => builder.compact().with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "logging was already set up");
    }
}
