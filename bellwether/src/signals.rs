//! Ctrl-C and SIGTERM: the first asks for an orderly shutdown, the second ends at once.

use tokio::signal;
use tokio_util::sync::CancellationToken;

/// Exit code of a process that a second signal ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// A token that the first signal cancels. The second signal ends the process with exit code 130.
pub(crate) fn shutdown_token() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    // Lives as long as the process: it is what ends it.
    tokio::spawn(async move {
        wait_for_signal().await;
        cancel.cancel();
        wait_for_signal().await;
        std::process::exit(ENDED_BY_SIGNAL);
    });
    token
}

#[cfg(unix)]
async fn wait_for_signal() {
    use signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM, only Ctrl-C ends this process in order");
            return wait_for_ctrl_c().await;
        }
    };
    tokio::select! {
        () = wait_for_ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    wait_for_ctrl_c().await;
}

async fn wait_for_ctrl_c() {
    if let Err(error) = signal::ctrl_c().await {
        tracing::warn!(%error, "cannot listen for Ctrl-C");
        std::future::pending::<()>().await;
    }
}
