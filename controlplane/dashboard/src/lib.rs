//! The dashboard: the built web files inside the binary, and the small server on port 3000 that serves them.
//!
//! The React + TypeScript sources live in this package beside the Rust ones; `build.rs` builds, compresses and
//! embeds them. A browser talks to one origin only:
//!
//! ```text
//! browser --> /, /metrics, /assets/...  embedded files          (assets, page)
//!         --> /ui/v1/config             names, planes, limits   (config)
//!         --> /api/v1/..., /-/ready     the Prometheus server   (proxy, over TLS and with credentials where it wants)
//!         --> /health                   this server itself      (serve)
//! ```
//!
//! The metrics server mounts [`assets_router`] on its own port, where `/api/v1` is native and no proxy is needed.
//!
//! Invariants: a hashed file never changes and is cached for ever; `index.html` is never cached and carries a
//! fresh nonce per answer; the proxy passes reading calls only and never buffers an
//! answer.

mod assets;
mod config;
mod page;
mod proxy;
mod serve;

pub use config::{Limits, Thresholds, UiConfig, UiPlane};
pub use serve::{DashboardConfig, DashboardError, router, run};

/// Whether this build holds the real dashboard. False: it was built without Node and embeds a page that says so.
pub const BUILT: bool = assets::BUILT;

/// The web files for another server's port: `/`, `/targets`, `/graph`, `/query`, `/explore`, `/planes` and the other
/// pages, and the files they load.
///
/// It brings no fallback and leaves out `/metrics`, `/api`, `/-` and `/health`, which belong to the server that
/// mounts it; the metrics page answers under `/red` there. `/ui/v1/config` answers with `ui_config`.
pub fn assets_router(ui_config: UiConfig) -> axum::Router {
    page::pages("/", page::MetricsPath::Red).merge(serve::ui_routes(ui_config))
}

#[cfg(test)]
mod tests;
