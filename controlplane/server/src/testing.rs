//! Test support: the whole router over a small database, called in memory.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bellwether_model::Labels;
use bellwether_model::re2::Re2;
use bellwether_model::storage::Appendable;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::config::ConfigSource;
use crate::opening;
use crate::runtime::prepare;
use crate::settings::{Listen, ServerSettings};
use crate::state::{AppState, Phase};

/// A router and what it stands on. The directory goes when this is dropped.
pub(crate) struct TestServer {
    pub(crate) state: Arc<AppState>,
    pub(crate) router: Router,
    _dir: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub(crate) fn settings(config: &str, dir: &Path) -> ServerSettings {
    let source = ConfigSource::Text {
        name: "test.yml".to_owned(),
        text: Arc::from(config),
        base_dir: dir.to_owned(),
    };
    ServerSettings::embedded(
        source,
        dir.join("data"),
        Listen::Address("127.0.0.1:0".to_owned()),
    )
}

/// A ready server with `change` applied to its settings.
pub(crate) async fn start_with(
    config: &str,
    change: impl FnOnce(&mut ServerSettings),
) -> TestServer {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(config, dir.path());
    change(&mut settings);
    let config = settings.config.load().unwrap();
    let cors = Re2::anchored(&settings.web.cors_origin).unwrap();
    let (state, _reloads, parts) = prepare(settings, config, cors, false);
    opening::open(&state, &parts).await.unwrap();
    state.phase.send_replace(Phase::Ready);
    TestServer {
        router: crate::http::router(Arc::clone(&state)),
        state,
        _dir: dir,
    }
}

/// The seeded server that most tests use: `up` of two instances and a counter, ten samples each, 15 s apart from 0.
pub(crate) async fn start() -> TestServer {
    start_with_features(&[crate::flags::Feature::ExemplarStorage]).await
}

/// The same with these features.
pub(crate) async fn start_with_features(features: &[crate::flags::Feature]) -> TestServer {
    let server = start_with("global: {external_labels: {cluster: c1}}", |settings| {
        settings.features = crate::flags::Features::of(features);
    })
    .await;
    let db = &server.state.core().unwrap().db;
    let mut appender = db.appender();
    let series = [
        (
            &[("__name__", "up"), ("instance", "a:1"), ("job", "api")][..],
            1.0,
            0.0,
        ),
        (
            &[("__name__", "up"), ("instance", "b:1"), ("job", "db")],
            0.0,
            0.0,
        ),
        (
            &[
                ("__name__", "http_requests_total"),
                ("instance", "a:1"),
                ("job", "api"),
                ("path", "/\"q\""),
            ],
            0.0,
            10.0,
        ),
        (&[("__name__", "dotted.name"), ("label.é", "x y")], 2.5, 0.0),
    ];
    for (labels, first, slope) in series {
        let reference = appender
            .series(&Labels::from_pairs(labels.iter().copied()))
            .unwrap();
        for i in 0..10 {
            appender
                .append(reference, i * 15_000, first + slope * i as f64)
                .unwrap();
        }
    }
    appender.commit().unwrap();
    server
}

impl TestServer {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.method("GET", path).await
    }

    pub(crate) async fn method(&self, method: &str, path: &str) -> Answer {
        self.send(
            Request::builder()
                .method(method)
                .uri(path)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn form(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await
    }
}
