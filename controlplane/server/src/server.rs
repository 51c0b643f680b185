//! The server's life: bind, open, serve, reload, stop.
//!
//! ```text
//! ServerSettings --bind--> Server (configuration checked, ports held) --run--> ... --shutdown--> Ok
//!                             |                                         |
//!                             errors a user can act on                  listeners answer at once; 503 until the
//!                                                                       database is open, then scraping starts
//! ```
//!
//! Shutdown runs in the order in which data flows: scraping stops, requests under way finish, remote write sends the
//! rest, the database is flushed and closed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_model::re2::Re2;
use bellwether_net::web::{Gate, WebConfigError};
use bellwether_net::{BindError, ConnectionCounters, ServeOptions, serve};
use bellwether_telemetry::Registry;
use bellwether_tsdb::TsdbError;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerting;
use crate::config::ConfigError;
use crate::flags::FlagError;
use crate::http::router;
use crate::notifications;
use crate::reload::{ReloadHandle, ReloadReply};
use crate::runtime::{Parts, prepare, run_core, storage_error};
use crate::settings::{Listen, ServerSettings, resolve_address};
use crate::state::{AppState, Opened, Phase};

/// Time for requests under way at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A flag.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The web configuration file.
    #[error("unable to validate web configuration file {} (set by --web.config.file): {source}", path.display())]
    WebConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WebConfigError,
    },
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An address that cannot be resolved, or a bad pattern.
    #[error("{option}: {reason}")]
    Setting {
        /// The flag.
        option: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The database.
    #[error("cannot open the database in {} (set by --storage.tsdb.path): {source}", dir.display())]
    Storage {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong.
        source: TsdbError,
    },
    /// A task of the server ended abnormally.
    #[error("internal error: {0}")]
    Internal(String),
}

/// A server that holds its ports and has a good configuration, ready to run.
pub struct Server {
    state: Arc<AppState>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    gate: Option<Gate>,
    reloads: mpsc::Receiver<ReloadReply>,
    parts: Parts,
}

impl Server {
    /// Reads and checks the configuration, then binds all listeners. Nothing is left behind on an error.
    ///
    /// # Errors
    /// [`ServerError`], made to be shown to the user as it is.
    pub async fn bind(mut settings: ServerSettings) -> Result<Self, ServerError> {
        let cors = Re2::anchored(&settings.web.cors_origin).map_err(|e| ServerError::Setting {
            option: "--web.cors.origin".to_owned(),
            reason: e.to_string(),
        })?;
        let source = settings.config.clone();
        let features = settings.features.clone();
        let (loaded_text, config) =
            blocking(move || (alerting::texts(&source), source.load())).await?;
        let config = config?;
        config.check_runnable(&settings.config.name())?;
        if settings.agent.is_some() {
            config.check_agent_mode()?;
        }
        let config =
            blocking(move || alerting::check_rule_files(&config, &features).map(|()| config))
                .await??;
        let gate = match settings.web.config_file.clone() {
            Some(path) => Some(open_gate(path).await?),
            None => None,
        };
        let listen = std::mem::take(&mut settings.listen);
        let listeners = bind_all(listen, &settings.listen_option).await?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .filter_map(|l| l.local_addr().ok())
            .collect();
        let (state, reloads, mut parts) = prepare(
            settings,
            config,
            cors,
            gate.as_ref().is_some_and(Gate::is_tls),
        );
        parts.loaded_text = loaded_text;
        parts.external_url = alerting::external_url(&state, &addresses);
        Ok(Self {
            state,
            listeners,
            addresses,
            gate,
            reloads,
            parts,
        })
    }

    /// The bound addresses, in the order of the settings.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Follows the server's phase: [`Phase::Ready`] once everything answers. Use `wait_for`.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.state.phase.subscribe()
    }

    /// Asks the running server to load its configuration again.
    #[must_use]
    pub fn reload_handle(&self) -> ReloadHandle {
        self.state.reload.clone()
    }

    /// The server's own metrics; a supervisor may add its own to the page.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.state.registry
    }

    /// Runs until `shutdown` is cancelled or `/-/quit` is called, then drains and closes.
    ///
    /// # Errors
    /// [`ServerError::Storage`] when the database cannot be opened; a failed start ends like a shutdown.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ServerError> {
        let Self {
            state,
            listeners,
            addresses,
            gate,
            mut reloads,
            parts,
        } = self;
        // HTTP outlives the main part: requests are drained after scraping has stopped.
        let http_stop = CancellationToken::new();
        let mut http = JoinSet::new();
        let options = ServeOptions {
            // Also the longest time between two requests of a connection.
            header_timeout: state.web.read_timeout,
            drain_timeout: DRAIN_TIMEOUT,
            max_connections: state.web.max_connections,
            web: gate,
            counters: Some(ConnectionCounters::new(&state.registry, "http")),
            ..ServeOptions::default()
        };
        let app = router(Arc::clone(&state));
        for listener in listeners {
            http.spawn(serve(
                listener,
                app.clone(),
                options.clone(),
                http_stop.clone(),
            ));
        }
        tracing::info!(
            ?addresses,
            tls = state.is_tls,
            "metrics server is listening"
        );
        let result = run_core(&state, &parts, &mut reloads, &shutdown).await;
        state.notifications.add(notifications::STOPPING);
        state.phase.send_replace(Phase::Stopping);
        parts.ready_gauge.set(0.0);
        if let Some(opened) = state.opened.get() {
            opened.intake().scrape.shutdown().await;
        }
        if let Some(core) = state.core() {
            core.rules.shutdown().await;
        }
        http_stop.cancel();
        while http.join_next().await.is_some() {}
        let closed = match state.opened.get().cloned() {
            Some(opened) => {
                // The last samples are in the log by now.
                opened.intake().remote_write.shutdown().await;
                let close = move || match &opened {
                    Opened::Server(core) => core.db.close(),
                    Opened::Agent(core) => core.db.close(),
                };
                blocking(close)
                    .await?
                    .map_err(|source| storage_error(&parts, source))
            }
            None => Ok(()),
        };
        state.spans.shutdown().await;
        tracing::info!("metrics server has stopped");
        result.and(closed)
    }
}

async fn open_gate(path: PathBuf) -> Result<Gate, ServerError> {
    let file = path.clone();
    let opened = blocking(move || Gate::open(&file)).await?;
    opened.map_err(|source| ServerError::WebConfig { path, source })
}

async fn bind_all(listen: Vec<Listen>, option: &str) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::with_capacity(listen.len());
    for place in listen {
        listeners.push(match place {
            Listen::Bound(listener) => listener,
            Listen::Address(text) => {
                let address =
                    blocking(move || resolve_address(&text))
                        .await?
                        .map_err(|reason| ServerError::Setting {
                            option: option.to_owned(),
                            reason,
                        })?;
                bellwether_net::bind(address, "metrics server", option).await?
            }
        });
    }
    if listeners.is_empty() {
        return Err(ServerError::Setting {
            option: option.to_owned(),
            reason: "give at least one address".to_owned(),
        });
    }
    Ok(listeners)
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServerError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ServerError::Internal(error.to_string()))
}
