//! Listening addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Turns `host:port` into an address to listen on.
///
/// An empty host means all interfaces, `localhost` means 127.0.0.1 (as Go's listener chooses), an
/// IPv6 address stands in brackets.
///
/// # Errors
/// A message that quotes the endpoint.
pub(crate) fn listen_address(endpoint: &str) -> Result<SocketAddr, String> {
    let bad = |why: &str| format!("invalid endpoint {endpoint:?}: {why}");
    let (host, port) = endpoint
        .rsplit_once(':')
        .ok_or_else(|| bad("it must be host:port, for example localhost:4317"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| bad("the port must be a number from 0 to 65535"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other.parse().map_err(|_| {
            bad("the host must be an IP address, localhost, or nothing for all interfaces")
        })?,
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, expected) in [
            ("localhost:4317", "127.0.0.1:4317"),
            (":8888", "0.0.0.0:8888"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:2", "[::1]:2"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), expected);
        }
        for bad in [
            "4317",
            "localhost",
            "a.example:1",
            "localhost:x",
            "localhost:70000",
        ] {
            assert!(listen_address(bad).unwrap_err().contains(bad), "{bad}");
        }
    }
}
