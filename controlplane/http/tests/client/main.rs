//! Clients against real servers: TLS, credentials, proxies, redirects.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs
)]

mod auth;
mod config;
mod connections;
mod proxies;
mod redirects;
mod support;
mod tls;
