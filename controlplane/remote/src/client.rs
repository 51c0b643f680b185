//! The way out: requests through the HTTP client that the configuration describes.

use std::fmt::Write as _;
use std::sync::Arc;

use bellwether_http::{Client, ClientSettings};
use bellwether_telemetry::Registry;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;

/// Sends a request; the error is in words.
pub(crate) type Post = Arc<
    dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Incoming>, String>> + Send + Sync,
>;

/// A client by its settings. `name` is what Prometheus calls its use in the metrics of connections.
///
/// # Errors
/// In words: certificates that cannot be read, for example.
pub(crate) fn post(
    settings: &ClientSettings,
    name: &str,
    registry: &Registry,
) -> Result<Post, String> {
    let client = Client::observed(settings, name, registry).map_err(|error| chain(&error))?;
    let client = Arc::new(client);
    Ok(Arc::new(move |request| {
        let client = Arc::clone(&client);
        async move { client.send(request).await.map_err(|error| chain(&error)) }.boxed()
    }))
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {own}");
        }
        cause = error.source();
    }
    text
}
