//! Which requests go through which proxy: the rules of Go's `httpproxy`, which Prometheus follows.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellwether_yaml::Secret;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use url::Url;

use crate::settings::ProxySettings;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// HTTP over TCP, or over TLS.
    Http { tls: bool },
    /// SOCKS 5; names are resolved by the proxy.
    Socks5,
}

/// One proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) kind: ProxyKind,
    /// Where it is: scheme, host and port.
    pub(crate) uri: Uri,
    /// User name and password.
    pub(crate) user: Option<(String, Secret)>,
}

impl Proxy {
    fn new(url: &Url) -> Option<Self> {
        let (kind, port) = match url.scheme() {
            "http" => (ProxyKind::Http { tls: false }, 80),
            "https" => (ProxyKind::Http { tls: true }, 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            _ => return None,
        };
        let host = url.host_str()?;
        let port = url.port().unwrap_or(port);
        let scheme = if kind == (ProxyKind::Http { tls: true }) {
            "https"
        } else {
            "http"
        };
        let uri = format!("{scheme}://{host}:{port}").parse().ok()?;
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        let user = has_user.then(|| {
            (
                decode(url.username()),
                Secret(decode(url.password().unwrap_or_default())),
            )
        });
        Some(Self { kind, uri, user })
    }

    /// `Proxy-Authorization`, where the URL has a user.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.user.as_ref()?;
        let token = STANDARD.encode(format!("{user}:{}", password.0));
        let mut value = HeaderValue::from_str(&format!("Basic {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Parses a proxy's URL; one without a scheme is that of an HTTP proxy.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let parsed = match Url::parse(text) {
        // `proxy:3128` looks like a scheme and a path.
        Ok(url) if url.has_host() => url,
        _ => Url::parse(&format!("http://{text}")).map_err(|e| e.to_string())?,
    };
    match parsed.scheme() {
        "http" | "https" | "socks5" | "socks5h" => Ok(parsed),
        scheme => Err(format!(
            "unknown scheme {scheme:?} of a proxy, use http, https, socks5 or socks5h"
        )),
    }
}

/// Proxies by the target's scheme, and the exceptions.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    /// `None`: even this machine is asked through the proxy.
    exceptions: Option<NoProxy>,
    pub(crate) connect_headers: HeaderMap,
}

impl Proxies {
    /// `env` reads a variable of the process' environment.
    pub(crate) fn new(settings: &ProxySettings, env: impl Fn(&str) -> Option<String>) -> Self {
        match settings {
            ProxySettings::Direct => Self::default(),
            ProxySettings::Url {
                url,
                no_proxy,
                connect_headers,
            } => {
                let url = parse_url(&url.0).ok();
                let proxy = url.and_then(|url| Proxy::new(&url)).map(Arc::new);
                Self {
                    http: proxy.clone(),
                    https: proxy,
                    exceptions: (!no_proxy.is_empty()).then(|| NoProxy::parse(no_proxy)),
                    connect_headers: header_map(connect_headers),
                }
            }
            ProxySettings::Environment { connect_headers } => {
                let either = |upper: &str| {
                    let set = |name: &str| env(name).filter(|value| !value.is_empty());
                    set(upper).or_else(|| set(&upper.to_ascii_lowercase()))
                };
                let proxy = |name: &str| {
                    let url = parse_url(&either(name)?).ok()?;
                    Proxy::new(&url).map(Arc::new)
                };
                Self {
                    // In a CGI program this variable is the request's `Proxy` header, which anybody can set.
                    http: proxy("HTTP_PROXY").filter(|_| env("REQUEST_METHOD").is_none()),
                    https: proxy("HTTPS_PROXY"),
                    exceptions: Some(NoProxy::parse(&either("NO_PROXY").unwrap_or_default())),
                    connect_headers: header_map(connect_headers),
                }
            }
        }
    }

    /// The proxy for a URL, if it is not asked directly.
    pub(crate) fn for_uri(&self, uri: &Uri) -> Option<&Arc<Proxy>> {
        let tls = uri.scheme_str() == Some("https");
        let proxy = if tls { &self.https } else { &self.http };
        let proxy = proxy.as_ref()?;
        match &self.exceptions {
            Some(exceptions) if exceptions.holds(uri, tls) => None,
            _ => Some(proxy),
        }
    }
}

fn header_map(headers: &[(HeaderName, Secret)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let Ok(mut value) = HeaderValue::from_str(&value.0) {
            value.set_sensitive(true);
            map.append(name.clone(), value);
        }
    }
    map
}

/// Hosts that are asked directly. This machine always is.
#[derive(Debug, Default, PartialEq)]
struct NoProxy {
    all: bool,
    networks: Vec<IpNet>,
    addresses: Vec<(IpAddr, Option<u16>)>,
    domains: Vec<Domain>,
}

#[derive(Debug, PartialEq)]
struct Domain {
    /// With a dot in front.
    suffix: String,
    port: Option<u16>,
    /// The name itself as well, not only names below it.
    itself: bool,
}

impl NoProxy {
    /// Entries are separated by commas; those that mean nothing are skipped, as in Go.
    fn parse(list: &str) -> Self {
        let mut parsed = Self::default();
        for entry in list.split(',') {
            parsed.add(&entry.trim().to_ascii_lowercase());
        }
        parsed
    }

