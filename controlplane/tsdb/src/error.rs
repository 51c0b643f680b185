//! Why opening or maintaining a database failed.

use std::io;
use std::path::{Path, PathBuf};

use bellwether_model::storage::StorageError;

/// An error of [`crate::Db`]'s own operations. Reads and appends have the model's errors.
#[derive(Debug, thiserror::Error)]
pub enum TsdbError {
    /// Another process has the directory open.
    #[error(
        "data directory {} is in use by {owner}; stop that process or choose another directory", dir.display()
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// `process 1234`, or `another process` where its number is not known.
        owner: String,
    },
    /// An option makes no sense or is not supported.
    #[error("storage option {option}: {reason}")]
    Option {
        /// Field name.
        option: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The operating system refused.
    #[error("{context} {}: {source}", path.display())]
    Io {
        /// What was being done.
        context: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file's content is wrong and cannot be repaired.
    #[error("{}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found, with the offset where one is known.
        reason: String,
    },
    /// Reading samples for a block failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database was closed.
    #[error("storage is closed")]
    Closed,
}

impl TsdbError {
    /// Wraps a system error with what was being done to which file.
    pub(crate) fn io(context: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            context,
            path,
            source,
        }
    }

    /// A corrupt file.
    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }
}

impl From<TsdbError> for StorageError {
    fn from(error: TsdbError) -> Self {
        match error {
            TsdbError::Storage(e) => e,
            TsdbError::Io {
                context,
                path,
                source,
            } => Self::Io {
                context: format!("{context} {}", path.display()),
                source,
            },
            TsdbError::Corrupt { path, reason } => Self::Corrupt {
                place: path.display().to_string(),
                reason,
            },
            other => Self::Other(other.to_string()),
        }
    }
}
