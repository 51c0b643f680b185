//! Logarithms, powers of two and arc tangents that agree with Go's to the last bit.
//!
//! The system's versions may differ in the last digit, and these numbers are results. The methods are the
//! classic ones of FDLIBM (exponential) and Cephes (arc tangent), which Go uses too. Go's `exp` (and
//! with it `pow` and the hyperbolic functions) depends on the processor, so the system's is as good.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LOG10_E};

pub(crate) use bellwether_model::float::{ln, log2};

const LN2_HI: f64 = 6.931_471_803_691_238e-1;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// Decimal logarithm.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x) * LOG10_E
}

/// Two to the power of `x`.
pub(crate) fn exp2(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x == f64::NEG_INFINITY || x < -1074.0 {
        return 0.0;
    }
    if x > 1.023_999_999_999_999_9e3 {
        return f64::INFINITY;
    }
    let k = if x > 0.0 {
        (x + 0.5) as i32
    } else {
        (x - 0.5) as i32
    };
    let t = x - f64::from(k);
    let (hi, lo) = (t * LN2_HI, -t * LN2_LO);
    let r = hi - lo;
    let t = r * r;
    let c = r - t
        * (1.666_666_666_666_666_6e-1
            + t * (-2.777_777_777_701_559_3e-3
                + t * (6.613_756_321_437_934e-5
                    + t * (-1.653_390_220_546_525_2e-6 + t * 4.138_136_797_057_238e-8))));
    let y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    if k < -1000 {
        y * 2f64.powi(k + 100) * 2f64.powi(-100)
    } else {
        y * 2f64.powi(k - 1) * 2.0
    }
}

/// Arc tangent of a number in 0..0.66.
fn small_atan(x: f64) -> f64 {
    let z = x * x;
    let numerator = (((-8.750_608_600_031_904e-1 * z - 1.615_753_718_733_365e1) * z
        - 7.500_855_792_314_705e1)
        * z
        - 1.228_866_684_490_136_1e2)
        * z
        - 6.485_021_904_942_025e1;
    let denominator = ((((z + 2.485_846_490_142_306_3e1) * z + 1.650_270_098_316_988_5e2) * z
        + 4.328_810_604_912_903e2)
        * z
        + 4.853_903_996_359_137e2)
        * z
        + 1.945_506_571_482_614e2;
    x * (z * numerator / denominator) + x
}

fn positive_atan(x: f64) -> f64 {
    // tan(3 pi / 8) and the low bits of pi / 2.
    const TAN_3_PI_8: f64 = 2.414_213_562_373_095;
    const MORE: f64 = 6.123_233_995_736_766e-17;
    if x <= 0.66 {
        small_atan(x)
    } else if x > TAN_3_PI_8 {
        FRAC_PI_2 - small_atan(1.0 / x) + MORE
    } else {
        FRAC_PI_4 + small_atan((x - 1.0) / (x + 1.0)) + 0.5 * MORE
    }
}

/// Arc tangent.
pub(crate) fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        positive_atan(x)
    } else {
        -positive_atan(-x)
    }
}

/// Arc tangent of `y / x` in the right quadrant.
pub(crate) fn atan2(y: f64, x: f64) -> f64 {
    if x.is_nan() || y.is_nan() || y == 0.0 || x == 0.0 || x.is_infinite() || y.is_infinite() {
        // Multiples of pi / 4, where all implementations agree.
        return y.atan2(x);
    }
    let q = atan(y / x);
    if x >= 0.0 {
        q
    } else if q <= 0.0 {
        q + std::f64::consts::PI
    } else {
        q - std::f64::consts::PI
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_system() {
        let mut x = 1e-300;
        while x < 1e300 {
            for (ours, system) in [
                (ln(x), x.ln()),
                (log2(x), x.log2()),
                (log10(x), x.log10()),
                (atan(x), x.atan()),
                (atan2(-x, -3.0), (-x).atan2(-3.0)),
            ] {
                assert!(
                    (ours - system).abs() <= 4.0 * f64::EPSILON * system.abs(),
                    "{x}"
                );
            }
            let e = log2(x);
            assert!(
                (exp2(e) - e.exp2()).abs() <= 4.0 * f64::EPSILON * e.exp2(),
                "{e}"
            );
            x *= 1.37;
        }
        assert_eq!(log2(8.0), 3.0);
        assert_eq!(exp2(10.0), 1024.0);
        assert_eq!(exp2(-1074.0), f64::from_bits(1));
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
    }
}