    fn add(&mut self, entry: &str) {
        if entry == "*" {
            self.all = true;
            return;
        }
        if let Ok(network) = entry.parse() {
            self.networks.push(network);
            return;
        }
        let (host, port) = match split_port(entry) {
            Some((host, port)) => (host, Some(port)),
            None => (entry, None),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = host.parse() {
            self.addresses.push((address, port));
            return;
        }
        let host = host.strip_prefix('*').unwrap_or(host);
        if host.is_empty() {
            return;
        }
        let itself = !host.starts_with('.');
        let dot = if itself { "." } else { "" };
        self.domains.push(Domain {
            suffix: format!("{dot}{host}"),
            port,
            itself,
        });
    }

    fn holds(&self, uri: &Uri, tls: bool) -> bool {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let fits = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        if host == "localhost" || self.all {
            return true;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            let here = |(a, p): &(IpAddr, Option<u16>)| *a == address && fits(*p);
            return address.is_loopback()
                || self.networks.iter().any(|net| net.contains(&address))
                || self.addresses.iter().any(here);
        }
        let host = host.trim_end_matches('.');
        self.domains.iter().any(|domain| {
            let below = host.ends_with(&domain.suffix);
            let itself = domain.itself && host == &domain.suffix[1..];
            (below || itself) && fits(domain.port)
        })
    }
}

/// `host:port`, with brackets around an IPv6 address.
fn split_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !bracketed {
        return None;
    }
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::ProxyUrl;

    fn exceptions(list: &str, url: &str) -> bool {
        let uri: Uri = url.parse().unwrap();
        NoProxy::parse(list).holds(&uri, uri.scheme_str() == Some("https"))
    }

    /// The cases of Go's documentation of `NO_PROXY`.
    #[test]
    fn exceptions_match_as_in_go() {
        for (list, url, direct) in [
            ("", "http://example.com", false),
            ("", "http://localhost:80", true),
            ("", "http://127.1.2.3", true),
            ("", "http://[::1]:9090", true),
            ("*", "http://example.com", true),
            ("example.com", "http://example.com", true),
            ("example.com", "http://www.example.com:81", true),
            ("example.com", "http://notexample.com", false),
            (".example.com", "http://example.com", false),
            (".example.com", "http://www.example.com", true),
            ("*.example.com", "http://www.example.com", true),
            ("*.example.com", "http://example.com", false),
            ("example.com:81", "http://example.com", false),
            ("example.com:443", "https://example.com", true),
            (" a, EXAMPLE.com ", "http://Example.COM", true),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("192.0.2.1", "http://192.0.2.1:9100", true),
            ("192.0.2.1:9100", "http://192.0.2.1:9101", false),
            ("[2001:db8::1]:80", "http://[2001:db8::1]", true),
            ("2001:db8::/32", "http://[2001:db8::7]", true),
        ] {
            assert_eq!(exceptions(list, url), direct, "{list:?} {url}");
        }
    }

    fn environment(pairs: &'static [(&str, &str)]) -> Proxies {
        let settings = ProxySettings::Environment {
            connect_headers: Vec::new(),
        };
        Proxies::new(&settings, |name| {
            let found = pairs.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn the_environment_has_a_proxy_per_scheme() {
        let proxies = environment(&[
            ("http_proxy", "one:3128"),
            ("HTTPS_PROXY", "https://u:p%40ss@two"),
            ("NO_PROXY", "example.com"),
        ]);
        let at = |url: &str| {
            let proxy = proxies.for_uri(&url.parse().unwrap())?;
            Some((proxy.uri.to_string(), proxy.user.clone()))
        };
        assert_eq!(at("http://a").unwrap().0, "http://one:3128/");
        let (uri, user) = at("https://a").unwrap();
        assert_eq!(uri, "https://two:443/");
        assert_eq!(user.unwrap(), ("u".to_owned(), Secret("p@ss".to_owned())));
        assert!(at("http://www.example.com").is_none());
        assert!(at("http://127.0.0.1").is_none());
        let cgi = environment(&[("HTTP_PROXY", "one"), ("REQUEST_METHOD", "GET")]);
        assert!(cgi.for_uri(&"http://a".parse().unwrap()).is_none());
    }

    #[test]
    fn a_proxy_without_exceptions_is_asked_for_this_machine_too() {
        let settings = ProxySettings::Url {
            url: ProxyUrl("127.0.0.1:3128".to_owned()),
            no_proxy: String::new(),
            connect_headers: Vec::new(),
        };
        let proxies = Proxies::new(&settings, |_| None);
        assert!(
            proxies
                .for_uri(&"http://localhost".parse().unwrap())
                .is_some()
        );
        assert!(parse_url("ftp://x").is_err());
        assert!(parse_url("socks5://x:1").is_ok());
    }
}
