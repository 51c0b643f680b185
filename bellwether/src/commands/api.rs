//! `bellwether api`: one shop API and the payment provider it calls.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use bellwether_api::{ApiConfig, Env, PaymentProvider};
use bellwether_net::bind;

use crate::cli::ApiArgs;
use crate::signals;

pub(super) async fn run(args: &ApiArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&args.log, "info");
    let mut config = ApiConfig::from_env(&Env::process())?;
    let address = args
        .listen
        .unwrap_or_else(|| SocketAddr::new(IpAddr::from([127, 0, 0, 1]), config.port));
    let listener = bind(address, "shop API", "--listen or PORT").await?;
    let shutdown = signals::shutdown_token();
    // A provider of the user's own needs none beside the API.
    let provider = if config.payment_provider == PaymentProvider::Embedded {
        let listener = bind(
            args.payments_listen,
            "payment provider",
            "--payments-listen",
        )
        .await?;
        config.payment_provider =
            PaymentProvider::Url(format!("http://{}", listener.local_addr()?));
        Some(tokio::spawn(bellwether_api::run_payment_provider(
            config.provider_config(),
            listener,
            shutdown.clone(),
        )))
    } else {
        None
    };
    tracing::info!(%address, environment = config.identity.environment, "shop API listens");
    let result = bellwether_api::run(config, listener, shutdown.clone()).await;
    shutdown.cancel();
    if let Some(provider) = provider {
        provider.await??;
    }
    result?;
    Ok(ExitCode::SUCCESS)
}
