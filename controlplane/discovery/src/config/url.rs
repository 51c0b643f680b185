//! URLs in configurations and requests.

use std::fmt::Write as _;

pub(crate) use bellwether_http::url::split;

/// A base URL that must be `http` or `https` with a host, as `http_sd_configs` and `puppetdb_sd_configs` want it.
pub(crate) fn check_http(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("URL is missing".to_owned());
    }
    let parts = split(text)?;
    if parts.scheme != "http" && parts.scheme != "https" {
        return Err("URL scheme must be 'http' or 'https'".to_owned());
    }
    if parts.host.is_empty() {
        return Err("host is missing in URL".to_owned());
    }
    Ok(())
}

/// Percent-encodes a value for a query; a space is a plus, as in a form.
pub(crate) fn push_query(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// Percent-encodes one segment of a path.
pub(crate) fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+:=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping() {
        let mut out = String::new();
        push_query(&mut out, "a b&ü/");
        assert_eq!(out, "a+b%26%C3%BC%2F");
        assert_eq!(path_segment("a b/c"), "a%20b%2Fc");
    }
}
