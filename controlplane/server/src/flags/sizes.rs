//! Byte sizes of flags: `512MB`, units are powers of 1024.

use bellwether_scrape::config::ByteSize;

/// Parses a size. A unit is required, except for 0.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    ByteSize::parse(text).map(|size| size.0).map_err(|_| {
        "not a size: give a number and a unit of B, KB, MB, GB, TB, PB or EB, like 512MB".to_owned()
    })
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
