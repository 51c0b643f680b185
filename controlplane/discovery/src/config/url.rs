//! What Go's `url.Parse` says about a text, as far as configurations are checked with it.

use std::fmt::Write as _;

/// The parts that are checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UrlParts<'a> {
    /// In lower case.
    pub(crate) scheme: String,
    /// Host and port, without user information.
    pub(crate) host: &'a str,
}

/// Splits a URL. The error is Go's text.
pub(crate) fn split(text: &str) -> Result<UrlParts<'_>, String> {
    let fail = |what: &str| Err(format!("parse {text:?}: {what}"));
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return fail("net/url: invalid control character in URL");
    }
    let without_fragment = text.split_once('#').map_or(text, |(before, _)| before);
    let (scheme, rest) = match scheme(without_fragment) {
        Ok(parts) => parts,
        Err(what) => return fail(what),
    };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            // Opaque, as in `mailto:x`.
            return Ok(UrlParts { scheme, host: "" });
        }
        let first = rest.split('/').next().unwrap_or("");
        if first.contains(':') {
            return fail("first path segment in URL cannot contain colon");
        }
    }
    let Some(after) = rest.strip_prefix("//") else {
        return Ok(UrlParts { scheme, host: "" });
    };
    let authority = after.split('/').next().unwrap_or("");
    let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    if let Err(what) = check_host(host) {
        return fail(&what);
    }
    Ok(UrlParts { scheme, host })
}

fn scheme(text: &str) -> Result<(String, &str), &'static str> {
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme"),
            b':' => return Ok((text[..i].to_ascii_lowercase(), &text[i + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn check_host(host: &str) -> Result<(), String> {
    let after = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, after)) => after,
            None => return Err("missing ']' in host".to_owned()),
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let port = after.strip_prefix(':');
    let good = after.is_empty() || port.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if !good {
        return Err(format!("invalid port {after:?} after host"));
    }
    match host.bytes().find(|b| b" \"<>\\^`{|}".contains(b)) {
        Some(byte) => Err(format!(
            "invalid character {:?} in host name",
            char::from(byte).to_string()
        )),
        None => Ok(()),
    }
}

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
    fn splitting() {
        for (text, scheme, host) in [
            ("http://a:1/b", "http", "a:1"),
            ("HTTP://u:p@a/b", "http", "a"),
            ("unix:///var/run/docker.sock", "unix", ""),
            ("kubernetes:443", "kubernetes", ""),
            ("invalid", "", ""),
            ("https://[::1]:80?x", "https", "[::1]:80"),
            ("", "", ""),
        ] {
            let want = UrlParts {
                scheme: scheme.to_owned(),
                host,
            };
            assert_eq!(split(text), Ok(want), "{text}");
        }
        for (text, error) in [
            ("://invalid", "missing protocol scheme"),
            ("1a:80/x", "first path segment in URL cannot contain colon"),
            ("http://a:b", "invalid port \":b\" after host"),
            ("a\nb", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(split(text), Err(format!("parse {text:?}: {error}")));
        }
    }

    #[test]
    fn escaping() {
        let mut out = String::new();
        push_query(&mut out, "a b&ü/");
        assert_eq!(out, "a+b%26%C3%BC%2F");
        assert_eq!(path_segment("a b/c"), "a%20b%2Fc");
    }
}
