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
        client.wait_for_data(stack).await;
        screen.line(&format!(
            "first data queryable after {:.1} s; dashboard: {dashboard}",
            started.elapsed().as_secs_f64()
        ));
    }
    screen.line("Ctrl-C stops the stack in order");
    loop {
        let status = client.status(started).await;
        if screen.is_terminal() {
            screen.status(format!("{status} · {dashboard}"));
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

    /// Waits until every target is up and every plane with traffic has a request rate.
    async fn wait_for_data(&self, stack: &Stack) {
        let wanted: BTreeSet<&str> = stack
            .planes
            .iter()
            .filter(|p| p.rate > 0.0)
            .map(|p| p.environment.as_str())
            .collect();
        loop {
            let up = self.query("up").await;
            let all_up = !up.is_empty() && up.iter().all(|s| s.value.1 == "1");
            if all_up {
                let rates = self.query(REQUEST_RATE).await;
                let seen: BTreeSet<&str> = rates
                    .iter()
                    .filter_map(|s| s.metric.get("environment"))
                    .map(String::as_str)
                    .collect();
                if wanted.is_subset(&seen) {
                    return;
                }
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
