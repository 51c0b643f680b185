//! The metrics of connections.

use std::time::{Duration, Instant};

use bellwether_http::{Client, ClientSettings};
use bellwether_telemetry::Registry;
use support::{Server, body, error};

use crate::support;

/// The lines about a client's connections, without what they have in common.
fn lines(registry: &Registry) -> Vec<String> {
    let page = registry.render_text();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.replace("net_conntrack_dialer_conn_", ""))
        .filter(|line| !line.ends_with(" 0"))
        .collect()
}

#[tokio::test]
async fn connections_are_counted_with_the_reasons_of_failures() {
    let registry = Registry::new();
    let client = Client::observed(&ClientSettings::default(), "job", &registry).unwrap();
    assert!(
        registry
            .render_text()
            .contains("reason=\"resolution\"} 0\n")
    );
    let server = Server::plain("").await;
    let url = format!("http://{}/", server.address);
    body(&client, &url).await;
    body(&client, &url).await;
    assert_eq!(
        lines(&registry),
        [
            "attempted_total{dialer_name=\"job\"} 1",
            "established_total{dialer_name=\"job\"} 1"
        ]
    );
    drop(server);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    error(&client, &nobody).await;
    error(&client, "http://no.such.host.invalid/").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let closed = "closed_total{dialer_name=\"job\"} 1".to_owned();
    while !lines(&registry).contains(&closed) {
        assert!(Instant::now() < deadline, "{:?}", lines(&registry));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        lines(&registry),
        [
            "attempted_total{dialer_name=\"job\"} 3",
            "closed_total{dialer_name=\"job\"} 1",
            "established_total{dialer_name=\"job\"} 1",
            "failed_total{dialer_name=\"job\",reason=\"refused\"} 1",
            "failed_total{dialer_name=\"job\",reason=\"resolution\"} 1"
        ]
    );
}
