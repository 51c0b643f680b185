//! Tables of valid and invalid expressions, spans, and the limits.
#![allow(clippy::unwrap_used)]

mod errors;
mod limits;

use super::*;
use crate::ast::{BinaryOp, Cardinality};
use crate::walk;

fn all(text: &str) -> Result<Expr, ParseError> {
    parse(text, &ParseOptions::all())
}

fn canonical(text: &str) -> String {
    match all(text) {
        Ok(expr) => expr.to_string(),
        Err(e) => panic!("{text:?}: {e}"),
    }
}

fn number(text: &str) -> f64 {
    match all(text).unwrap().kind {
        ExprKind::Number(literal) => literal.value,
        other => panic!("{text:?} is {other:?}"),
    }
}

#[test]
fn numbers() {
    for (text, want) in [
        ("1", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("2.5E-3", 0.0025),
        ("010", 8.0),
        ("08", 8.0),
        ("0x1F", 31.0),
        ("0x_ff", 255.0),
        ("1_000", 1000.0),
        ("1_0.5_0e1_0", 10.5e10),
        ("-010", -8.0),
        ("+1", 1.0),
        ("--1", 1.0),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("1e-400", 0.0),
        ("iNf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("-1d", -86_400.0),
        ("1500ms", 1.5),
    ] {
        assert_eq!(number(text).to_bits(), want.to_bits(), "{text}");
    }
    assert!(number("NaN").is_nan());
}

#[test]
fn strings() {
    for (text, want) in [
        (r#""""#, ""),
        ("''", ""),
        ("``", ""),
        (r#""a\"b\\""#, "a\"b\\"),
        (r"'a\'b'", "a'b"),
        (r"`a\nb`", r"a\nb"),
        ("`a\nb`", "a\nb"),
        (r#""\a\b\f\n\r\t\v""#, "\x07\x08\x0c\n\r\t\x0b"),
        (r#""\x41\101\u263a\U0001F600""#, "AA☺😀"),
        (r#""\xc3\xa9""#, "é"),
        (r#""\xff""#, "\u{fffd}"),
        ("\"# no comment\"", "# no comment"),
    ] {
        match all(text).unwrap().kind {
            ExprKind::String(found) => assert_eq!(found.value, want, "{text}"),
            other => panic!("{text:?} is {other:?}"),
        }
    }
}

#[test]
fn canonical_forms() {
    for (text, want) in [
        ("a+b*c^d^e", "a + b * c ^ d ^ e"),
        ("-a ^ 2", "-a ^ 2"),
        ("a # one\n +\t b# two", "a + b"),
        ("a>bool b", "a > bool b"),
        ("a </ 5 >/ 3", "a </ 5 >/ 3"),
        ("a and on() b", "a and on () b"),
        ("a AND IGNORING(x,) B", "a and ignoring (x) B"),
        ("a * on(x) group_left b", "a * on (x) group_left () b"),
        (
            r#"a / ignoring(x) group_right("a.b") b"#,
            r#"a / ignoring (x) group_right ("a.b") b"#,
        ),
        ("a + fill(0) b", "a + fill (0) b"),
        (
            "a + on(x) group_left(y) fill_right(-2.5) fill_left(1e30) b",
            "a + on (x) group_left (y) fill_left (1e+30) fill_right (-2.5) b",
        ),
        ("fill + fill_left", "fill + fill_left"),
        ("SUM(x)by(a,b)", "sum by (a, b) (x)"),
        ("sum by () (x)", "sum(x)"),
        ("sum without () (x)", "sum without () (x)"),
        ("topk(3, x) without (le)", "topk without (le) (3, x)"),
        (
            r#"count_values by ("x y") ("v", x)"#,
            r#"count_values by ("x y") ("v", x)"#,
        ),
        (
            r#"label_join(x, "a", "\xff\x41", "é\U0001F600")"#,
            r#"label_join(x, "a", "\xffA", "é😀")"#,
        ),
        (
            "sum by (by, on, sum, start, step, atan2, bool, a:b) (x)",
            r#"sum by (by, on, sum, start, step, atan2, bool, "a:b") (x)"#,
        ),
        ("limitk(1, x)", "limitk(1, x)"),
        ("rate( x [ 5m ] )", "rate(x[5m])"),
        ("x[60]", "x[1m]"),
        ("x[1d12h]", "x[1d12h]"),
        ("x[5m:]", "x[5m:]"),
        ("x[1h:60s] @ 5 offset 1w", "x[1h:1m] @ 5.000 offset 1w"),
        ("x offset -90m", "x offset -1h30m"),
        ("x offset 0s offset 5", "x offset 5s"),
        ("x offset 1m @ start()", "x @ start() offset 1m"),
        ("x[5m] @ -1.5", "x[5m] @ -1.500"),
        ("x @ 1h", "x @ 3600.000"),
        ("x anchored", "x anchored"),
        ("x[5m] smoothed offset 1m", "x[5m] smoothed offset 1m"),
        ("x[5m*2+1s]", "x[5m * 2 + 1s]"),
        ("x[(5m)]", "x[(5m)]"),
        ("x[step()]", "x[step()]"),
        ("x[-(-5m)]", "x[-(-5m)]"),
        ("x[1h:min_of(step(), 5m)]", "x[1h:min_of(step(), 5m)]"),
        ("x[((5m))] offset (((1m + 1m)))", "x[(5m)] offset (1m + 1m)"),
        ("x offset -(5)", "x offset -(5)"),
        ("x offset +step()", "x offset step()"),
        ("x offset -2^2", "x offset -2s ^ 2"),
        ("x offset (5m) + 3m", "x offset (5m) + 3m"),
        (
            "x offset max_of(5m, range()) + 3",
            "x offset max_of(5m, range()) + 3",
        ),
        (
            r#"{"a.b", c='d', e!~"f|g"}"#,
            r#"{__name__="a.b",c="d",e!~"f|g"}"#,
        ),
        (r#"x{b="1","a.b"=~"2",}"#, r#"x{"a.b"=~"2",b="1"}"#),
        ("x{}", "x"),
        (r#"{__name__="x"}"#, r#"{__name__="x"}"#),
        (r#"x{a="\n☺\u00ad"}"#, r#"x{a="\n☺\u00ad"}"#),
        ("and and and", "and and and"),
        (
            "sum + start + step / anchored",
            "sum + start + step / anchored",
        ),
        ("on_x:y", "on_x:y"),
        ("+x", "+x"),
        ("-(1)", "-(1)"),
        ("1000000 * 1e-7", "1000000 * 0.0000001"),
        ("1e21", "1000000000000000000000"),
        ("1h", "1h"),
        ("-90m", "-1h30m"),
        (r#"info(x, {data=~".*"})"#, r#"info(x, {data=~".*"})"#),
        ("info(x, {})", "info(x, {})"),
        ("label_join(x, 'a', ',')", r#"label_join(x, "a", ",")"#),
        ("time() - start() + step()", "time() - start() + step()"),
        ("round(x) + round(x, 5)", "round(x) + round(x, 5)"),
    ] {
        assert_eq!(canonical(text), want, "{text}");
        assert_eq!(canonical(want), want, "{want} is not stable");
    }
}

#[test]
fn precedence_and_matching() {
    let shape = |text: &str| {
        let mut expr = all(text).unwrap();
        fn bracket(expr: &mut Expr) -> String {
            match &mut expr.kind {
                ExprKind::Binary(b) => {
                    let (lhs, rhs) = (bracket(&mut b.lhs), bracket(&mut b.rhs));
                    format!("({lhs} {} {rhs})", b.op.as_str())
                }
                ExprKind::Unary(op, inner) => format!("({}{})", op.as_str(), bracket(inner)),
                _ => expr.to_string(),
            }
        }
        bracket(&mut expr)
    };
    for (text, want) in [
        (
            "a or b and c unless d == e + f * g ^ h",
            "(a or ((b and c) unless (d == (e + (f * (g ^ h))))))",
        ),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b * c", "((-(a ^ b)) * c)"),
        ("2 ^ -a * b", "((2 ^ (-a)) * b)"),
        ("a atan2 b * c % d / e", "((((a atan2 b) * c) % d) / e)"),
        ("a < b >= c", "((a < b) >= c)"),
        ("-1 * 2", "(-1 * 2)"),
        ("-a offset 5m", "(-a offset 5m)"),
    ] {
        assert_eq!(shape(text), want, "{text}");
    }
    let matching = |text: &str| match all(text).unwrap().kind {
        ExprKind::Binary(b) => (b.op, b.matching.clone().map(|m| m.card)),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        matching("a and b"),
        (BinaryOp::And, Some(Cardinality::ManyToMany))
    );
    assert_eq!(
        matching("a + b"),
        (BinaryOp::Add, Some(Cardinality::OneToOne))
    );
    assert_eq!(matching("a + on() 1"), (BinaryOp::Add, None));
    assert_eq!(matching("1 + 1"), (BinaryOp::Add, None));
}

#[test]
fn features_are_gated() {
    let none = ParseOptions {
        duration_expressions: false,
        ..ParseOptions::default()
    };
    for (text, want) in [
        (
            "mad_over_time(foo[5m])",
            "1:1: parse error: function \"mad_over_time\" is not enabled",
        ),
        (
            "1 + step()",
            "1:5: parse error: function \"step\" is not enabled",
        ),
        (
            "limitk(1, foo)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        (
            "foo[5m*2]",
            "1:5: parse error: experimental duration expression is not enabled",
        ),
        (
            "foo[(5m)]",
            "1:6: parse error: experimental duration expression is not enabled",
        ),
        (
            "foo[step()]",
            "1:5: parse error: experimental duration expression is not enabled",
        ),
        (
            "foo offset (5m)",
            "1:13: parse error: experimental duration expression is not enabled",
        ),
        (
            "foo anchored",
            "1:1: parse error: anchored modifier is experimental and not enabled",
        ),
        (
            "rate(foo[5m] smoothed)",
            "1:6: parse error: smoothed modifier is experimental and not enabled",
        ),
        (
            "foo + fill(0) bar",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
        ),
    ] {
        assert_eq!(parse(text, &none).unwrap_err().to_string(), want);
        all(text).unwrap();
    }
    parse("foo[5m*2] offset -(5m)", &ParseOptions::default()).unwrap();
    parse("anchored + smoothed + fill", &none).unwrap();
}

#[test]
fn spans_cover_the_source() {
    let text = " sum(foo{a='b'}[5m:] offset 1m) by (x) + (-bar) ";
    let valid = "rate(foo{a='b'}[5m] offset 1m) + (-bar)";
    let expr = all(valid).unwrap();
    let mut spans = Vec::new();
    walk::visit(&expr, |e| {
        spans.push(&valid[e.span.start as usize..e.span.end as usize]);
    });
    assert_eq!(
        spans,
        [
            "rate(foo{a='b'}[5m] offset 1m) + (-bar)",
            "rate(foo{a='b'}[5m] offset 1m)",
            "foo{a='b'}[5m] offset 1m",
            "(-bar)",
            "-bar",
            "bar",
        ]
    );
    let e = all(text).unwrap_err();
    assert_eq!(
        &text[e.span.start as usize..e.span.end as usize],
        "foo{a='b'}[5m:] offset 1m"
    );
}

#[test]
fn selectors_alone() {
    let names = |text: &str| -> Vec<String> {
        let matchers = parse_metric_selector(text).unwrap();
        matchers.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        names("up{job=~'a|b'}"),
        [r#"job=~"a|b""#, r#"__name__="up""#]
    );
    assert_eq!(names("{'a.b'}"), [r#"__name__="a.b""#]);
    assert!(names("{}").is_empty());
    for (text, want) in [
        ("", "unknown position: parse error: unexpected end of input"),
        ("1", "1:1: parse error: unexpected number \"1\""),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("up or up", "1:4: parse error: unexpected <op:or>"),
        (
            "up{a}",
            "1:5: parse error: unexpected \"}\" in label matching, expected label matching operator",
        ),
    ] {
        assert_eq!(parse_metric_selector(text).unwrap_err().to_string(), want);
    }
}
