//! `/notifications` and, as a stream of server-sent events, `/notifications/live`. Both answer while the server
//! starts, too.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{StatusCode, header};

use super::json;
use crate::state::{Phase, Shared};

pub(crate) async fn list(State(state): Shared) -> Response {
    json::success_value(&state.notifications.active())
}

pub(crate) async fn live(State(state): Shared) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let Some(follower) = state.notifications.follow() else {
        return (StatusCode::NO_CONTENT, headers).into_response();
    };
    // A stream that ends only when the client leaves would hold the shutdown up.
    let phase = state.phase.subscribe();
    let events = stream::unfold(follower, move |mut follower| {
        let mut phase = phase.clone();
        async move {
            let next = tokio::select! {
                // What happened before the end is still told.
                biased;
                next = follower.next() => next,
                _ = phase.wait_for(|p| *p == Phase::Stopping) => None,
            }?;
            let json = serde_json::to_string(&next).ok()?;
            let event = Bytes::from(format!("data: {json}\n\n"));
            Some((Ok::<_, Infallible>(event), follower))
        }
    });
    (headers, Body::from_stream(events)).into_response()
}
