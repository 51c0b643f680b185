//! Values of few decimals, which most gauges and counters have, written without the search for the shortest digits.
//!
//! A decimal of at most 15 digits stands for itself: no two of them round to the same float. So when `m / 1000`, which
//! IEEE 754 rounds correctly, is the value, the digits of `m` without zeros at the end are its shortest ones.

/// Below it a thousand times the value has at most 15 digits.
const LIMIT: f64 = 1e12;
/// A sign, 12 digits, a point and three digits, and room behind: digits are written four by four.
pub(super) const ROOM: usize = 24;

/// The digits of `000` to `999`. The fourth byte is the number of bytes of such thousandths, with the point and without
/// zeros at the end.
static DIGITS: [[u8; 4]; 1000] = {
    let mut all = [[0; 4]; 1000];
    let mut i = 0;
    while i < 1000 {
        let bytes = match i {
            0 => 0,
            _ if i % 100 == 0 => 2,
            _ if i % 10 == 0 => 3,
            _ => 4,
        };
        all[i] = [
            b'0' + (i / 100) as u8,
            b'0' + (i / 10 % 10) as u8,
            b'0' + (i % 10) as u8,
            bytes,
        ];
        i += 1;
    }
    all
};

/// Appends a value of at most three decimals below 10^12; false for any other.
#[inline]
pub(super) fn push(out: &mut String, v: f64) -> bool {
    let mut text = [0u8; ROOM];
    let Some(len) = write(&mut text, v) else {
        return false;
    };
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(&text[..len]).unwrap_or_default());
    true
}

/// Writes a value of at most three decimals below 10^12 and returns the length of its text; `None` for any other. What
/// lies behind the text means nothing.
#[inline]
pub(super) fn write(text: &mut [u8; ROOM], v: f64) -> Option<usize> {
    let abs = v.abs();
    let thousands = abs * 1000.0;
    if abs.is_nan() || abs >= LIMIT {
        return None;
    }
    let m = (thousands + 0.5) as u64;
    // The multiplication is off by half a unit in the last place at most; the division only decides close calls.
    let off = (thousands - m as f64).abs();
    if off > thousands * f64::EPSILON || m as f64 / 1000.0 != abs {
        return None;
    }
    let (whole, fraction) = (m / 1000, (m % 1000) as usize);
    text[0] = b'-';
    let at = write_whole(text, usize::from(v.is_sign_negative()), whole);
    text[at] = b'.';
    let digits = DIGITS[fraction];
    text[at + 1..at + 5].copy_from_slice(&digits);
    Some(at + usize::from(digits[3]))
}

/// Writes a number below 10^12 from a place on and returns where it ends.
#[inline(always)]
fn write_whole(text: &mut [u8; ROOM], mut at: usize, whole: u64) -> usize {
    let mut unit = match whole {
        0..1_000 => 1,
        1_000..1_000_000 => 1_000,
        1_000_000..1_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let first = (whole / unit) as usize;
    // Without zeros at the front.
    let zeros = usize::from(first < 100) + usize::from(first < 10);
    let digits = u32::from_le_bytes(DIGITS[first % 1000]) >> (8 * zeros);
    text[at..at + 4].copy_from_slice(&digits.to_le_bytes());
    at += 3 - zeros;
    while unit > 1 {
        unit /= 1000;
        text[at..at + 4].copy_from_slice(&DIGITS[(whole / unit % 1000) as usize]);
        at += 3;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(v: f64) -> Option<String> {
        let mut out = String::new();
        push(&mut out, v).then_some(out)
    }

    #[test]
    fn few_decimals_are_written_here_and_others_are_not() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (5.0, "5"),
            (10.0, "10"),
            (100.0, "100"),
            (0.001, "0.001"),
            (0.5, "0.5"),
            (-1.25, "-1.25"),
            (10.01, "10.01"),
            (52.379, "52.379"),
            (1_000.0, "1000"),
            (12_034.5, "12034.5"),
            (-1_000_000.08, "-1000000.08"),
            (1_002_003_004.0, "1002003004"),
            (999_999_999_999.999, "999999999999.999"),
            (-999_999_999_999.0, "-999999999999"),
        ] {
            assert_eq!(short(v).as_deref(), Some(text));
        }
        for v in [1e12, 1e300, 0.0001, 1.0 / 3.0, f64::MIN_POSITIVE, 0.1 + 0.2] {
            assert_eq!(short(v), None, "{v}");
        }
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(short(v), None, "{v}");
        }
    }

    /// Floats around short decimals, and any.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (any::<bool>(), 0u64..2_000_000_000_000_000, -2i64..3).prop_map(|(minus, m, ulps)| {
                let v = f64::from_bits((m as f64 / 1000.0).to_bits().saturating_add_signed(ulps));
                if minus { -v } else { v }
            }),
            2 => (0u64..3_000_000).prop_map(|m| m as f64 / 1000.0),
            1 => any::<u64>().prop_map(f64::from_bits),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn equals_the_shortest_digits(v in value()) {
            if let Some(text) = short(v) {
                prop_assert_eq!(text, v.to_string());
            }
        }

        #[test]
        fn no_short_decimal_is_missed(m in 0u64..1_000_000_000_000_000) {
            prop_assert!(short(m as f64 / 1000.0).is_some());
        }
    }
}
