//! What is refused, with Prometheus' texts and positions.

use super::all;

/// The whole error text, with `1:` for the line left out.
fn error(text: &str) -> String {
    match all(text) {
        Ok(expr) => panic!("{text:?} parses as {expr}"),
        Err(e) => e.to_string().replacen(" parse error:", "", 1),
    }
}

#[test]
fn syntax_errors() {
    for (text, want) in [
        ("", "unknown position: no expression found in input"),
        (" # only a comment\n", "1:1: no expression found in input"),
        ("1+", "1:3: unexpected end of input"),
        ("a\n+\n  *b", "3:3: unexpected <op:*>"),
        ("(foo", "1:5: unclosed left parenthesis"),
        ("(1))", "1:5: unexpected right parenthesis ')'"),
        ("foo bar", "1:5: unexpected identifier \"bar\""),
        ("foo a:b", "1:5: unexpected metric identifier \"a:b\""),
        (
            "foo 'a long string'",
            "1:5: unexpected string \"'a long st\"...",
        ),
        ("foo 5m", "1:5: unexpected duration \"5m\""),
        ("foo SUM", "1:5: unexpected <aggr:SUM>"),
        ("foo by (a)", "1:5: unexpected <by>"),
        ("foo start", "1:5: unexpected \"start\""),
        ("foo == ", "1:8: unexpected end of input"),
        ("foo = bar", "1:5: unexpected \"=\""),
        ("foo =~ bar", "1:5: unexpected character after '=': '~'"),
        ("foo ! bar", "1:5: unexpected character after '!': ' '"),
        ("foo $", "1:5: unexpected character: '$'"),
        ("föö", "1:2: unexpected character: 'ö'"),
        ("foo ] ", "1:5: unexpected right bracket ']'"),
        ("1e", "1:1: bad number or duration syntax: \"1e\""),
        ("1..2", "1:1: bad number or duration syntax: \"1..\""),
        ("1_", "1:1: bad number or duration syntax: \"1_\""),
        ("0xfg", "1:1: bad number or duration syntax: \"0xf\""),
        ("5mx", "1:1: bad number or duration syntax: \"5mx\""),
        (
            "1e400",
            "1:1: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range",
        ),
        ("5s1h", "1:1: not a valid duration string: \"5s1h\""),
        ("5hs", "1:1: unknown unit \"hs\" in duration \"5hs\""),
        ("300y", "1:1: duration out of range"),
        ("\"abc", "1:1: unterminated quoted string"),
        ("'a\nb'", "1:1: unterminated quoted string"),
        ("1 + `abc", "1:5: unterminated raw string"),
        (r#""\q""#, "1:1: unknown escape sequence U+0071 'q'"),
        (
            r#""\x4g""#,
            "1:1: illegal character U+0067 'g' in escape sequence",
        ),
        (
            r#""\ud800""#,
            "1:1: escape sequence is an invalid Unicode code point",
        ),
        (
            r#""\400""#,
            "1:1: escape sequence is an invalid Unicode code point",
        ),
        (r#""\"#, "1:1: escape sequence not terminated"),
        ("foo{", "1:5: unexpected end of input inside braces"),
        (
            "foo{,}",
            "1:5: unexpected \",\" in label matching, expected identifier or \"}\"",
        ),
        (
            "foo{a}",
            "1:6: unexpected \"}\" in label matching, expected label matching operator",
        ),
        (
            "foo{a=b}",
            "1:7: unexpected identifier \"b\" in label matching, expected string",
        ),
        (
            "foo{a='b' c='d'}",
            "1:11: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
        ),
        (
            "foo{'a' b}",
            "1:9: unexpected identifier \"b\" in label matching, expected \",\" or \"}\"",
        ),
        (
            "foo{a==b}",
            "1:7: unexpected \"=\" in label matching, expected string",
        ),
        (
            "foo{a:b='c'}",
            "1:6: unexpected character inside braces: ':'",
        ),
        (
            "foo{a!b}",
            "1:6: unexpected character after '!' inside braces: 'b'",
        ),
        ("foo{{}}", "1:5: unexpected left brace '{'"),
        (
            "foo{a=~'('}",
            "1:5: error parsing regexp: missing closing ): `(`",
        ),
        (
            "foo[",
            "1:5: unexpected end of input in duration expression",
        ),
        (
            "foo[]",
            "1:5: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo['5m']",
            "1:5: unexpected character in duration expression: '\\''",
        ),
        ("foo[5m", "1:7: unclosed left bracket"),
        (
            "foo[5m 5m]",
            "1:8: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
        ),
        (
            "foo[5m+]",
            "1:8: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo[5m:5m+]",
            "1:11: unexpected \"]\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
        ),
        (
            "foo[5m:5m 1]",
            "1:11: unexpected number \"1\" in subquery selector, expected \"]\"",
        ),
        ("foo[5m::5m]", "1:8: unexpected colon ':'"),
        (
            "foo[:5m]",
            "1:6: unexpected colon before duration in duration expression",
        ),
        (
            "foo[step]",
            "1:9: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo[x]",
            "1:5: unexpected character in duration expression: 'x'",
        ),
        ("foo[5m x]", "1:8: unexpected character: 'x', expected ':'"),
        (
            "foo offset",
            "1:11: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo offset bar",
            "1:12: unexpected identifier \"bar\" in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo @",
            "1:6: unexpected end of input in @, expected timestamp",
        ),
        (
            "foo @ bar",
            "1:7: unexpected identifier \"bar\" in @, expected timestamp",
        ),
        (
            "foo @ start",
            "1:12: unexpected end of input in @, expected timestamp",
        ),
        (
            "sum(foo bar)",
            "1:9: unexpected identifier \"bar\" in aggregation",
        ),
        (
            "sum by (a) foo",
            "1:12: unexpected identifier \"foo\" in aggregation",
        ),
        (
            "sum by a (foo)",
            "1:8: unexpected identifier \"a\" in grouping opts, expected \"(\"",
        ),
        (
            "sum by (1) (foo)",
            "1:9: unexpected number \"1\" in grouping opts, expected label",
        ),
        (
            "sum by (without) (foo)",
            "1:9: unexpected <without> in grouping opts, expected label",
        ),
        (
            "sum by (a b) (foo)",
            "1:11: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        (
            "sum by ('') (foo)",
            "1:9: invalid label name for grouping: \"\"",
        ),
        (
            "sum(rate(foo bar))",
            "1:14: unexpected identifier \"bar\" in aggregation",
        ),
        ("rate(foo bar)", "1:10: unexpected identifier \"bar\""),
        ("sum foo", "1:5: unexpected identifier \"foo\""),
        (
            "a * on(x) group_left)",
            "1:22: unexpected right parenthesis ')'",
        ),
        (
            "a * on(x) group_left == b",
            "1:22: unexpected <op:==> in grouping opts, expected \"(\"",
        ),
        ("a + group_left(x) b", "1:5: unexpected <group_left>"),
        ("a on(x) b", "1:3: unexpected <on>"),
        ("a + on(x) ignoring(y) b", "1:11: unexpected <ignoring>"),
        (
            "rate(foo[1m],)",
            "1:13: trailing commas not allowed in function call args",
        ),
    ] {
        assert_eq!(error(text), want, "{text}");
    }
}

#[test]
fn semantic_errors() {
    for (text, want) in [
        (
            "1 offset 1d",
            "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "foo offset 1s offset 2s",
            "1:1: offset may not be set multiple times",
        ),
        (
            "(foo) @ 5",
            "1:1: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "foo @ 1 @ 2",
            "1:1: @ <timestamp> may not be set multiple times",
        ),
        (
            "foo @ Inf",
            "1:1: timestamp out of bounds for @ modifier: +Inf",
        ),
        (
            "foo @ 1e300",
            &format!("1:1: timestamp out of bounds for @ modifier: {:.6}", 1e300),
        ),
        (
            "foo[5m] [5m]",
            "1:9: ranges only allowed for vector selectors",
        ),
        ("(foo)[5m]", "1:6: ranges only allowed for vector selectors"),
        (
            "foo offset 1m [5m]",
            "1:15: no offset modifiers allowed before range",
        ),
        (
            "foo @ start() [5m]",
            "1:15: no @ modifiers allowed before range",
        ),
        ("foo[0]", "1:5: duration must be greater than 0"),
        ("foo[-5m]", "1:5: duration must be greater than 0"),
        ("foo[5m:0s]", "1:8: duration must be greater than 0"),
        ("foo[5m/0]", "1:7: division by zero"),
        ("foo[5m%0s]", "1:7: modulo by zero"),
        ("foo[1e11]", "1:5: duration out of range"),
        ("foo offset -1e11", "1:13: duration out of range"),
        (
            "foo[5m:] anchored",
            "1:1: anchored modifier is not supported for subqueries",
        ),
        ("(foo) smoothed", "1:1: smoothed modifier not implemented"),
        (
            "foo anchored smoothed",
            "1:1: anchored and smoothed modifiers cannot be used together",
        ),
        (
            "1 == 1",
            "1:3: comparisons between scalars must use BOOL modifier",
        ),
        (
            "foo + bool bar",
            "1:5: bool modifier can only be used on comparison operators",
        ),
        (
            "1 and 1",
            "1:1: set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "foo or 1",
            "1:1: set operator \"or\" not allowed in binary scalar expression",
        ),
        (
            "foo + on(a) 1",
            "1:1: vector matching only allowed between instant vectors",
        ),
        (
            "1 + fill(1) foo",
            "1:1: filling in missing series only allowed between instant vectors",
        ),
        (
            "foo or fill(1) bar",
            "1:1: filling in missing series not allowed for set operators",
        ),
        (
            "foo and on(a) group_left(b) bar",
            "1:1: no grouping allowed for \"and\" operation",
        ),
        (
            "foo + on(a, b) group_left(b) bar",
            "1:5: label \"b\" must not occur in ON and GROUP clause at once",
        ),
        (
            "foo + 'a'",
            "1:7: binary expression must contain only scalar and instant vector types",
        ),
        (
            "1 + 2 + foo[5m] + 3",
            "1:9: binary expression must contain only scalar and instant vector types",
        ),
        (
            "-'a'",
            "1:1: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        (
            "-foo[5m]",
            "1:1: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
        ),
        (
            "{}",
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            "1 + {a=~'.*',b!='c'}",
            "1:5: vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo{__name__='bar'}",
            "1:1: metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        (
            "foo{'bar'}",
            "1:1: metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        ("foo()", "1:1: unknown function with name \"foo\""),
        ("START()", "1:1: unknown function with name \"START\""),
        (
            "rate(foo)",
            "1:6: expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "rate()",
            "1:1: expected 1 argument(s) in call to \"rate\", got 0",
        ),
        (
            "round()",
            "1:1: expected at least 1 argument(s) in call to \"round\", got 0",
        ),
        (
            "round(foo, 1, 2)",
            "1:1: expected at most 2 argument(s) in call to \"round\", got 3",
        ),
        (
            "label_join(foo, 'a')",
            "1:1: expected at least 3 argument(s) in call to \"label_join\", got 2",
        ),
        (
            "histogram_quantiles(foo, 'q')",
            "1:1: expected at least 3 argument(s) in call to \"histogram_quantiles\", got 2",
        ),
        (
            "label_join(foo, 'a', ',', 1)",
            "1:27: expected type string in call to function \"label_join\", got scalar",
        ),
        (
            "info(foo, bar)",
            "1:11: expected label selectors only, got vector selector instead",
        ),
        (
            "info(foo, {a='b'} + 1)",
            "1:11: expected label selectors only",
        ),
        (
            "info(foo, 1)",
            "1:1: expected type instant vector in call to function \"info\", got scalar",
        ),
        (
            "sum()",
            "1:1: no arguments for aggregate expression provided",
        ),
        (
            "sum(a, b)",
            "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        (
            "1 + topk(a)",
            "1:5: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "sum(1)",
            "1:5: expected type instant vector in aggregation expression, got scalar",
        ),
        (
            "topk('a', b)",
            "1:6: expected type scalar in aggregation parameter, got string",
        ),
        (
            "limit_ratio('a', b)",
            "1:13: expected type scalar in aggregation parameter, got string",
        ),
        (
            "count_values(1, b)",
            "1:14: expected type string in aggregation parameter, got scalar",
        ),
        (
            "foo[5m][1h:]",
            "1:1: subquery is only allowed on instant vector, got matrix instead",
        ),
        (
            "sum(foo[5m:])",
            "1:5: expected type instant vector in aggregation expression, got range vector",
        ),
        (
            "foo[5m:][5m:]",
            "1:1: subquery is only allowed on instant vector, got matrix instead",
        ),
    ] {
        assert_eq!(error(text), want, "{text}");
    }
}
