//! Watching the running stack from outside, as a user would: over its HTTP ports only.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bellwether_http::ClientSettings;
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use url::form_urlencoded;

use super::screen::{Component, Screen};
use crate::stack::Stack;
use crate::stack::access::ServerAccess;

/// How long a part may take until the table says that it is not ready.
const READY_DEADLINE: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(20);
/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const DATA_POLL: Duration = Duration::from_millis(250);
/// How long data may take until the screen says what is missing and goes on.
const DATA_DEADLINE: Duration = Duration::from_secs(30);
/// Between two updates of the live line.
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// Between two plain lines where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(60);
const REQUEST_RATE: &str =
    "sum by (environment) (rate(http_server_request_duration_seconds_count[1m]))";

/// Prints the table, says when data can be queried, then keeps the status up to date for ever.
pub(super) async fn follow(
    stack: &Stack,
    components: &[Component],
    client: &Client,
    started: Instant,
    no_load: bool,
    screen: &Screen,
) -> Infallible {
    screen.status("starting".to_owned());
    let ready = join_all(
        components
            .iter()
            .map(|c| client.wait_ready(&c.ready_url, started)),
    )
    .await;
    let rows: Vec<_> = components.iter().cloned().zip(ready).collect();
    screen.table(&rows);
    for (component, ready) in &rows {
        if let Err(reason) = ready {
            screen.line(&format!("{} is not ready: {reason}", component.name));
        }
    }
    let dashboard = stack.url(stack.dashboard_port);
    if no_load {
        screen.line(&format!("no traffic (--no-load); dashboard: {dashboard}"));
    } else {
        screen.status("waiting for the first data".to_owned());
        let missing = client.wait_for_data(stack).await;
        let seconds = started.elapsed().as_secs_f64();
        screen.line(&match missing {
            None => format!("first data queryable after {seconds:.1} s; dashboard: {dashboard}"),
            Some(missing) => {
                format!("after {seconds:.0} s still {missing}; dashboard: {dashboard}")
            }
        });
    }
    screen.line("Ctrl-C stops the stack in order");
    loop {
        let status = client.status(started).await;
        if screen.is_terminal() {
            // A narrow terminal cuts the end, which must not be half an address.
            screen.status(format!("{dashboard} · {status}"));
            tokio::time::sleep(STATUS_EVERY).await;
        } else {
            screen.line(&status);
            tokio::time::sleep(PLAIN_EVERY).await;
        }
    }
}

/// The stack as seen through HTTP.
pub(super) struct Client {
    /// For the metrics server, which may want TLS and credentials.
    to_server: bellwether_http::Client,
    to_others: bellwether_http::Client,
    server: String,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<VectorSample>,
}

#[derive(Deserialize)]
struct VectorSample {
    metric: std::collections::BTreeMap<String, String>,
    value: (f64, String),
}

impl Client {
    pub(super) fn new(access: &ServerAccess) -> anyhow::Result<Self> {
        // The stack is on this machine: whatever proxy the environment names does not count.
        let plain = ClientSettings::default();
        Ok(Self {
            to_server: bellwether_http::Client::new(&access.client, "up")?,
            to_others: bellwether_http::Client::new(&plain, "up")?,
            server: access.url.clone(),
        })
    }

    /// The body of a successful answer.
    async fn ask(&self, request: Request<Bytes>) -> anyhow::Result<Bytes> {
        let to = request.uri().authority();
        let is_server = to.is_some_and(|to| self.server.ends_with(&format!("//{to}")));
        let client = if is_server {
            &self.to_server
        } else {
            &self.to_others
        };
        let answer = async {
            let answer = client.send(request).await?;
            let status = answer.status();
            if !status.is_success() {
                bail!("it answered {status}");
            }
            Ok(answer.into_body().collect().await?.to_bytes())
        };
        tokio::time::timeout(ANSWER_DEADLINE, answer)
            .await
            .context("no answer")?
    }

