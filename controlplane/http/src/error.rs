//! Why a client could not be made, or a request got no answer.

use std::path::PathBuf;

use http::Method;

/// A text that had to be read from a file or put into a header.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("unable to read {what}: unable to read file {}: {source}", path.display())]
    File {
        /// What it holds: `basic auth password`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A secret of a secret manager.
    #[error("unable to use {0}: cannot use secret ref without manager")]
    Reference(&'static str),
    /// A character that no header may hold.
    #[error("{0} holds a character that no HTTP header may hold")]
    Header(&'static str),
}

/// Certificates and keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No certificate in the text.
    #[error("unable to use specified CA cert {from}: {reason}")]
    Ca {
        /// `inline`, or the file.
        from: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate and a key that do not fit.
    #[error("unable to use specified client cert ({cert}) & key ({key}): {reason}")]
    Identity {
        /// `inline`, or the file.
        cert: String,
        /// `inline`, or the file.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The system has no certificates of authorities.
    #[error(
        "no CA certificates found on this system ({0}): install them, or set ca_file in tls_config"
    )]
    NoSystemRoots(String),
    /// The TLS library refuses the settings.
    #[error("unusable TLS settings: {0}")]
    Settings(rustls::Error),
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{method} {url:?}: {cause}", method = verb(.method))]
pub struct ClientError {
    /// The method that the caller asked for.
    pub method: Method,
    /// The URL that failed; after a redirect the one it led to. Without a password.
    pub url: String,
    /// What went wrong.
    pub cause: Cause,
}

/// Go's way to name the request in front of an error: `Get`, `Post`.
fn verb(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_ascii_lowercase())
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Credentials or headers.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token server.
    #[error(transparent)]
    Token(Box<crate::oauth2::TokenError>),
    /// No connection, or one that broke.
    #[error("{0}")]
    Connection(String),
    /// A redirect that cannot be followed.
    #[error("{0}")]
    Redirect(String),
    /// A URL that is none, or of a scheme that is not spoken.
    #[error("{0}")]
    Url(String),
}

/// The innermost error: `Connection refused (os error 111)` says more than `client error (Connect)`.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
