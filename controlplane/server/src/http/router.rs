//! All routes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};
use http::HeaderValue;
use http::header::ALLOW;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use super::{cors, debug, lifecycle, method_not_allowed, not_found, observe, spans};
use crate::api;
use crate::state::AppState;

type Routes = MethodRouter<Arc<AppState>>;

const GET: &str = "GET, OPTIONS";
const GET_HEAD: &str = "GET, HEAD, OPTIONS";

/// A page with the methods that Prometheus' has: OPTIONS names them, others are refused.
fn page(routes: Routes, allowed: &'static str) -> Routes {
    let routes = if allowed == GET_HEAD {
        routes
    } else {
        routes.head(move || method_not_allowed(allowed))
    };
    routes
        .options(move || async move { [(ALLOW, HeaderValue::from_static(allowed))] })
        .fallback(move || method_not_allowed(allowed))
}

/// What is worth compressing: not streams of events, nor remote read's frames, which are dense.
fn compressible() -> impl Predicate {
    DefaultPredicate::new().and(NotForContentType::new("application/x-streamed-protobuf"))
}

/// The whole server as one router: API, federation, lifecycle, own metrics, pages. Pure, so that tests call it
/// in memory.
///
/// The pages are mounted only without a route prefix: they load their files from the root.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let prefix = state.web.route_prefix.clone();
    let ui_config = state.web.ui_config.clone();
    let api = Router::new()
        .nest("/api/v1", api::routes().fallback(not_found))
        .layer(from_fn_with_state(Arc::clone(&state), cors::apply));
    let own = Router::new()
        .route("/federate", page(get(api::federate), GET))
        .route("/-/healthy", page(get(lifecycle::healthy), GET_HEAD))
        .route("/-/ready", page(get(lifecycle::ready), GET_HEAD))
        .route("/-/reload", any(lifecycle::reload))
        .route("/-/quit", any(lifecycle::quit))
        .route("/metrics", page(get(lifecycle::metrics), GET))
        .route("/version", page(get(lifecycle::version), GET))
        .route(
            "/debug/pprof",
            page(get(debug::to_index).post(debug::to_index), GET),
        )
        .route(
            "/debug/pprof/",
            page(get(debug::index).post(debug::index), GET),
        )
        .route(
            "/debug/pprof/{name}",
            page(get(debug::profile).post(debug::profile), GET),
        );
    let mut routes = api.merge(own).with_state(Arc::clone(&state));
    if prefix == "/" {
        routes = routes.merge(bellwether_dashboard::assets_router(ui_config));
    } else {
        routes = Router::new().nest(&prefix, routes);
    }
    routes
        .fallback(not_found)
        .layer(CompressionLayer::new().compress_when(compressible()))
        .layer(from_fn_with_state(Arc::clone(&state), observe::count))
        .layer(from_fn_with_state(state, spans::of_request))
}
