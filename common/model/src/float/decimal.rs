//! Values of few decimals, which most gauges and counters have, written without the search for the shortest digits.
//!
//! A decimal of at most 15 digits stands for itself: no two of them round to the same float. So when `m / 1000`, which
//! IEEE 754 rounds correctly, is the value, the digits of `m` without zeros at the end are its shortest ones.

/// Below it a thousand times the value has at most 15 digits.
const LIMIT: f64 = 1e12;
/// A sign, 12 digits, a point and three digits.
const LONGEST: usize = 17;

/// `00` to `99`.
pub(super) static PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut i = 0;
    while i < 100 {
        pairs[2 * i] = b'0' + (i / 10) as u8;
        pairs[2 * i + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    pairs
};

/// Appends a value of at most three decimals below 10^12; false for any other.
#[inline]
pub(super) fn push(out: &mut String, v: f64) -> bool {
    let abs = v.abs();
    let thousands = abs * 1000.0;
    if abs.is_nan() || abs >= LIMIT {
        return false;
    }
    let m = (thousands + 0.5) as u64;
    // The multiplication is off by half a unit in the last place at most; the division only decides close calls.
    let off = (thousands - m as f64).abs();
    if off > thousands * f64::EPSILON || m as f64 / 1000.0 != abs {
        return false;
    }
    let mut text = [0u8; LONGEST];
    let at = digits(&mut text, m, v.is_sign_negative());
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
    true
}

/// Writes thousandths from the end of `text`; where they begin.
fn digits(text: &mut [u8; LONGEST], m: u64, negative: bool) -> usize {
    let mut at = text.len();
    let (mut whole, fraction) = (m / 1000, (m % 1000) as usize);
    if fraction != 0 {
        let (two, last) = (fraction / 10 * 2, fraction % 10);
        // All three digits, without zeros at the end.
        let mut all = [PAIRS[two], PAIRS[two + 1], b'0' + last as u8];
        let mut len = 3;
        while all[len - 1] == b'0' {
            len -= 1;
        }
        all.rotate_right(3 - len);
        text[LONGEST - 3..].copy_from_slice(&all);
        at -= len + 1;
        text[at] = b'.';
    }
    while whole >= 10 {
        let two = (whole % 100) as usize * 2;
        whole /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[two..two + 2]);
    }
    if whole > 0 || at == text.len() || text[at] == b'.' {
        at -= 1;
        text[at] = b'0' + whole as u8;
    }
    if negative {
        at -= 1;
        text[at] = b'-';
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
