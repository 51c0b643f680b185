//! Reading texts that may stand in files.

use http::HeaderValue;

use crate::error::SecretError;
use crate::settings::SecretSource;

impl SecretSource {
    /// The text; a file is read now. `what` names it in errors: `basic auth password`.
    ///
    /// # Errors
    /// [`SecretError::File`], [`SecretError::Reference`].
    pub async fn read(&self, what: &'static str) -> Result<String, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.0.clone()),
            Self::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(SecretError::File {
                    what,
                    path: path.clone(),
                    source,
                }),
            },
            Self::Reference(_) => Err(SecretError::Reference(what)),
        }
    }

    /// [`Self::read`] for blocking threads.
    pub(crate) fn read_blocking(&self, what: &'static str) -> Result<String, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.0.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(SecretError::File {
                    what,
                    path: path.clone(),
                    source,
                }),
            },
            Self::Reference(_) => Err(SecretError::Reference(what)),
        }
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Where the text comes from, for errors.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Inline(_) => "inline".to_owned(),
            Self::File(path) => format!("file {}", path.display()),
            Self::Reference(name) => format!("ref {name}"),
        }
    }
}

/// A header's value that logs do not show.
pub(crate) fn header_value(text: &str, what: &'static str) -> Result<HeaderValue, SecretError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| SecretError::Header(what))?;
    value.set_sensitive(true);
    Ok(value)
}
