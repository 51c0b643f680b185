//! TLS and users of a server, by the web configuration file of Prometheus' exporter toolkit (`--web.config.file`).
//!
//! The file is looked at for each request and the certificates for each connection, as upstream does, so that a change
//! needs no reload; what did not change is not parsed again. Only whether TLS and HTTP/2 are spoken at all, and the
//! rate limit, are settled at the start.

mod clients;
mod config;
mod error;
mod gate;
mod limit;
mod tls;
mod users;

pub use error::WebConfigError;
pub(crate) use gate::guard;
pub use gate::{Gate, validate};
