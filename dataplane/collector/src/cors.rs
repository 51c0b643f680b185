//! `cors` of HTTP servers: which pages of browsers may send to them.
//!
//! Rules: the Fetch standard, "CORS protocol", with the official collector's choices: credentials
//! are allowed, a page that is not allowed gets an answer without CORS headers, which its browser
//! then hides, and a preflight is always 204.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

/// Methods that a preflight may ask for.
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];
/// Headers that may be sent without being listed.
const HEADERS_DEFAULT: [&str; 5] = [
    "accept",
    "accept-language",
    "content-language",
    "content-type",
    "x-requested-with",
];

/// The block as written. Without origins it has no effect.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CorsConfig {
    /// Origins, each with at most one `*`; `*` alone means all.
    allowed_origins: Vec<String>,
    /// Request headers beside the default ones; `*` means all.
    allowed_headers: Vec<String>,
    /// Response headers that scripts may read.
    exposed_headers: Vec<String>,
    /// Seconds for which a browser may keep the answer of a preflight; 0 leaves it to the browser.
    max_age: i64,
}

impl CorsConfig {
    /// Mistakes as (key, message).
    pub(crate) fn validate(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        for origin in &self.allowed_origins {
            if origin.matches('*').count() > 1 {
                problems.push((
                    "allowed_origins",
                    format!("{origin:?} has more than one *: one is allowed"),
                ));
            }
        }
        for (key, headers) in [
            ("allowed_headers", &self.allowed_headers),
            ("exposed_headers", &self.exposed_headers),
        ] {
            for header in headers {
                if HeaderValue::from_str(header).is_err() {
                    problems.push((key, format!("{header:?} is not the name of a header")));
                }
            }
        }
        problems
    }
}

/// The rules, ready for requests.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    exposed: Option<HeaderValue>,
    max_age: i64,
}

impl Cors {
    /// `None` when no origin is allowed.
    pub(crate) fn new(config: &CorsConfig) -> Option<Self> {
        if config.allowed_origins.is_empty() {
            return None;
        }
        let lower = |list: &[String]| list.iter().map(|s| s.to_ascii_lowercase()).collect();
        Some(Self {
            origins: lower(&config.allowed_origins),
            headers: lower(&config.allowed_headers),
            exposed: (!config.exposed_headers.is_empty())
                .then(|| HeaderValue::from_str(&config.exposed_headers.join(", ")).ok())
                .flatten(),
            max_age: config.max_age,
        })
    }

    /// True for a browser's question whether a request would be allowed.
    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The answer to a preflight.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let answer = response.headers_mut();
        answer.insert(
            VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        );
        let Some(origin) = self.allowed_origin(request.get(ORIGIN)) else {
            return response;
        };
        let text = |value: Option<&HeaderValue>| {
            value
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let method = request.get(ACCESS_CONTROL_REQUEST_METHOD);
        let wanted = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let is_allowed =
            METHODS.contains(&text(method).as_str()) && self.allows_headers(&text(wanted));
        if !is_allowed {
            return response;
        }
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, method),
            (ACCESS_CONTROL_ALLOW_HEADERS, wanted),
        ] {
            if let Some(value) = value {
                answer.insert(name, value.clone());
            }
        }
        answer.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        if self.max_age != 0 {
            answer.insert(
                ACCESS_CONTROL_MAX_AGE,
                HeaderValue::from(self.max_age.max(0)),
            );
        }
        response
    }

    /// Adds the headers that let the page read an answer.
    pub(crate) fn decorate(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.allowed_origin(origin) else {
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if let Some(exposed) = &self.exposed {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
        answer.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }

    /// What to answer to this origin.
    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.origins
            .iter()
            .any(|allowed| match allowed.split_once('*') {
                None => *allowed == text,
                Some((start, end)) => {
                    text.len() >= start.len() + end.len()
                        && text.starts_with(start)
                        && text.ends_with(end)
                }
            })
            .then(|| origin.clone())
    }

    fn allows_headers(&self, list: &str) -> bool {
        self.headers.iter().any(|h| h == "*")
            || list
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .all(|name| HEADERS_DEFAULT.contains(&&*name) || self.headers.contains(&name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], headers: &[&str]) -> Cors {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Cors::new(&CorsConfig {
            allowed_origins: owned(origins),
            allowed_headers: owned(headers),
            exposed_headers: owned(&["X-A", "X-B"]),
            max_age: 60,
        })
        .unwrap()
    }

    fn request(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn origins_may_have_one_wildcard() {
        let cors = cors(&["http://*.example.com", "https://Shop.test"], &[]);
        let allowed = |origin: &'static str| {
            let value = HeaderValue::from_static(origin);
            cors.allowed_origin(Some(&value)).is_some()
        };
        assert!(allowed("http://a.example.com"));
        assert!(allowed("https://shop.test"));
        assert!(!allowed("http://example.com"));
        assert!(!allowed("http://.example.com.evil.test"));
        assert!(!allowed("https://shop.test:8443"));
        assert!(cors.allowed_origin(None).is_none());
        assert!(Cors::new(&CorsConfig::default()).is_none());
    }

    #[test]
    fn preflights_allow_what_is_configured() {
        let cors = cors(&["http://page.test"], &["X-Tenant"]);
        let ask = |origin: &str, method: &str, headers: &str| {
            cors.preflight(&request(&[
                ("origin", origin),
                ("access-control-request-method", method),
                ("access-control-request-headers", headers),
            ]))
        };
        let yes = ask("http://page.test", "POST", "content-type,x-tenant");
        assert_eq!(yes.status(), StatusCode::NO_CONTENT);
        for (name, value) in [
            ("access-control-allow-origin", "http://page.test"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "content-type,x-tenant"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "60"),
        ] {
            assert_eq!(yes.headers()[name], value, "{name}");
        }
        for no in [
            ask("http://other.test", "POST", ""),
            ask("http://page.test", "DELETE", ""),
            ask("http://page.test", "POST", "authorization"),
        ] {
            assert_eq!(no.status(), StatusCode::NO_CONTENT);
            assert!(!no.headers().contains_key("access-control-allow-origin"));
        }
    }

    #[test]
    fn answers_name_the_origin_and_what_may_be_read() {
        let mut answer = HeaderMap::new();
        let origin = HeaderValue::from_static("http://page.test");
        cors(&["*"], &[]).decorate(Some(&origin), &mut answer);
        assert_eq!(answer["access-control-allow-origin"], "*");
        assert_eq!(answer["access-control-expose-headers"], "X-A, X-B");
        assert_eq!(answer["vary"], "Origin");
    }

    #[test]
    fn mistakes_are_named() {
        let config = CorsConfig {
            allowed_origins: vec!["http://*.*".to_owned()],
            exposed_headers: vec!["a\nb".to_owned()],
            ..CorsConfig::default()
        };
        let keys: Vec<&str> = config.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["allowed_origins", "exposed_headers"]);
    }
}
