#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use super::*;

#[test]
fn bodies_are_opened_by_their_headers() {
    let json = br#"{"resourceMetrics":[]}"#;
    assert_eq!(&*body("application/json", "", json).unwrap(), b"");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json).unwrap();
    let packed = gzip.finish().unwrap();
    assert_eq!(&*body("application/json", "gzip", &packed).unwrap(), b"");
    assert_eq!(
        &*body("application/x-protobuf", "", b"abc").unwrap(),
        b"abc"
    );
    for (content_type, encoding, sent, message) in [
        (
            "text/plain",
            "",
            &json[..],
            "unsupported content type: text/plain, supported: [application/json, application/x-protobuf]",
        ),
        (
            "application/json",
            "zstd",
            json,
            "unsupported compression: zstd. Only \"gzip\" or no compression supported",
        ),
        ("application/x-protobuf", "gzip", json, "gzip: "),
        ("application/json", "", b"{", ""),
    ] {
        let error = body(content_type, encoding, sent).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn a_bomb_is_no_request() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..33 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let packed = gzip.finish().unwrap();
    let error = body("application/x-protobuf", "gzip", &packed).unwrap_err();
    assert!(error.to_string().contains("exceeds the limit"), "{error}");
}
