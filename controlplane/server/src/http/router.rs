//! All routes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, get, on};
use tower_http::compression::CompressionLayer;

use super::{cors, lifecycle, method_not_allowed, not_found, observe};
use crate::api;
use crate::state::AppState;

/// The whole server as one router: API, federation, lifecycle, own metrics, pages. Pure, so that tests call it
/// in memory.
///
/// The pages are mounted only without a route prefix: they load their files from the root.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let prefix = state.web.route_prefix.clone();
    let ui_config = state.web.ui_config.clone();
    let change = MethodFilter::POST.or(MethodFilter::PUT);
    let api = Router::new()
        .nest("/api/v1", api::routes().fallback(not_found))
        .route(
            "/federate",
            get(api::federate).fallback(|| method_not_allowed("GET, HEAD, OPTIONS")),
        )
        .layer(from_fn_with_state(Arc::clone(&state), cors::apply));
    let simple =
        |r| axum::routing::MethodRouter::fallback(r, || method_not_allowed("GET, HEAD, OPTIONS"));
    let own = Router::new()
        .route("/-/healthy", simple(get(lifecycle::healthy)))
        .route("/-/ready", simple(get(lifecycle::ready)))
        .route(
            "/-/reload",
            on(change, lifecycle::reload).fallback(lifecycle::wrong_method),
        )
        .route(
            "/-/quit",
            on(change, lifecycle::quit).fallback(lifecycle::wrong_method),
        )
        .route("/metrics", simple(get(lifecycle::metrics)))
        .route("/version", simple(get(lifecycle::version)));
    let mut routes = api.merge(own).with_state(Arc::clone(&state));
    if prefix == "/" {
        routes = routes.merge(bellwether_dashboard::assets_router(ui_config));
    } else {
        routes = Router::new().nest(&prefix, routes);
    }
    routes
        .fallback(not_found)
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(state, observe::count))
}
