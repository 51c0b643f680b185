//! Depth and length.

use super::all;
use crate::ast::ValueType;
use crate::parser::MAX_TEXT_BYTES;
use crate::walk;

#[test]
fn nesting_has_a_limit() {
    let nested = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("-", "a", ""),
        ("abs(", "a", ")"),
        ("sum by (x) (", "a", ")"),
        ("a ^ ", "a", ""),
        ("sum_over_time(", "a", "[5m:])"),
        ("", "a", "[5m:]"),
        ("a[1m:", "1m", "]"),
        ("x[(", "1m", ")]"),
    ] {
        let levels = |n: usize| match (open, close) {
            ("a[1m:", _) => format!("a[{}1m{}]", "(".repeat(n), ")".repeat(n)),
            ("x[(", _) => format!("x[{}1m]", "1 + ".repeat(n)),
            _ => nested(open, inner, close, n),
        };
        // Sub-queries of sub-queries are an error anyhow.
        if close != "[5m:]" {
            all(&levels(100)).unwrap_or_else(|e| panic!("{open}: {e}"));
        }
        for n in [300, 20_000] {
            let message = all(&levels(n)).unwrap_err().message;
            assert!(
                message.contains("nested more than 128 levels"),
                "{open}: {message}"
            );
        }
    }
    assert!(
        all(&" ".repeat(MAX_TEXT_BYTES + 1))
            .unwrap_err()
            .message
            .contains("longer than the limit")
    );
}

/// A chain may be as long as the text: nothing here recurses along it, and time is linear.
#[test]
fn long_chains() {
    let chain = |bytes: usize| format!("a{}", "+a".repeat(bytes / 2));
    let text = chain(64 << 10);
    let expr = all(&text).unwrap();
    assert_eq!(expr.value_type(), ValueType::Vector);
    assert_eq!(expr.clone(), expr);
    assert_eq!(expr.to_string().len(), 1 + 4 * (32 << 10));
    let mut nodes = 0;
    walk::visit(&expr, |_| nodes += 1);
    assert_eq!(nodes, 2 * (32 << 10) + 1);
    assert_eq!(walk::depth(&expr), (32 << 10) + 1);
    drop(expr);

    let time = |bytes: usize| {
        let text = chain(bytes);
        let runs = (0..3).map(|_| {
            let start = std::time::Instant::now();
            all(&text).unwrap();
            start.elapsed().as_secs_f64()
        });
        runs.fold(f64::INFINITY, f64::min)
    };
    let ratio = time(256 << 10) / time(32 << 10);
    // Eight times the text; a quadratic parser needs 64 times as long.
    assert!(ratio < 32.0, "took {ratio} times as long");
}
