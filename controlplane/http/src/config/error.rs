//! What can be wrong with a client's configuration beyond a single value.

/// A configuration that does not pass its checks. Texts follow prometheus/common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpConfigError {
    /// Keys that exclude or need each other.
    #[error("{0}")]
    Keys(&'static str),
    /// Versions of TLS of which none is left.
    #[error(
        "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified"
    )]
    TlsVersions,
    /// A proxy that is none.
    #[error("proxy_url {url:?}: {reason}")]
    Proxy {
        /// As written, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that no header can have.
    #[error("a value in proxy_connect_header holds a character that no HTTP header may hold")]
    ConnectHeader,
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

impl HttpConfigError {
    /// Whether Prometheus takes such a configuration, and its requests fail then.
    #[must_use]
    pub fn is_late(&self) -> bool {
        match self {
            Self::Keys(_) | Self::ReservedHeader(_) | Self::Url { .. } => false,
            Self::HeaderName(_)
            | Self::ConnectHeader
            | Self::Proxy { .. }
            | Self::TlsVersions
            | Self::OldTls(_)
            | Self::ServerName(_) => true,
        }
    }
}
