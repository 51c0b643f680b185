//! Redirects as Go's client follows them.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    WWW_AUTHENTICATE,
};
use http::{Method, Response, StatusCode, Uri};
use url::Url;

/// Most redirects that are followed, as Go's client.
pub(crate) const MAX_REDIRECTS: usize = 10;

/// Where an answer sends the client, and whether with the same method and body.
#[derive(Debug, PartialEq)]
pub(crate) struct Redirect {
    pub(crate) to: Uri,
    pub(crate) keeps_method: bool,
}

/// Reads an answer. `None`: it is the answer. A redirect without `Location` is an answer, too.
pub(crate) fn redirect<B>(from: &Uri, answer: &Response<B>) -> Result<Option<Redirect>, String> {
    let keeps_method = match answer.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Ok(None),
    };
    let Some(location) = answer.headers().get(LOCATION).filter(|l| !l.is_empty()) else {
        return Ok(None);
    };
    let bad = |reason: String| {
        let text = String::from_utf8_lossy(location.as_bytes());
        format!("failed to parse Location header {text:?}: {reason}")
    };
    let text = location.to_str().map_err(|e| bad(e.to_string()))?;
    let base = Url::parse(&from.to_string()).map_err(|e| bad(e.to_string()))?;
    let mut to = base.join(text).map_err(|e| bad(e.to_string()))?;
    to.set_fragment(None);
    let to = to.as_str().parse::<Uri>().map_err(|e| bad(e.to_string()))?;
    Ok(Some(Redirect { to, keeps_method }))
}

/// The method after a redirect that does not keep it.
pub(crate) fn method_after(method: &Method) -> Method {
    if *method == Method::HEAD {
        Method::HEAD
    } else {
        Method::GET
    }
}

/// Takes away what speaks of a body that is not sent again.
pub(crate) fn drop_body_headers(headers: &mut HeaderMap) {
    for name in [
        CONTENT_TYPE,
        CONTENT_LENGTH,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LOCATION,
    ] {
        headers.remove(name);
    }
}

/// Takes away what is for the first host only.
pub(crate) fn drop_credentials(headers: &mut HeaderMap) {
    for name in [
        AUTHORIZATION,
        COOKIE,
        WWW_AUTHENTICATE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
    headers.remove("cookie2");
}

/// Whether a host may get the credentials that are for `first`: the same, or below it.
pub(crate) fn is_trusted(host: &str, first: &str) -> bool {
    let (host, first) = (host.to_ascii_lowercase(), first.to_ascii_lowercase());
    if first.is_empty() {
        return false;
    }
    if host == first {
        return true;
    }
    // Addresses have nothing below them.
    if host.contains([':', '%', '[']) {
        return false;
    }
    host.strip_suffix(&first)
        .is_some_and(|below| below.ends_with('.'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(status: u16, location: Option<&str>) -> Response<()> {
        let mut builder = Response::builder().status(status);
        if let Some(location) = location {
            builder = builder.header(LOCATION, location);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn locations_are_relative_or_absolute() {
        let from: Uri = "http://h:1/a/b?c".parse().unwrap();
        for (location, to) in [
            ("/x?y", "http://h:1/x?y"),
            ("x", "http://h:1/a/x"),
            ("../x", "http://h:1/x"),
            ("//other/x", "http://other/x"),
            ("https://other/x#f", "https://other/x"),
        ] {
            let found = redirect(&from, &answer(302, Some(location))).unwrap();
            assert_eq!(found.unwrap().to, to, "{location}");
        }
    }

    #[test]
    fn only_some_statuses_redirect_and_only_with_a_location() {
        let from: Uri = "http://h/".parse().unwrap();
        let kept = |status| {
            let found = redirect(&from, &answer(status, Some("/x"))).unwrap();
            found.map(|redirect| redirect.keeps_method)
        };
        assert_eq!(kept(301), Some(false));
        assert_eq!(kept(303), Some(false));
        assert_eq!(kept(307), Some(true));
        assert_eq!(kept(308), Some(true));
        assert_eq!(kept(304), None);
        assert_eq!(redirect(&from, &answer(302, None)).unwrap(), None);
        assert!(redirect(&from, &answer(302, Some("http://[x"))).is_err());
    }

    #[test]
    fn credentials_stay_with_the_host_and_below() {
        assert!(is_trusted("Example.com", "example.com"));
        assert!(is_trusted("a.example.com", "example.com"));
        assert!(!is_trusted("notexample.com", "example.com"));
        assert!(!is_trusted("example.com", "a.example.com"));
        assert!(!is_trusted("[::1]", "[::2]"));
    }
}
