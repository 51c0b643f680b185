//! Behaviour of the two routers, driven through tower without a socket, and the proxy against a real upstream.
#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bellwether_http::{ClientSettings, HttpClientConfig};
use bellwether_net::ServeOptions;
use bellwether_net::web::Gate;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, COOKIE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::assets::{self, Encoding, FILES, negotiate};
use crate::{DashboardConfig, DashboardError, UiConfig, UiPlane, assets_router, router};

fn config(prometheus_url: &str) -> DashboardConfig {
    let planes = vec![UiPlane {
        id: "dp-prod-01".into(),
        name: "prod".into(),
        environment: "prod".into(),
        ..UiPlane::default()
    }];
    DashboardConfig {
        prometheus_url: prometheus_url.into(),
        client: ClientSettings::default(),
        ui_config: UiConfig {
            planes,
            ..UiConfig::default()
        },
    }
}

fn dashboard() -> Router {
    router(config("http://127.0.0.1:9")).unwrap()
}

async fn ask(
    router: Router,
    path: &str,
    headers: &[(http::HeaderName, &str)],
) -> (Response<()>, Vec<u8>) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    (
        Response::from_parts(parts, ()),
        body.collect().await.unwrap().to_bytes().to_vec(),
    )
}

fn script() -> Option<&'static assets::Asset> {
    let found = FILES
        .iter()
        .find(|f| f.path.starts_with("assets/") && f.path.ends_with(".js") && f.brotli.is_some());
    if found.is_none() {
        eprintln!(
            "SKIPPED: the web files are not built into this crate (no Node, or BELLWETHER_SKIP_DASHBOARD)"
        );
    }
    found
}

#[test]
fn negotiation_follows_weights() {
    let cases = [
        (None, Encoding::Identity),
        (Some(""), Encoding::Identity),
        (Some("gzip, deflate, br, zstd"), Encoding::Brotli),
        (Some("gzip"), Encoding::Gzip),
        (Some("br;q=0.5, gzip;q=0.8"), Encoding::Gzip),
        (Some("br;q=0, gzip;q=0"), Encoding::Identity),
        (Some("*"), Encoding::Brotli),
        (Some("*;q=0.1, br;q=0"), Encoding::Gzip),
        (Some("identity"), Encoding::Identity),
        (Some("GZIP;q=1.0"), Encoding::Gzip),
    ];
    for (accept, wanted) in cases {
        assert_eq!(negotiate(accept, true, true), wanted, "{accept:?}");
    }
    assert_eq!(negotiate(Some("br, gzip"), true, false), Encoding::Gzip);
    assert_eq!(
        negotiate(Some("br, gzip"), false, false),
        Encoding::Identity
    );
}

