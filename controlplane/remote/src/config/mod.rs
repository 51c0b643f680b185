//! `remote_write` and `remote_read` as written, their checks, and what they resolve to.
//!
//! Keys, defaults and texts of errors are those of Prometheus 3.14 (`config/config.go`).

mod cloud;
mod queue;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use bellwether_http::HttpConfigError;
use bellwether_scrape::relabel::RelabelError;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use md5::{Digest, Md5};
use serde::Serialize;

pub use cloud::{AzureAdConfig, GoogleIamConfig};
pub use queue::{MetadataConfig, QueueConfig};
pub use read::{ReadSettings, RemoteReadConfig};
pub use write::{Message, RemoteWriteConfig, WriteSettings};

/// What is wrong with an entry beyond a single value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteConfigError {
    /// No `url`; `remote_write` or `remote_read`.
    #[error("url for {0} is empty")]
    NoUrl(&'static str),
    /// A text that is no URL of an HTTP server.
    #[error("url {url:?}: {reason}")]
    Url {
        /// As written.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// `headers` has the one for credentials.
    #[error(
        "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter"
    )]
    AuthorizationHeader,
    /// `headers` has one that the protocol sets.
    #[error("{0} is a reserved header. It must not be changed")]
    ReservedHeader(String),
    /// `headers` has something that no header can be.
    #[error("headers: {0:?} is not a valid header")]
    Header(String),
    /// `required_matchers`.
    #[error("{0:?} is not a valid label name")]
    Matcher(String),
    /// More than one way to authenticate.
    #[error(
        "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. Currently configured: [{0}]"
    )]
    Auth(String),
    /// A way to authenticate that needs a cloud vendor's library.
    #[error(
        "{0} is not part of this build, which has no library that signs requests for this cloud; use basic_auth, authorization, oauth2 or a proxy that signs"
    )]
    CloudAuth(&'static str),
    /// `queue_config`.
    #[error("remote write queue {0}")]
    Queue(&'static str),
    /// `write_relabel_configs`.
    #[error("{0} in write_relabel_configs")]
    Relabel(#[from] RelabelError),
    /// The HTTP client's keys.
    #[error(transparent)]
    Http(#[from] HttpConfigError),
}

/// Headers that the protocol sets itself.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

impl RemoteConfigError {
    /// Whether Prometheus takes such a configuration, and its requests fail then or only this build's would.
    #[must_use]
    pub fn is_late(&self) -> bool {
        match self {
            Self::Header(_) | Self::CloudAuth(_) => true,
            Self::Http(error) => error.is_late(),
            _ => false,
        }
    }
}

/// Checks `headers` as Prometheus does.
fn check_headers(written: &BTreeMap<String, String>) -> Result<(), RemoteConfigError> {
    for name in written.keys() {
        let lower = name.to_lowercase();
        if lower == "authorization" {
            return Err(RemoteConfigError::AuthorizationHeader);
        }
        if RESERVED_HEADERS.contains(&lower.as_str()) {
            return Err(RemoteConfigError::ReservedHeader(name.clone()));
        }
    }
    Ok(())
}

/// Makes `headers` ready to be sent.
fn headers(written: &BTreeMap<String, String>) -> Result<HeaderMap, RemoteConfigError> {
    let mut out = HeaderMap::new();
    for (name, value) in written {
        let bad = || RemoteConfigError::Header(format!("{name}: {value}"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        out.insert(key, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(out)
}

/// Where requests go. Prometheus takes any text that looks like a URL, and each request to one that is none fails: so it
/// is here, with the reason.
pub type Address = Result<Uri, String>;

/// The address of a remote system.
fn address(written: Option<&str>, section: &'static str) -> Result<Address, RemoteConfigError> {
    let text = written.ok_or(RemoteConfigError::NoUrl(section))?;
    bellwether_http::url::reason(text).map_err(|reason| RemoteConfigError::Url {
        url: redacted(text),
        reason,
    })?;
    let uri: Uri = match text.parse() {
        Ok(uri) => uri,
        Err(error) => return Ok(Err(format!("{}: {error}", redacted(text)))),
    };
    Ok(match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|h| !h.is_empty()) => Ok(uri),
        Some("http" | "https") => Err(format!("no host in request URL {}", redacted(text))),
        _ => Err(format!(
            "{}: a URL must begin with http:// or https://",
            redacted(text)
        )),
    })
}

/// A URL without its password, as Go's `URL.Redacted` shows it.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return url.to_owned();
    };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:xxxxx{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// The hash that tells whether an entry changed; secrets do not count, as in Prometheus.
fn hash(entry: &impl Serialize) -> String {
    // An entry that does not serialise cannot have been read; then all of them count as changed.
    let text = serde_json::to_string(entry).unwrap_or_default();
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
