//! Host and port.

use std::net::IpAddr;

/// Takes `host:port` apart as Go's `net.SplitHostPort`; `None` where it refuses.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let host = rest.strip_suffix(']')?;
            return (!host.contains(['[', ']']) && !port.contains([']', '[']))
                .then_some((host, port));
        }
        None => host,
    };
    (!host.contains([':', '[', ']']) && !port.contains([']', '['])).then_some((host, port))
}

/// The host of `host:port`; anything else as it is.
pub(super) fn strip_port(text: &str) -> String {
    split(text).map_or(text, |(host, _)| host).to_owned()
}

/// The host's first name, with the port if there is one; an IP address as it is.
pub(super) fn strip_domain(text: &str) -> String {
    let (host, port) = split(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    if port.is_empty() {
        name.to_owned()
    } else if name.contains(':') {
        format!("[{name}]:{port}")
    } else {
        format!("{name}:{port}")
    }
}
