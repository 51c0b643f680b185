//! Remote write 1.0: decoding requests without copies and writing them to storage.

use bellwether_model::storage::Appendable;

/// What [`write`] stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Float samples stored.
    pub samples: u64,
    /// Histograms stored.
    pub histograms: u64,
    /// Exemplars stored.
    pub exemplars: u64,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 500.
    #[error("{0}")]
    Storage(String),
}

impl RemoteWriteError {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Storage(_) => 500,
        }
    }
}

/// Decompresses a snappy block body. `limit` bounds the decompressed size in bytes.
///
/// # Errors
/// [`RemoteWriteError::BadRequest`].
pub fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, RemoteWriteError> {
    let _ = (body, limit);
    Err(RemoteWriteError::BadRequest("not implemented".into()))
}

/// Writes a decompressed request (protobuf `prometheus.WriteRequest`). Blocking: call from `spawn_blocking`.
/// `now_ms` is the receiver's clock: samples more than ten minutes ahead are refused.
///
/// # Errors
/// The first refused sample; the good samples of the request are stored anyway.
pub fn write(
    storage: &dyn Appendable,
    request: &[u8],
    now_ms: i64,
) -> Result<WriteStats, RemoteWriteError> {
    let _ = (storage, request, now_ms);
    Err(RemoteWriteError::BadRequest("not implemented".into()))
}
