//! What can be wrong with a client's configuration beyond a single value.

/// A configuration that does not pass its checks. Texts follow prometheus/common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpConfigError {
    /// Keys that exclude or need each other.
    #[error("{0}")]
    Keys(&'static str),
    /// A header that has its own key.
    #[error("setting header {0:?} is not allowed")]
    ReservedHeader(String),
    /// A text that no header can have as its name.
    #[error("{0:?} is not a valid header name")]
    HeaderName(String),
    /// A URL that cannot be used.
    #[error("{key} {url:?}: {reason}")]
    Url {
        /// The key.
        key: &'static str,
        /// As written, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A version of TLS that is not spoken any more.
    #[error(
        "tls_config.max_version {0}: TLS below 1.2 is not spoken here, remove the key or use TLS12"
    )]
    OldTls(&'static str),
    /// A name that no certificate can have.
    #[error("tls_config.server_name {0:?} is neither a host name nor an IP address")]
    ServerName(String),
}
