//! HTTP clients as Prometheus' configuration describes them: one for scraping, discovery, alerts, remote storage.
//!
//! Data flow: [`HttpClientConfig`] mirrors the keys of a section (`basic_auth`, `tls_config`, `proxy_url`, ...);
//! [`HttpClientConfig::resolve`] checks them and yields [`ClientSettings`]; a [`Client`] sends requests accordingly.
//! Time-outs are the caller's.
//!
//! | file | what it holds |
//! |---|---|
//! | `config/` | the keys, their checks, and the way to settings |
//! | `settings` | what a client runs with |
//! | `client` | sending: credentials, headers, hop after hop |
//! | `addresses` | the addresses of a host |
//! | `connect` | one connector: plain or TLS, direct or through a proxy |
//! | `dialing` | metrics of connections |
//! | `tls` | certificates, versions, and how servers are checked |
//! | `proxy` | which request goes through which proxy |
//! | `redirect` | where an answer leads, and what may go along |
//! | `oauth2`, `jwt` | tokens of a token server |
//! | `url` | what is a URL |
//! | `secret`, `error` | texts from files; what can go wrong |
//!
//! Invariants:
//! - secrets are read at each use and appear in no message and in no `Debug` output;
//! - credentials never follow a redirect to another host;
//! - certificates that change in their files are used by the next request;
//! - plain HTTP costs nothing of all this: no TLS configuration is made, no file looked at, no body boxed.

mod addresses;
mod client;
pub mod config;
mod connect;
mod dialing;
mod error;
mod jwt;
mod oauth2;
mod proxy;
mod redirect;
mod secret;
pub mod settings;
mod tls;
pub mod url;

pub use client::{Client, NewClientError, USER_AGENT_TEXT};
pub use config::{HttpClientConfig, HttpConfigError};
pub use connect::{Conn, Connector};
pub use error::{Cause, ClientError, SecretError, TlsError};
pub use oauth2::TokenError;
pub use settings::{ClientSettings, SecretSource};
