//! The proxy keys.

use std::collections::BTreeMap;
use std::fmt;

use bellwether_yaml::{Embedded, Secret};
use serde::de::MapAccess;
use serde::{Deserialize, Serialize, Serializer};

use super::{is_default, is_false, or_default};

/// The proxy keys, of a client and of its `oauth2` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProxyConfig {
    /// URL of the proxy: `http`, `https`, `socks5` or `socks5h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<ProxyUrl>,
    /// Hosts that are asked directly: names, `.suffixes`, addresses, networks, each with a port if wanted; `*` for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// Take the proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_from_environment: bool,
    /// Headers for proxies that are asked to connect through.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

impl Embedded for ProxyConfig {
    const KEYS: &'static [&'static str] = &[
        "proxy_url",
        "no_proxy",
        "proxy_from_environment",
        "proxy_connect_header",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "proxy_url" => self.proxy_url = map.next_value()?,
            "no_proxy" => self.no_proxy = or_default(map)?,
            "proxy_from_environment" => self.proxy_from_environment = or_default(map)?,
            _ => self.proxy_connect_header = or_default(map)?,
        }
        Ok(())
    }
}

/// A URL whose password is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProxyUrl(pub String);

impl ProxyUrl {
    /// The URL for people: its password is `xxxxx`, as in Go.
    #[must_use]
    pub fn redacted(&self) -> String {
        let start = self.0.find("://").map_or(0, |at| at + 3);
        let (scheme, rest) = self.0.split_at(start);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let user = rest[..end].rfind('@').map_or("", |at| &rest[..at]);
        match user.split_once(':') {
            Some((name, _)) => format!("{scheme}{name}:xxxxx{}", &rest[user.len()..]),
            None => self.0.clone(),
        }
    }
}

impl ProxyUrl {
    /// For messages about a URL that cannot be parsed: it may hold a password somewhere.
    pub(super) fn without_user(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((_, host)) => host.to_owned(),
            None => self.0.clone(),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_replaced_and_nothing_else() {
        for (url, shown) in [
            ("http://u:p@h:1/x?y@z", "http://u:xxxxx@h:1/x?y@z"),
            ("http://u:p@q@h", "http://u:xxxxx@h"),
            ("u:p@h:3128", "u:xxxxx@h:3128"),
            ("http://u@h", "http://u@h"),
            ("http://h:1/a:b@c", "http://h:1/a:b@c"),
        ] {
            assert_eq!(ProxyUrl(url.to_owned()).redacted(), shown);
        }
    }
}
