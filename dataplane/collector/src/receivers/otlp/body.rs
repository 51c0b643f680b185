//! Reading and decompressing request bodies, both within a limit.

use std::io::Read;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use thiserror::Error;

/// Encodings that [`decompress`] undoes.
pub(super) const ENCODINGS: [&str; 6] = [
    "gzip",
    "zstd",
    "zlib",
    "deflate",
    "snappy",
    "x-snappy-framed",
];

/// Why a body cannot be read.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    /// More bytes than allowed, before or after decompression.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// The client went away, or broke the framing.
    #[error("cannot read the request body: {0}")]
    Read(String),
    /// Not in the announced encoding.
    #[error("cannot decompress the {encoding} request body: {message}")]
    Decompress {
        encoding: &'static str,
        message: String,
    },
    /// An encoding that does not exist here.
    #[error("unsupported Content-Encoding {0:?} (gzip, zstd, deflate, snappy and identity are)")]
    UnknownEncoding(String),
}

/// Reads a whole body.
pub(super) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    // A body that announces too much is refused before the client sends it.
    if http_body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Read(e.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > limit {
            return Err(BodyError::TooLarge { limit });
        }
        // Most bodies come in one piece, which then needs no copy.
        match (&first, joined.is_empty()) {
            (None, true) => first = Some(data),
            _ => {
                if let Some(first) = first.take() {
                    joined.reserve(first.len() + data.len());
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// Undoes the encoding of a body.
pub(super) fn decompress(raw: Bytes, encoding: &str, limit: usize) -> Result<Bytes, BodyError> {
    match encoding {
        "" | "identity" => Ok(raw),
        "gzip" => inflate(
            "gzip",
            flate2::bufread::MultiGzDecoder::new(&raw[..]),
            limit,
        ),
        "zlib" | "deflate" => inflate(
            "deflate",
            flate2::bufread::ZlibDecoder::new(&raw[..]),
            limit,
        ),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&raw[..])
                .map_err(|e| failed("zstd", &e))?;
            inflate("zstd", decoder, limit)
        }
        "snappy" | "x-snappy-framed" => snappy(&raw, limit),
        other => Err(BodyError::UnknownEncoding(other.to_owned())),
    }
}

/// Framed snappy starts with a stream identifier; everything else is the block form.
fn snappy(raw: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    if raw.starts_with(b"\xff\x06\x00\x00sNaPpY") {
        return inflate("snappy", snap::read::FrameDecoder::new(raw), limit);
    }
    let length = snap::raw::decompress_len(raw).map_err(|e| failed("snappy", &e))?;
    if length > limit {
        return Err(BodyError::TooLarge { limit });
    }
    snap::raw::Decoder::new()
        .decompress_vec(raw)
        .map(Bytes::from)
        .map_err(|e| failed("snappy", &e))
}

fn inflate(encoding: &'static str, decoder: impl Read, limit: usize) -> Result<Bytes, BodyError> {
    let mut out = Vec::new();
    // One byte more than allowed tells "exactly the limit" from "too large".
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|e| failed(encoding, &e))?;
    if out.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(out.into())
}

fn failed(encoding: &'static str, error: &dyn std::fmt::Display) -> BodyError {
    BodyError::Decompress {
        encoding,
        message: error.to_string(),
    }
}
