//! The embedded files: look-up, content negotiation, caching.

use std::borrow::Cow;
use std::io::Read as _;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

/// One embedded file. `plain` is present only where nothing was compressed; otherwise the gzip bytes hold it.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Path below the root of the site, without a leading slash.
    pub(crate) path: &'static str,
    /// Hash of the plain bytes, hexadecimal.
    pub(crate) etag: &'static str,
    pub(crate) plain: Option<&'static [u8]>,
    pub(crate) gzip: Option<&'static [u8]>,
    pub(crate) brotli: Option<&'static [u8]>,
}

mod table {
    use super::Asset;
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}
pub(crate) use table::{BUILT, FILES, INDEX};

/// How the bytes of an answer are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    fn token(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// The best encoding that both sides know (RFC 9110, section 12.5.3): the highest weight wins, Brotli before gzip on a tie.
pub(crate) fn negotiate(accept: Option<&str>, gzip: bool, brotli: bool) -> Encoding {
    let Some(accept) = accept else {
        return Encoding::Identity;
    };
    let mut weights = [None::<f32>; 2];
    let mut any = None;
    for part in accept.split(',') {
        let mut fields = part.split(';').map(str::trim);
        let coding = fields.next().unwrap_or_default().to_ascii_lowercase();
        let weight = fields
            .find_map(|f| f.strip_prefix("q="))
            .and_then(|q| q.trim().parse().ok())
            .unwrap_or(1.0);
        match coding.as_str() {
            "br" => weights[0] = Some(weight),
            "gzip" | "x-gzip" => weights[1] = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let br = if brotli {
        weights[0].or(any).unwrap_or(0.0)
    } else {
        0.0
    };
    let gz = if gzip {
        weights[1].or(any).unwrap_or(0.0)
    } else {
        0.0
    };
    if br > 0.0 && br >= gz {
        Encoding::Brotli
    } else if gz > 0.0 {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Handler of `/assets/{*path}`.
pub(crate) async fn hashed(Path(path): Path<String>, headers: HeaderMap) -> Response {
    named(&format!("assets/{path}"), &headers)
}

/// The answer for one embedded file, or 404.
pub(crate) fn named(path: &str, headers: &HeaderMap) -> Response {
    match FILES.iter().find(|f| f.path == path) {
        Some(asset) => answer(asset, headers),
        None => (
            StatusCode::NOT_FOUND,
            format!("the dashboard has no file /{path}\n"),
        )
            .into_response(),
    }
}

fn answer(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let accept = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
    let encoding = negotiate(accept, asset.gzip.is_some(), asset.brotli.is_some());
    let etag = match encoding.token() {
        Some(token) => format!("\"{}-{token}\"", asset.etag),
        None => format!("\"{}\"", asset.etag),
    };
    // Only files under assets/ carry a hash in their name.
    let cache = if asset.path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if matches_etag(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(bytes_of(asset, encoding)).into_response()
    };
    let out = response.headers_mut();
    out.insert(CACHE_CONTROL, http::HeaderValue::from_static(cache));
    out.insert(VARY, http::HeaderValue::from_static("accept-encoding"));
    out.insert(
        X_CONTENT_TYPE_OPTIONS,
        http::HeaderValue::from_static("nosniff"),
    );
    out.insert(
        ETAG,
        http::HeaderValue::try_from(etag).expect("an ETag of hexadecimal digits is a header value"),
    );
    out.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static(content_type(asset.path)),
    );
    if let Some(token) = encoding.token() {
        out.insert(CONTENT_ENCODING, http::HeaderValue::from_static(token));
    }
    response
}

fn bytes_of(asset: &'static Asset, encoding: Encoding) -> Bytes {
    let stored = match encoding {
        Encoding::Brotli => asset.brotli,
        Encoding::Gzip => asset.gzip,
        Encoding::Identity => asset.plain,
    };
    if let Some(bytes) = stored {
        return Bytes::from_static(bytes);
    }
    let mut plain = Vec::new();
    if let Some(gzip) = asset.gzip {
        let read = flate2::read::GzDecoder::new(gzip).read_to_end(&mut plain);
        debug_assert!(read.is_ok(), "the build wrote valid gzip");
    }
    Bytes::from(plain)
}

fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(',').map(str::trim))
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The media type by file name ending.
pub(crate) fn content_type(path: &str) -> &'static str {
    let ending = path
        .rsplit('.')
        .next()
        .map_or(Cow::Borrowed(""), |e| Cow::Owned(e.to_ascii_lowercase()));
    match ending.as_ref() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
