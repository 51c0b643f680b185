//! Watching the running stack from outside, as a user would: over its HTTP ports only.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;

use super::screen::{Component, Screen};
use crate::stack::Stack;

/// How long a part may take until the table says that it is not ready.
const READY_DEADLINE: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(20);
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
    started: Instant,
    no_load: bool,
    screen: &Screen,
) -> Infallible {
    let client = Client::new(stack.url(stack.server_port));
    screen.status("starting".to_owned());
    let ready = join_all(
        components
            .iter()
            .map(|c| client.wait_ready(&c.ready_url, started)),
    )
    .await;
    let rows: Vec<_> = components.iter().cloned().zip(ready).collect();
    screen.table(&rows);
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
struct Client {
    http: reqwest::Client,
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
    fn new(server: String) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            // Before a server gives an idle connection up, which may happen just as it is used again.
            .pool_idle_timeout(Duration::from_secs(20))
            // The stack is on this machine, whatever proxy the environment names.
            .no_proxy()
            .build()
            .unwrap_or_default();
        Self { http, server }
    }

    /// Time from the start until the URL answered with success, `None` after the deadline.
    async fn wait_ready(&self, url: &str, started: Instant) -> Option<Duration> {
        let deadline = Instant::now() + READY_DEADLINE;
        while Instant::now() < deadline {
            if self
                .http
                .get(url)
                .send()
                .await
                .is_ok_and(|r| r.status().is_success())
            {
                return Some(started.elapsed());
            }
            tokio::time::sleep(READY_POLL).await;
        }
        None
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
        let request = self
            .http
            .post(format!("{}/api/v1/query", self.server))
            .form(&[("query", query)]);
        match request.send().await {
            Ok(response) => response
                .json::<Envelope>()
                .await
                .map(|e| e.data.result)
                .unwrap_or_default(),
            Err(error) => {
                tracing::debug!(%error, "the metrics server did not answer");
                Vec::new()
            }
        }
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
