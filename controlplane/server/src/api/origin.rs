//! Who asks, for the query log.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use http::request::Parts;

use crate::query_log::Origin;

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // The path with the prefix that routers have taken off.
        let uri = parts.extensions.get::<OriginalUri>();
        let uri = uri.map_or(&parts.uri, |original| &original.0);
        Ok(Self {
            client_ip: peer.map(|p| p.0.ip().to_string()).unwrap_or_default(),
            method: parts.method.to_string(),
            path: uri.path().to_owned(),
            rule_group: None,
        })
    }
}
