//! `bellwether tool check healthy` and `check ready`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use http::StatusCode;

use crate::commands::tool::output;
use crate::commands::tool::query::client::Client;

/// As promtool waits.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9090")]
    url: String,
    /// A file with the keys of an HTTP client: credentials, TLS, proxies.
    #[arg(long = "http.config.file", value_name = "FILE")]
    http_config: Option<PathBuf>,
}

/// Asks an endpoint such as `-/ready`.
pub(super) async fn run(args: &StatusArgs, endpoint: &str) -> anyhow::Result<ExitCode> {
    match ask(args, endpoint).await {
        Ok(text) => {
            output::tell(&format!("  SUCCESS:  {text}"));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::tell(&format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn ask(args: &StatusArgs, endpoint: &str) -> anyhow::Result<String> {
    let client = Client::new(&args.url, &[], args.http_config.as_deref())?;
    let asking = tokio::time::timeout(TIMEOUT, client.page(endpoint)).await;
    let (status, text) = asking
        .context("no answer in ten seconds")
        .and_then(|done| done)
        .context("check failed")?;
    anyhow::ensure!(
        status == StatusCode::OK,
        "check failed: URL={}, status={}",
        args.url,
        status.as_u16()
    );
    Ok(text)
}
