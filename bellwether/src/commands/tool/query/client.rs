//! Requests to a Prometheus HTTP API.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use url::{Url, form_urlencoded};

use crate::commands::tool::output;
use crate::http_client;

/// As promtool waits.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(in crate::commands::tool) struct Client {
    base: Url,
    headers: HeaderMap,
    http: bellwether_http::Client,
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
    /// `http_config` is a file with the keys of an HTTP client.
    pub(in crate::commands::tool) fn new(
        url: &str,
        headers: &[String],
        http_config: Option<&Path>,
    ) -> anyhow::Result<Self> {
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
        let has_user = !base.username().is_empty() || base.password().is_some();
        if has_user && http_config.is_some() {
            bail!(
                "cannot set a user in the server's URL and use --http.config.file at the same time"
            );
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
        Ok(Self {
            base,
            headers: map,
            http: bellwether_http::Client::new(&http_client::settings(http_config)?, "tool")?,
        })
    }

    /// The data of an answer; `None` after telling about an error.
    pub(in crate::commands::tool) async fn post(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<Option<Json>> {
        let body = form(parameters);
        self.send(Method::POST, &self.url(path)?, Bytes::from(body))
            .await
    }

    /// As [`Client::post`], for what the API only knows by GET.
    pub(super) async fn get(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<Option<Json>> {
        let mut url = self.url(path)?;
        url.set_query(Some(&form(parameters)));
        self.send(Method::GET, &url, Bytes::new()).await
    }

    /// A page of the server, whatever its status.
    pub(in crate::commands::tool) async fn page(
        &self,
        path: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        let url = self.base.join(path)?;
        let mut request = Request::get(url.as_str()).body(Bytes::new())?;
        request.headers_mut().clone_from(&self.headers);
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Bytes>) -> anyhow::Result<(StatusCode, String)> {
        let answer = self.http.send(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.base.join(&format!("api/v1/{path}"))?)
    }

    async fn send(&self, method: Method, url: &Url, body: Bytes) -> anyhow::Result<Option<Json>> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
            if !body.is_empty() {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
            }
        }
        let request = request.body(body).context("query error")?;
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        let (status, body) = exchange
            .context("no answer in two minutes")
            .and_then(|done| done)
            .context("query error")?;
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

fn form(parameters: &[(&str, String)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters).finish()
}