#[tokio::test]
async fn hashed_files_are_compressed_and_immutable() {
    let Some(file) = script() else { return };
    let path = format!("/{}", file.path);
    let (plain, plain_body) = ask(dashboard(), &path, &[]).await;
    assert_eq!(plain.status(), StatusCode::OK);
    assert_eq!(
        plain.headers()[CACHE_CONTROL],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(
        plain.headers()[CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    assert!(plain.headers().get(CONTENT_ENCODING).is_none());

    let (gzip, gzip_body) = ask(dashboard(), &path, &[(ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(gzip.headers()[VARY], "accept-encoding");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(&gzip_body[..]),
        &mut unpacked,
    )
    .unwrap();
    assert_eq!(unpacked, plain_body);
    assert!(gzip_body.len() < plain_body.len());

    let (brotli, brotli_body) = ask(dashboard(), &path, &[(ACCEPT_ENCODING, "gzip, br")]).await;
    assert_eq!(brotli.headers()[CONTENT_ENCODING], "br");
    assert!(brotli_body.len() < plain_body.len());
    assert_ne!(brotli.headers()[ETAG], gzip.headers()[ETAG]);
}

#[tokio::test]
async fn a_known_etag_is_answered_with_304() {
    let Some(file) = script() else { return };
    let path = format!("/{}", file.path);
    let (first, _) = ask(dashboard(), &path, &[(ACCEPT_ENCODING, "br")]).await;
    let etag = first.headers()[ETAG].to_str().unwrap().to_owned();
    for sent in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let (again, body) = ask(
            dashboard(),
            &path,
            &[(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, &sent)],
        )
        .await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{sent}");
        assert!(body.is_empty());
        assert_eq!(again.headers()[ETAG], etag.as_str());
    }
    // The tag of one encoding is not the tag of another.
    let (other, _) = ask(
        dashboard(),
        &path,
        &[(ACCEPT_ENCODING, "gzip"), (IF_NONE_MATCH, &etag)],
    )
    .await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn pages_answer_with_the_application() {
    for path in [
        "/",
        "/metrics",
        "/red",
        "/planes",
        "/planes/dp-prod-01",
        "/targets",
        "/storage?tab=server",
        "/graph?g0.expr=up",
        "/query",
        "/explore",
    ] {
        let (response, body) = ask(dashboard(), path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        let html = String::from_utf8(body).unwrap();
        assert!(
            !html.contains("__BELLWETHER_"),
            "every placeholder of {path} is filled in"
        );
    }
}

#[tokio::test]
async fn every_page_has_its_own_nonce() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let (response, body) = ask(dashboard(), "/", &[]).await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(!policy.contains("unsafe"), "{policy}");
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(nonce.len(), 32);
        assert!(String::from_utf8(body).unwrap().contains(&nonce));
        assert!(seen.insert(nonce));
    }
}

#[tokio::test]
async fn the_other_servers_paths_stay_free() {
    for path in ["/metrics", "/health", "/api/v1/query", "/-/ready"] {
        let (response, _) = ask(assets_router(UiConfig::default()), path, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let own = Router::new()
        .route("/metrics", get(|| async { "own" }))
        .route("/api/v1/query", get(|| async { "own" }));
    let (response, body) = ask(
        own.merge(assets_router(UiConfig::default())),
        "/metrics",
        &[],
    )
    .await;
    assert_eq!(
        (response.status(), body.as_slice()),
        (StatusCode::OK, b"own".as_slice())
    );
    let (response, _) = ask(assets_router(UiConfig::default()), "/targets", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_pages_on_another_port_get_the_same_configuration() {
    let config = UiConfig {
        planes: vec![UiPlane {
            id: "dp-prod-01".to_owned(),
            ..UiPlane::default()
        }],
        ..UiConfig::default()
    };
    let (response, body) = ask(assets_router(config.clone()), "/ui/v1/config", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(serde_json::from_slice::<UiConfig>(&body).unwrap(), config);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let (response, _) = ask(dashboard(), "/assets/none-1234.js", &[]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let (response, body) = ask(dashboard(), "/nowhere", &[]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(String::from_utf8(body).unwrap().contains("/nowhere"));
    let (response, _) = ask(dashboard(), "/nowhere", &[(ACCEPT, "text/html,*/*")]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
}

#[tokio::test]
async fn health_and_configuration_answer_json() {
    let (response, body) = ask(dashboard(), "/health", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["status"],
        "ok"
    );
    let (_, body) = ask(dashboard(), "/ui/v1/config", &[]).await;
    let told: UiConfig = serde_json::from_slice(&body).unwrap();
    assert_eq!(told, config("").ui_config);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["thresholds"]["error_percent"]["warning"], 5.0);
    assert_eq!(json["planes"][0]["id"], "dp-prod-01");
}

#[test]
fn a_partial_configuration_takes_the_defaults() {
    let told: UiConfig = serde_json::from_str(r#"{"scrape_interval_seconds":15}"#).unwrap();
    assert!((told.scrape_interval_seconds - 15.0).abs() < 1e-9);
    assert!((told.thresholds.p95_seconds.critical - 2.0).abs() < 1e-9);
    assert!(serde_json::from_str::<UiConfig>(r#"{"scrape_intervall":15}"#).is_err());
}

/// An upstream that says what reached it.
async fn upstream() -> (String, CancellationToken) {
    let routes = Router::new()
        .route("/prom/api/v1/query", get(echo).post(echo))
        .route(
            "/prom/api/v1/admin/tsdb/snapshot",
            post(|| async { "must not be reached" }),
        )
        .route("/prom/-/ready", get(|| async { "ready" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prom", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move {
        axum::serve(listener, routes)
            .with_graceful_shutdown(stopped)
            .await
    });
    (url, stop)
}

async fn echo(
    method: Method,
    uri: http::Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, [(http::HeaderName, &'static str); 2], String) {
    let cookie = headers.contains_key(COOKIE);
    let text = format!(
        "{method} {} body={body} cookie={cookie}",
        uri.path_and_query().unwrap()
    );
    let hop = (http::header::CONNECTION, "x-secret");
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        [hop, (http::HeaderName::from_static("x-secret"), "1")],
        text,
    )
}

#[tokio::test]
async fn the_proxy_passes_reading_calls() {
    let (url, stop) = upstream().await;
    let proxy = router(config(&url)).unwrap();
    let (response, body) = ask(
        proxy.clone(),
        "/api/v1/query?query=up%7Ba%3D%22b%22%7D",
        &[(COOKIE, "a=b")],
    )
    .await;
    assert_eq!(
        response.status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "the status is passed on"
    );
    assert!(
        !response.headers().contains_key("x-secret"),
        "headers named by Connection stay behind"
    );
    let text = String::from_utf8(body).unwrap();
    assert_eq!(
        text,
        "GET /prom/api/v1/query?query=up%7Ba%3D%22b%22%7D body= cookie=false"
    );

    let post = Request::post("/api/v1/query")
        .body(Body::from("query=up"))
        .unwrap();
    let answer = proxy
        .clone()
        .oneshot(post)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(answer, "POST /prom/api/v1/query body=query=up cookie=false");

    let (response, body) = ask(proxy, "/-/ready", &[]).await;
    assert_eq!(
        (response.status(), body.as_slice()),
        (StatusCode::OK, b"ready".as_slice())
    );
    stop.cancel();
}

/// A server behind TLS and a password, and the directory with its certificate.
async fn guarded() -> (String, tempfile::TempDir, CancellationToken) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.path().join("server.pem"), cert.pem()).unwrap();
    std::fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
    let hash = bcrypt::hash("pw", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{me: '{hash}'}}\n"
    );
    let file = dir.path().join("web.yml");
    std::fs::write(&file, web).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let options = ServeOptions {
        web: Some(Gate::open(&file).unwrap()),
        ..ServeOptions::default()
    };
    let routes = Router::new().route("/api/v1/query", get(echo).post(echo));
    tokio::spawn(bellwether_net::serve(
        listener,
        routes,
        options,
        stop.clone(),
    ));
    (url, dir, stop)
}

#[tokio::test]
async fn the_proxy_speaks_tls_and_knows_the_password() {
    let (url, dir, stop) = guarded().await;
    let keys = "{tls_config: {ca_file: server.pem}, basic_auth: {username: me, password: pw}}";
    let client: HttpClientConfig = bellwether_yaml::from_str("client.yml", keys).unwrap();
    let proxy = router(DashboardConfig {
        client: client.resolve(dir.path()).unwrap(),
        ..config(&url)
    });
    let (response, body) = ask(proxy.unwrap(), "/api/v1/query?query=up", &[]).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.starts_with("GET /api/v1/query?query=up"), "{text}");

    // Without the authority the server is not believed.
    let (response, body) = ask(router(config(&url)).unwrap(), "/api/v1/query", &[]).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(text.contains("certificate"), "{text}");
    stop.cancel();
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/query")
        .body(Body::from(vec![b'a'; 3 << 20]))
        .unwrap();
    let answer = dashboard().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_proxy_refuses_writing_calls() {
    let (url, stop) = upstream().await;
    let proxy = router(config(&url)).unwrap();
    let calls = [
        (Method::POST, "/api/v1/admin/tsdb/snapshot"),
        (Method::POST, "/api/v1/write"),
        (Method::PUT, "/api/v1/query"),
        (Method::DELETE, "/api/v1/query"),
    ];
    for (method, path) in calls {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let response = proxy.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{method} {path}");
    }
    stop.cancel();
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_prometheus_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (response, body) = ask(router(config(&url)).unwrap(), "/api/v1/query?query=up", &[]).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["status"], "error");
    assert_eq!(json["errorType"], "unavailable");
    assert!(
        json["error"]
            .as_str()
            .unwrap()
            .contains("cannot be reached"),
        "{json}"
    );
}

#[test]
fn an_unusable_upstream_address_is_explained() {
    for url in ["", "localhost:9090", "ftp://localhost:9090", "http://"] {
        let error = router(config(url)).unwrap_err();
        assert!(matches!(error, DashboardError::PrometheusUrl { .. }));
        assert!(
            error.to_string().contains("http://127.0.0.1:9090"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn run_stops_when_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(crate::run(
        config("http://127.0.0.1:9"),
        listener,
        stop.clone(),
    ));
    stop.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), task).await;
    assert!(ended.unwrap().unwrap().is_ok());
}
