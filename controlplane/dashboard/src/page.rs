//! `index.html`: every page of the single-page application answers with it, filled in per request.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::assets;

/// The pages of the application that every port serves. `/metrics` is apart: on the metrics server's port that path
/// is the server's own exposition.
const PAGES: &[&str] = &[
    "/",
    "/red",
    "/compare",
    "/planes",
    "/planes/{id}",
    "/alerts",
    "/rules",
    "/explore",
    "/graph",
    "/query",
    "/targets",
    "/storage",
    // Prometheus' own addresses; the pages lead on from there.
    "/service-discovery",
    "/config",
    "/flags",
    "/status",
    "/tsdb-status",
    "/alertmanager-discovery",
];

/// Under which path the page with the request charts answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsPath {
    /// `/metrics`, on the dashboard's own port.
    Metrics,
    /// `/red`, where `/metrics` is taken.
    Red,
}

impl MetricsPath {
    fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "/metrics",
            Self::Red => "/red",
        }
    }
}

/// Pages and files, to be served below `base` (ends with a slash).
pub(crate) fn pages(base: &'static str, metrics: MetricsPath) -> Router {
    let index = move || async move { index(StatusCode::OK, base, metrics) };
    let mut router = Router::new();
    for page in PAGES {
        router = router.route(page, get(index));
    }
    if metrics == MetricsPath::Metrics {
        router = router.route("/metrics", get(index));
    }
    router
        .route("/assets/{*path}", get(assets::hashed))
        .route(
            "/favicon.svg",
            get(|headers: HeaderMap| async move { assets::named("favicon.svg", &headers) }),
        )
        .route(
            "/licenses",
            get(|headers: HeaderMap| async move { licenses(&headers) }),
        )
}

/// The notices of the third-party packages in the web files.
fn licenses(headers: &HeaderMap) -> Response {
    let mut response = assets::named("licenses.md", headers);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// `index.html` with a fresh nonce and the policy that names it.
pub(crate) fn index(status: StatusCode, base: &str, metrics: MetricsPath) -> Response {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let html = assets::INDEX
        .replace("__BELLWETHER_NONCE__", &nonce)
        .replace("__BELLWETHER_BASE__", base)
        .replace("__BELLWETHER_METRICS_PATH__", metrics.as_str());
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; font-src 'self'; \
         img-src 'self' data: blob:; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    );
    let policy = HeaderValue::try_from(policy)
        .expect("hexadecimal digits and fixed text are a header value");
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, headers, html).into_response()
}
