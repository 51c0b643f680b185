//! Proxies: HTTP forwarding, tunnels, SOCKS, and who is asked directly.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use support::{Authority, Server, body, client, error, server_tls, text, yaml_text};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support;

/// A proxy that passes bytes on and notes what it was asked for.
struct Passing {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Passing {
    /// Takes `CONNECT` and answers with `status`; everything ends at `to`, whatever the client named.
    async fn http(status: &'static str, to: SocketAddr) -> Self {
        Self::start(to, move |mut client, asked| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.ok()?);
            }
            asked.lock().push(String::from_utf8(head).unwrap());
            let answer = format!("HTTP/1.1 {status}\r\n\r\n");
            client.write_all(answer.as_bytes()).await.ok()?;
            status.starts_with("200").then_some(client)
        })
        .await
    }

    /// SOCKS 5 with a user name and a password.
    async fn socks(to: SocketAddr) -> Self {
        Self::start(to, |mut client, asked| async move {
            let mut methods = vec![0; 2];
            client.read_exact(&mut methods).await.ok()?;
            let mut offered = vec![0; methods[1].into()];
            client.read_exact(&mut offered).await.ok()?;
            assert!(offered.contains(&2), "no password offered: {offered:?}");
            client.write_all(&[5, 2]).await.ok()?;
            client.read_u8().await.ok()?;
            let user = counted(&mut client).await?;
            let password = counted(&mut client).await?;
            client.write_all(&[1, 0]).await.ok()?;
            let mut head = [0; 4];
            client.read_exact(&mut head).await.ok()?;
            let host = match head[3] {
                3 => counted(&mut client).await?,
                kind => format!("address of kind {kind}"),
            };
            let port = client.read_u16().await.ok()?;
            asked
                .lock()
                .push(format!("{user}:{password}@{host}:{port}"));
            client
                .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                .await
                .ok()?;
            Some(client)
        })
        .await
    }

    async fn start<F>(
        to: SocketAddr,
        greet: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<TcpStream>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let greet = Arc::new(greet);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (greet, notes) = (Arc::clone(&greet), Arc::clone(&notes));
                connections.spawn(async move {
                    if let Some(mut client) = greet(client, notes).await {
                        let mut server = TcpStream::connect(to).await.unwrap();
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

/// A text with its length in front.
async fn counted(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![0; stream.read_u8().await.ok()?.into()];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

async fn secure(authority: &Authority) -> Server {
    let tls = server_tls(&authority.issue(&["metrics.example"]), None);
    Server::start(Some(tls), |_| text(200, "secure")).await
}

#[tokio::test]
async fn plain_http_is_forwarded_with_the_whole_url() {
    let proxy = Server::plain("forwarded").await;
    let yaml = format!("proxy_url: 'http://me:pw@{}'", proxy.address);
    let url = "http://metrics.example:8080/x?y=z";
    assert_eq!(body(&client(&yaml), url).await, "forwarded");
    let seen = proxy.last();
    assert_eq!(seen.uri, url);
    assert_eq!(seen.header("host"), "metrics.example:8080");
    assert_eq!(seen.header("proxy-authorization"), "Basic bWU6cHc=");
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let authority = Authority::new();
    let server = secure(&authority).await;
    let proxy = Passing::http("200 Connection established", server.address).await;
    let yaml = format!(
        "proxy_url: 'http://me:pw@{}'\nproxy_connect_header: {{X-Team: [sre]}}\ntls_config: {{ca: {}}}",
        proxy.address,
        yaml_text(&authority.cert)
    );
    let client = client(&yaml);
    for _ in 0..2 {
        assert_eq!(body(&client, "https://metrics.example/").await, "secure");
    }
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "the tunnel is kept");
    let head = asked[0].to_lowercase();
    assert!(head.starts_with("connect metrics.example:443 http/1.1\r\n"));
    for line in [
        "host: metrics.example:443\r\n",
        "x-team: sre\r\n",
        "proxy-authorization: basic bwu6chc=\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert_eq!(server.last().header("proxy-authorization"), "");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    let proxy = Passing::http(
        "407 Proxy Authentication Required",
        ([127, 0, 0, 1], 1).into(),
    );
    let proxy = proxy.await;
    let yaml = format!("proxy_url: 'http://{}'", proxy.address);
    let text = error(&client(&yaml), "https://metrics.example/").await;
    assert_eq!(
        text,
        format!(
            "Get \"https://metrics.example/\": proxyconnect http://{}/: 407 Proxy Authentication Required",
            proxy.address
        )
    );
}

#[tokio::test]
async fn the_proxy_itself_may_speak_tls() {
    let authority = Authority::new();
    let tls = server_tls(&authority.issue(&["localhost"]), None);
    let proxy = Server::start(Some(tls), |_| text(200, "forwarded")).await;
    let yaml = format!(
        "proxy_url: '{}'\ntls_config: {{ca: {}}}",
        proxy.url("https", ""),
        yaml_text(&authority.cert)
    );
    let url = "http://metrics.example/";
    assert_eq!(body(&client(&yaml), url).await, "forwarded");
    assert_eq!(proxy.last().uri, url);
}

#[tokio::test]
async fn socks_resolves_names_at_the_proxy() {
    let authority = Authority::new();
    let server = secure(&authority).await;
    let proxy = Passing::socks(server.address).await;
    let yaml = format!(
        "proxy_url: 'socks5://me:pw@{}'\ntls_config: {{ca: {}}}",
        proxy.address,
        yaml_text(&authority.cert)
    );
    assert_eq!(
        body(&client(&yaml), "https://metrics.example/").await,
        "secure"
    );
    assert_eq!(proxy.asked(), ["me:pw@metrics.example:443"]);
    let plain = Server::plain("plain").await;
    let proxy = Passing::socks(plain.address).await;
    let yaml = format!("proxy_url: 'socks5://me:pw@{}'", proxy.address);
    assert_eq!(body(&client(&yaml), "http://a.example:81/x").await, "plain");
    assert_eq!(plain.last().uri, "/x", "not a proxy's request");
    assert_eq!(proxy.asked(), ["me:pw@a.example:81"]);
}

#[tokio::test]
async fn exceptions_are_asked_directly() {
    let server = Server::plain("direct").await;
    let proxy = Server::plain("forwarded").await;
    let with = |no_proxy: &str| {
        let url = format!("proxy_url: 'http://{}'", proxy.address);
        client(&format!("{url}\nno_proxy: '{no_proxy}'"))
    };
    let url = format!("http://{}/", server.address);
    assert_eq!(body(&with(""), &url).await, "forwarded");
    assert_eq!(body(&with("127.0.0.0/8"), &url).await, "direct");
    assert_eq!(body(&with("example.com"), &url).await, "direct");
    let elsewhere = "http://metrics.example/";
    assert_eq!(body(&with("example.com"), elsewhere).await, "forwarded");
}