    /// Time from the start until the URL answered with success; after the deadline, why it did not.
    async fn wait_ready(&self, url: &str, started: Instant) -> Result<Duration, String> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let request = Request::get(url).body(Bytes::new());
            let answer = match request {
                Ok(request) => self.ask(request).await,
                Err(e) => Err(e.into()),
            };
            match answer {
                Ok(_) => return Ok(started.elapsed()),
                Err(e) if Instant::now() >= deadline => return Err(format!("{e:#}")),
                Err(_) => tokio::time::sleep(READY_POLL).await,
            }
        }
    }

    /// Waits until every target is up and every plane with traffic has a request rate, or until the deadline;
    /// then says what is missing.
    async fn wait_for_data(&self, stack: &Stack) -> Option<String> {
        let deadline = Instant::now() + DATA_DEADLINE;
        let wanted: BTreeSet<&str> = stack
            .planes
            .iter()
            .filter(|p| p.rate > 0.0)
            .map(|p| p.environment.as_str())
            .collect();
        loop {
            let up = self.query("up").await;
            let rates = self.query(REQUEST_RATE).await;
            let missing = missing(&up, &rates, &wanted);
            if missing.is_none() || Instant::now() >= deadline {
                return missing;
            }
            tokio::time::sleep(DATA_POLL).await;
        }
    }

    async fn status(&self, started: Instant) -> String {
        let up = self.query("up").await;
        let up_count = up.iter().filter(|s| s.value.1 == "1").count();
        let rate = self
            .scalar(&format!("sum({REQUEST_RATE})"))
            .await
            .unwrap_or(0.0);
        let series = self
            .scalar("sum(prometheus_tsdb_head_series)")
            .await
            .unwrap_or(0.0);
        let seconds = started.elapsed().as_secs();
        format!(
            "up {:02}:{:02}:{:02} · {up_count}/{} targets up · {rate:.1} req/s · {series:.0} series",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            up.len(),
        )
    }

    async fn scalar(&self, query: &str) -> Option<f64> {
        self.query(query).await.first()?.value.1.parse().ok()
    }

    /// An instant query's vector; empty while the server does not answer.
    async fn query(&self, query: &str) -> Vec<VectorSample> {
        match self.try_query(query).await {
            Ok(result) => result,
            Err(error) => {
                tracing::debug!(%error, "the metrics server did not answer");
                Vec::new()
            }
        }
    }

    async fn try_query(&self, query: &str) -> anyhow::Result<Vec<VectorSample>> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .finish();
        let request = Request::post(format!("{}/api/v1/query", self.server))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into())?;
        let body = self.ask(request).await?;
        Ok(serde_json::from_slice::<Envelope>(&body)?.data.result)
    }
}

/// What is not there yet, in words; `None` when everything is.
fn missing(up: &[VectorSample], rates: &[VectorSample], wanted: &BTreeSet<&str>) -> Option<String> {
    if up.is_empty() {
        return Some("no target was scraped".to_owned());
    }
    let label = |s: &VectorSample, name: &str| s.metric.get(name).cloned().unwrap_or_default();
    let down: Vec<String> = up
        .iter()
        .filter(|s| s.value.1 != "1")
        .map(|s| format!("{} {}", label(s, "job"), label(s, "instance")))
        .collect();
    let seen: BTreeSet<String> = rates.iter().map(|s| label(s, "environment")).collect();
    let silent: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|e| !seen.contains(*e))
        .collect();
    let mut parts = Vec::new();
    if !down.is_empty() {
        parts.push(format!("down: {}", down.join(", ")));
    }
    if !silent.is_empty() {
        parts.push(format!("no requests from {}", silent.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[(&str, &str)], value: &str) -> VectorSample {
        VectorSample {
            metric: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            value: (0.0, value.to_owned()),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let wanted = BTreeSet::from(["dev", "prod"]);
        let up = |v| sample(&[("job", "data-planes"), ("instance", "127.0.0.1:8890")], v);
        let rate = |e| sample(&[("environment", e)], "1");
        assert_eq!(
            missing(&[], &[], &wanted).as_deref(),
            Some("no target was scraped")
        );
        assert_eq!(
            missing(&[up("0")], &[rate("prod")], &wanted).as_deref(),
            Some("down: data-planes 127.0.0.1:8890; no requests from dev")
        );
        assert_eq!(
            missing(&[up("1")], &[rate("prod"), rate("dev")], &wanted),
            None
        );
    }
}
