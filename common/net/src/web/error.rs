//! What is wrong with a web configuration file.

use std::path::PathBuf;

use bellwether_yaml::YamlError;

/// A web configuration that cannot be used. Texts are those of Prometheus' exporter toolkit, and of Go's libraries
/// below it, where they have one.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// A file cannot be read.
    #[error("open {}: {}", path.display(), reason(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The certificate or the key cannot be read.
    #[error("failed to read {key} ({path}): open {path}: {reason}", path = path.display(), reason = reason(.source))]
    ReadKey {
        /// `cert_file` or `key_file`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A value, a key or the YAML itself is wrong.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A header that may not be configured.
    #[error("HTTP header {0:?} can not be configured")]
    Header(String),
    /// A header with a value that makes no sense.
    #[error("invalid value for {name}. Expected one of: [{values}], but got: {value:?}")]
    HeaderValue {
        /// The header.
        name: String,
        /// As written.
        value: String,
        /// Those that make sense.
        values: String,
    },
    /// Keys that need each other.
    #[error("{0}")]
    Keys(&'static str),
    /// A value of `client_auth_type` that does not exist.
    #[error("invalid ClientAuth: {0}")]
    ClientAuth(String),
    /// Certificate and key do not fit, or are none.
    #[error("failed to load X509KeyPair: {0}")]
    KeyPair(String),
    /// Certificates of client authorities that cannot be used.
    #[error("unusable certificates in client_ca_file or client_ca: {0}")]
    ClientCa(String),
    /// A text that is no hash of a password.
    #[error("{0}")]
    Hash(String),
    /// Settings that nobody could connect with.
    #[error("{0}")]
    Nothing(String),
}

/// As Go says it: no code, small letters.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}
