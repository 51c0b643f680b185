//! Redirects: how far, with which method, and what goes along.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use support::{
    Authority, Server, body, client, error, fetch, redirect, server_tls, text, yaml_text,
};

use crate::support;

#[tokio::test]
async fn credentials_do_not_go_to_another_host_and_come_not_back() {
    let first = Server::start(None, |seen| match seen.uri.path() {
        "/" => redirect(302, "/same"),
        "/same" => redirect(302, seen.header("x-to")),
        _ => text(200, "back"),
    })
    .await;
    // Another name for this machine is another host.
    let back = format!("http://localhost:{}/end", first.address.port());
    let other = Server::start(None, move |_| redirect(302, &back)).await;
    let yaml = format!(
        "bearer_token: abc\nhttp_headers: {{X-To: {{values: ['http://{}/']}}, Cookie: {{values: [c]}}}}",
        other.address
    );
    assert_eq!(body(&client(&yaml), &first.url("http", "/")).await, "back");
    let seen = first.seen();
    let tokens: Vec<_> = seen.iter().map(|s| s.header("authorization")).collect();
    assert_eq!(tokens, ["Bearer abc", "Bearer abc", ""]);
    let stranger = other.last();
    assert_eq!(stranger.header("authorization"), "");
    assert_eq!(stranger.header("cookie"), "");
    assert_eq!(stranger.header("referer"), first.url("http", "/same"));
}

#[tokio::test]
async fn methods_and_bodies_change_as_in_go() {
    let server = Server::start(None, |seen| {
        let status = seen.uri.path()[1..].parse();
        status.map_or_else(|_| text(200, ""), |status| redirect(status, "/end"))
    })
    .await;
    for (status, method, content) in [
        (301, Method::GET, ""),
        (302, Method::GET, ""),
        (303, Method::GET, ""),
        (307, Method::POST, "content"),
        (308, Method::POST, "content"),
    ] {
        let request = Request::post(server.url("http", &format!("/{status}")))
            .header("content-type", "text/plain")
            .body(Bytes::from("content"))
            .unwrap();
        client("{}").send(request).await.unwrap();
        let seen = server.last();
        assert_eq!((&seen.method, seen.body.as_str()), (&method, content));
        let media = seen.header("content-type");
        assert_eq!(media.is_empty(), content.is_empty(), "{status}");
    }
}

#[tokio::test]
async fn they_end_after_ten() {
    let server = Server::start(None, |_| redirect(302, "/again")).await;
    let text = error(&client("{}"), &server.url("http", "/")).await;
    let again = server.url("http", "/again");
    assert_eq!(text, format!("Get \"{again}\": stopped after 10 redirects"));
    assert_eq!(server.seen().len(), 11);
}

#[tokio::test]
async fn they_are_answers_where_they_are_not_followed() {
    let server = Server::start(None, |_| redirect(302, "/again")).await;
    let client = client("follow_redirects: false");
    let (status, _) = fetch(&client, &server.url("http", "/")).await.unwrap();
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn from_plain_text_to_tls() {
    let authority = Authority::new();
    let tls = server_tls(&authority.issue(&["localhost"]), None);
    let secure = Server::start(Some(tls), |_| text(200, "secure")).await;
    let to = secure.url("https", "/");
    let plain = Server::start(None, move |_| redirect(301, &to)).await;
    let yaml = format!("tls_config: {{ca: {}}}", yaml_text(&authority.cert));
    assert_eq!(
        body(&client(&yaml), &plain.url("http", "/")).await,
        "secure"
    );
}
