//! `/debug/pprof`: what Go programs serve of themselves.
//!
//! Only the command line is there. A processor profile would need a sampler that walks the stack in a signal handler,
//! and published binaries have no symbols to name what it finds; memory and goroutine profiles are about Go's runtime.
//! `perf` and the like profile this program from outside.

use std::ffi::OsString;

use axum::extract::{OriginalUri, Path};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};

use super::{not_found, plain_error};

/// What Prometheus has besides the command line.
const OF_GO: [&str; 9] = [
    "allocs",
    "block",
    "goroutine",
    "heap",
    "mutex",
    "profile",
    "symbol",
    "threadcreate",
    "trace",
];

const INDEX: &str = "\
/debug/pprof/

cmdline: the command line of this process, its arguments separated by NUL

Profiles of Go's runtime do not exist here: this program is written in Rust. Profile it from outside, for example with
perf record -g -p PID.
";

/// The index has a slash at its end.
pub(crate) async fn to_index(OriginalUri(uri): OriginalUri) -> Response {
    let to = format!("{}/", uri.path());
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, to)]).into_response()
}

pub(crate) async fn index() -> &'static str {
    INDEX
}

pub(crate) async fn profile(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "cmdline" => cmdline(),
        name if OF_GO.contains(&name) => plain_error(
            StatusCode::NOT_IMPLEMENTED,
            &format!(
                "profile {name:?} is not supported: this program is written in Rust, profile it from outside, for example with perf"
            ),
        ),
        _ => not_found().await,
    }
}

fn cmdline() -> Response {
    let arguments = std::env::args_os().map(OsString::into_encoded_bytes);
    let arguments: Vec<Vec<u8>> = arguments.collect();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(CONTENT_TYPE, text)], arguments.join(&0)).into_response()
}
