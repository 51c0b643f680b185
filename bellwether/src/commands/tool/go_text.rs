//! Texts as Go programs print them, so that the tools' output can be compared with promtool's.

use jiff::Timestamp;

/// `time.Duration.String()` of milliseconds: `2h0m0s`, `1m0.5s`, `1ms`.
pub(super) fn duration_ms(ms: i64) -> String {
    bellwether_rules::go_duration(i128::from(ms) * 1_000_000)
}

/// `time.Time.String()` of whole seconds of a time in UTC; the number itself where no calendar reaches.
pub(super) fn time_utc(ms: i64) -> String {
    // Go's division cuts towards zero.
    match Timestamp::from_second(ms / 1000) {
        Ok(t) => t.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        Err(_) => ms.to_string(),
    }
}

/// Bytes in units of 1024, every unit that is not zero: `1KiB222B`.
pub(super) fn bytes(n: u64) -> String {
    if n == 0 {
        return "0B".to_owned();
    }
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let part = |(i, unit)| {
        let v = n.checked_shr(10 * i as u32).unwrap_or(0) & 1023;
        (v > 0).then(|| format!("{v}{unit}"))
    };
    units.iter().enumerate().rev().filter_map(part).collect()
}

/// Rows as `text/tabwriter` aligns them: columns at least 13 wide, two blanks between, the last as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column));
        cells
            .map(|c| c.chars().count() + 2)
            .max()
            .unwrap_or(0)
            .max(13)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            if i + 1 == row.len() {
                out.push_str(cell);
            } else {
                out.push_str(&format!("{cell:<width$}", width = widths[i]));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (ns, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (999_999, "999.999µs"),
            (1_000_000, "1ms"),
            (60_501_000_000, "1m0.501s"),
            (7_200_000_000_000, "2h0m0s"),
            (-3_661_000_000_001, "-1h1m1.000000001s"),
            (59_900_000_000, "59.9s"),
        ] {
            assert_eq!(bellwether_rules::go_duration(ns), text);
        }
        assert_eq!(duration_ms(60_501), "1m0.501s");
    }

    #[test]
    fn times_and_bytes() {
        assert_eq!(time_utc(1_700_000_000_999), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(time_utc(i64::MAX), i64::MAX.to_string());
        for (n, text) in [
            (0, "0B"),
            (635, "635B"),
            (1024, "1KiB"),
            (1246, "1KiB222B"),
            (3 << 30 | 5, "3GiB5B"),
            (u64::MAX, "15EiB1023PiB1023TiB1023GiB1023MiB1023KiB1023B"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_the_last_is_not_padded() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            table(&[row("A", "B"), row("12345678901234", "x")]),
            "A               B\n12345678901234  x\n"
        );
        assert_eq!(table(&[row("A", "B")]), "A            B\n");
    }
}
