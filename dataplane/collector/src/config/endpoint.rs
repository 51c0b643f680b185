//! Listening addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Longest host name and longest part of one, in bytes (RFC 1123, section 2.1).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A `host:port` to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenEndpoint {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// Resolved when the port is bound: in a container the own name is a usual choice.
    Name(String),
}

impl ListenEndpoint {
    /// Reads `host:port`. An empty host means all interfaces, `localhost` means 127.0.0.1 (as Go's
    /// listener chooses), an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// A message that quotes the endpoint.
    pub(crate) fn parse(endpoint: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("invalid endpoint {endpoint:?}: {why}");
        let (host, port) = endpoint
            .rsplit_once(':')
            .ok_or_else(|| bad("it must be host:port, for example localhost:4317"))?;
        let port = port
            .parse()
            .map_err(|_| bad("the port must be a number from 0 to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = match host {
            "" => Host::Address(Ipv4Addr::UNSPECIFIED.into()),
            "localhost" => Host::Address(Ipv4Addr::LOCALHOST.into()),
            other => match other.parse() {
                Ok(address) => Host::Address(address),
                Err(_) if is_host_name(other) => Host::Name(other.to_owned()),
                Err(_) => {
                    return Err(bad(
                        "the host must be an IP address, a host name, or nothing for all interfaces",
                    ));
                }
            },
        };
        Ok(Self { host, port })
    }

    /// The address to bind. Of several, IPv4 is preferred, as Go's listener does.
    ///
    /// # Errors
    /// The host name is not known.
    pub(crate) async fn resolve(&self) -> Result<SocketAddr, String> {
        let name = match &self.host {
            Host::Address(address) => return Ok(SocketAddr::new(*address, self.port)),
            Host::Name(name) => name,
        };
        let unknown = |why: String| {
            format!(
                "the host name {name:?} cannot be resolved ({why}); use an address of this machine, such as 0.0.0.0:{}",
                self.port
            )
        };
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), self.port))
            .await
            .map_err(|e| unknown(e.to_string()))?
            .collect();
        found
            .iter()
            .find(|address| address.is_ipv4())
            .or(found.first())
            .copied()
            .ok_or_else(|| unknown("no address".to_owned()))
    }
}

/// Letters, digits, `-` and `_` in parts between dots. Not digits alone: that is a wrong address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= NAME_BYTES_MAX
        && text.split('.').all(is_label)
        && !text.rsplit('.').next().is_some_and(is_number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endpoints() {
        for (text, expected) in [
            ("localhost:4317", "127.0.0.1:4317"),
            (":8888", "0.0.0.0:8888"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:2", "[::1]:2"),
        ] {
            let endpoint = ListenEndpoint::parse(text).unwrap();
            assert_eq!(endpoint.resolve().await.unwrap().to_string(), expected);
        }
        for bad in [
            "4317",
            "localhost",
            "localhost:x",
            "localhost:70000",
            "a..b:1",
            "-a:1",
            "256.0.0.1:1",
            "a b:1",
            "http://a:1",
        ] {
            assert!(
                ListenEndpoint::parse(bad).unwrap_err().contains(bad),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn host_names_are_resolved_when_bound() {
        let collector = ListenEndpoint::parse("otel-collector_1.example:4317").unwrap();
        let name = Host::Name("otel-collector_1.example".to_owned());
        assert_eq!(collector.host, name);
        // RFC 6761: never exists.
        let unknown = ListenEndpoint::parse("collector.invalid:4317").unwrap();
        let error = unknown.resolve().await.unwrap_err();
        assert!(
            error.contains("collector.invalid") && error.contains("0.0.0.0:4317"),
            "{error}"
        );
        // Every machine has this name, in whatever family.
        let known = ListenEndpoint {
            host: Host::Name("localhost".to_owned()),
            port: 5,
        };
        let address = known.resolve().await.unwrap();
        assert!(address.ip().is_loopback() && address.port() == 5);
    }
}
