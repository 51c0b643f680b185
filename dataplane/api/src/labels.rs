//! The bounded label values of HTTP telemetry.
//!
//! A path, a method or a protocol version comes from outside; as a label each
//! of them may take only values from a short list. These types are that list,
//! and small enough to be keys of the tables of bound instruments.

use http::{Method, Version};

/// The route label of requests that match no route.
pub(crate) const UNMATCHED: &str = "unmatched";

/// A request method; unknown ones are `_OTHER` (HTTP semantic conventions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MethodLabel(u8);

const METHODS: [&str; 10] = [
    "_OTHER", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
];

impl MethodLabel {
    pub(crate) fn of(method: &Method) -> Self {
        let at = METHODS.iter().position(|known| *known == method.as_str());
        // The table has ten entries.
        Self(at.unwrap_or(0) as u8)
    }

    pub(crate) fn as_str(self) -> &'static str {
        METHODS[usize::from(self.0)]
    }

    /// For the span name, where the conventions want `HTTP` instead of `_OTHER`.
    pub(crate) fn span_name(self) -> &'static str {
        if self.0 == 0 { "HTTP" } else { self.as_str() }
    }
}

/// A route template of the service, or [`UNMATCHED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RouteLabel(&'static str);

impl RouteLabel {
    /// `matched` is the template that the router found; one that is not in
    /// `routes` cannot become a label.
    pub(crate) fn of(matched: Option<&str>, routes: &'static [&'static str]) -> Self {
        let known = matched.and_then(|path| routes.iter().find(|route| **route == path));
        Self(known.copied().unwrap_or(UNMATCHED))
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }

    pub(crate) fn is_matched(self) -> bool {
        self.0 != UNMATCHED
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// With this status code.
    Status(u16),
    /// The client went away before the answer. Access logs of well-known
    /// servers call this 499; no such status was ever sent, so the
    /// conventional metrics carry no status code for it.
    Cancelled,
}

impl Ending {
    /// The `status` label of the hand-made metrics.
    pub(crate) fn status_label(self) -> String {
        match self {
            Self::Status(code) => code.to_string(),
            Self::Cancelled => "499".to_owned(),
        }
    }

    /// `error.type`, for endings that are the server's failure.
    pub(crate) fn error_type(self) -> Option<String> {
        match self {
            Self::Status(code) if code >= 500 => Some(code.to_string()),
            Self::Status(_) => None,
            Self::Cancelled => Some("client_disconnected".to_owned()),
        }
    }
}

/// `network.protocol.version`.
pub(crate) fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn labels_are_bounded() {
        assert_eq!(MethodLabel::of(&Method::PATCH).as_str(), "PATCH");
        let odd = MethodLabel::of(&Method::from_bytes(b"BREW").unwrap());
        assert_eq!((odd.as_str(), odd.span_name()), ("_OTHER", "HTTP"));
        let routes = &["/a/{id}"];
        assert_eq!(RouteLabel::of(Some("/a/{id}"), routes).as_str(), "/a/{id}");
        assert_eq!(RouteLabel::of(Some("/a/7"), routes).as_str(), UNMATCHED);
        assert!(!RouteLabel::of(None, routes).is_matched());
    }

    #[test]
    fn only_server_failures_have_an_error_type() {
        assert_eq!(Ending::Status(404).error_type(), None);
        assert_eq!(Ending::Status(503).error_type().as_deref(), Some("503"));
        assert!(Ending::Cancelled.error_type().is_some());
    }
}
