//! `bellwether tool check healthy` and `check ready`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::Url;

use crate::commands::tool::output;

/// As promtool waits.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9090")]
    url: String,
}

/// Asks an endpoint such as `/-/ready`.
pub(super) async fn run(args: &StatusArgs, endpoint: &str) -> anyhow::Result<ExitCode> {
    match ask(&args.url, endpoint).await {
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

async fn ask(server: &str, endpoint: &str) -> anyhow::Result<String> {
    let with_scheme = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let base = Url::parse(&with_scheme).with_context(|| format!("bad URL {server:?} (--url)"))?;
    let mut url = base.clone();
    url.set_path(&format!("{}{endpoint}", base.path().trim_end_matches('/')));
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let response = client.get(url).send().await.context("check failed")?;
    let status = response.status();
    let text = response.text().await.context("check failed")?;
    anyhow::ensure!(
        status == reqwest::StatusCode::OK,
        "check failed: URL={server}, status={}",
        status.as_u16()
    );
    Ok(text)
}
