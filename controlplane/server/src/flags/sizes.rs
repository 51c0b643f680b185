//! Numbers of flags: byte sizes such as `512MB`, whose units are powers of 1024, and counts such as `5e7`.

use bellwether_scrape::config::ByteSize;

/// Parses a size. A unit is required, except for 0.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    ByteSize::parse(text).map(|size| size.0).map_err(|_| {
        "not a size: give a number and a unit of B, KB, MB, GB, TB, PB or EB, like 512MB".to_owned()
    })
}

/// A whole number, also as Prometheus' help writes large ones: `5e7`.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    match text.parse::<f64>() {
        // Up to there floating point numbers are exact.
        Ok(n) if n.fract() == 0.0 && (0.0..9e15).contains(&n) => Ok(n as usize),
        _ => Err("not a whole number of 0 or more".to_owned()),
    }
}

/// Prometheus' form in `/status/flags`: `0B`, `512MB`.
pub(crate) fn format(bytes: u64) -> String {
    const UNITS: [(&str, u32); 6] = [
        ("EB", 60),
        ("PB", 50),
        ("TB", 40),
        ("GB", 30),
        ("MB", 20),
        ("KB", 10),
    ];
    UNITS
        .iter()
        .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, shift)| format!("{}{unit}", bytes >> shift),
        )
}
