//! What Go's `url.Parse` says about a text, as far as configurations are checked with it.

/// The parts that are checked.
#[derive(Debug, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// In lower case.
    pub scheme: String,
    /// Host and port, without user information.
    pub host: &'a str,
}

/// Splits a URL.
///
/// # Errors
/// Go's text, which holds the URL.
pub fn split(text: &str) -> Result<UrlParts<'_>, String> {
    check(text).map_err(|(text, what)| format!("parse {text:?}: {what}"))
}

/// What is wrong with a URL, without the URL, which may hold a password.
///
/// # Errors
/// The second half of Go's text.
pub fn reason(text: &str) -> Result<UrlParts<'_>, String> {
    check(text).map_err(|(_, what)| what)
}

/// The parts, or the text that is said to be wrong and why.
fn check(text: &str) -> Result<UrlParts<'_>, (&str, String)> {
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let parts = before_fragment(before).map_err(|what| (before, what))?;
    escapes(fragment, Part::Other).map_err(|what| (text, what))?;
    Ok(parts)
}

fn before_fragment(text: &str) -> Result<UrlParts<'_>, String> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (scheme, rest) = scheme(text)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            // Opaque, as in `mailto:x`.
            return Ok(UrlParts { scheme, host: "" });
        }
        let first = rest.split('/').next().unwrap_or("");
        if first.contains(':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let after = rest.strip_prefix("//");
    let Some(after) = after.filter(|a| !scheme.is_empty() || !a.starts_with('/')) else {
        escapes(rest, Part::Other)?;
        return Ok(UrlParts { scheme, host: "" });
    };
    let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            check_host(host)?;
            check_user(user)?;
            host
        }
        None => {
            check_host(authority)?;
            authority
        }
    };
    escapes(path, Part::Other)?;
    Ok(UrlParts { scheme, host })
}

fn scheme(text: &str) -> Result<(String, &str), String> {
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((text[..i].to_ascii_lowercase(), &text[i + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn check_user(user: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    if !user.bytes().all(fits) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    escapes(user, Part::Other)
}

fn check_host(host: &str) -> Result<(), String> {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((name, port)) = rest.rsplit_once(']') else {
            return Err("missing ']' in host".to_owned());
        };
        check_port(port)?;
        return match name.split_once("%25") {
            Some((name, zone)) => {
                escapes(name, Part::Host)?;
                escapes(zone, Part::Zone)
            }
            None => escapes(name, Part::Host),
        };
    }
    check_port(host.rfind(':').map_or("", |at| &host[at..]))?;
    escapes(host, Part::Host)
}

/// Nothing, or a colon with digits behind it.
fn check_port(port: &str) -> Result<(), String> {
    let digits = port.strip_prefix(':');
    if port.is_empty() || digits.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit())) {
        Ok(())
    } else {
        Err(format!("invalid port {port:?} after host"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    Other,
}

/// Checks percent-encodings, and the characters of hosts.
fn escapes(text: &str, part: Part) -> Result<(), String> {
    let bytes = text.as_bytes();
    for (i, &byte) in bytes.iter().enumerate() {
        if byte == b'%' {
            let hex = bytes.get(i + 1..i + 3);
            let hex = hex.filter(|h| h.iter().all(u8::is_ascii_hexdigit));
            // Hosts encode only what is no ASCII.
            let fits = hex.is_some_and(|h| part != Part::Host || h[0] > b'7' || h == b"25");
            if !fits {
                let end = bytes.len().min(i + 3);
                let shown = String::from_utf8_lossy(&bytes[i..end]);
                return Err(format!("invalid URL escape {shown:?}"));
            }
        } else if part != Part::Other && b" \\^`{|}#/?@".contains(&byte) {
            let shown = char::from(byte).to_string();
            return Err(format!("invalid character {shown:?} in host name"));
        }
    }
    Ok(())
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
            ("http://u:p%20w@a<b>:1/%20?%zz", "http", "a<b>:1"),
            ("http://[::1%25eth0]:80/", "http", "[::1%25eth0]:80"),
            ("///a:b", "", ""),
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
            ("http://a b/c", "invalid character \" \" in host name"),
            ("http://u:p w@h", "net/url: invalid userinfo"),
            ("http://[::1", "missing ']' in host"),
            ("http://%zz", "invalid URL escape \"%zz\""),
            ("http://%41", "invalid URL escape \"%41\""),
            ("/%4", "invalid URL escape \"%4\""),
            ("a#%zz", "invalid URL escape \"%zz\""),
            ("//a:b", "invalid port \":b\" after host"),
            ("a%41://b", "first path segment in URL cannot contain colon"),
        ] {
            assert_eq!(split(text), Err(format!("parse {text:?}: {error}")));
        }
    }
}
