//! Requests to a Prometheus HTTP API.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value as Json;

use crate::commands::tool::output;

/// As promtool waits.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(in crate::commands::tool) struct Client {
    base: Url,
    http: reqwest::Client,
}

/// A text inside a path.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

impl Client {
    pub(in crate::commands::tool) fn new(url: &str, headers: &[String]) -> anyhow::Result<Self> {
        let with_scheme = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let mut base = Url::parse(&with_scheme).with_context(|| format!("bad URL {url:?}"))?;
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let mut map = HeaderMap::new();
        for header in headers {
            let Some((name, value)) = header.split_once('=') else {
                bail!("bad header {header:?}: NAME=VALUE expected");
            };
            map.append(
                HeaderName::try_from(name).with_context(|| format!("bad header {header:?}"))?,
                HeaderValue::try_from(value).with_context(|| format!("bad header {header:?}"))?,
            );
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .default_headers(map)
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("build the HTTP client")?;
        Ok(Self { base, http })
    }

    /// The data of an answer; `None` after telling about an error.
    pub(in crate::commands::tool) async fn post(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<Option<Json>> {
        let url = self.url(path)?;
        let request = self.http.request(Method::POST, url).form(parameters);
        self.send(request).await
    }

    /// As [`Client::post`], for what the API only knows by GET.
    pub(super) async fn get(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<Option<Json>> {
        let url = self.url(path)?;
        let request = self.http.request(Method::GET, url).query(parameters);
        self.send(request).await
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.base.join(&format!("api/v1/{path}"))?)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Option<Json>> {
        let response = request.send().await.context("query error")?;
        let status = response.status();
        let body = response.text().await.context("query error")?;
        let Ok(mut json) = serde_json::from_str::<Json>(&body) else {
            let kind = if status.is_server_error() {
                "server_error"
            } else {
                "client_error"
            };
            output::tell(&format!(
                "query error: {kind}: {kind}: {} (detail: {})",
                status.as_u16(),
                body.trim()
            ));
            return Ok(None);
        };
        if json["status"] == "error" {
            output::tell(&format!(
                "query error: {}: {}",
                json["errorType"].as_str().unwrap_or("unknown"),
                json["error"].as_str().unwrap_or_default()
            ));
            return Ok(None);
        }
        for (key, word) in [("warnings", "warning"), ("infos", "info")] {
            for text in json[key].as_array().into_iter().flatten() {
                output::tell(&format!(
                    "query {word}: {}",
                    text.as_str().unwrap_or_default()
                ));
            }
        }
        Ok(Some(json["data"].take()))
    }
}
