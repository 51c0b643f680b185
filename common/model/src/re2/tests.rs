//! Tables by construct, and properties over random patterns.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::Re2;

fn matches(pattern: &str, text: &str) -> bool {
    Re2::anchored(pattern).unwrap().is_match(text)
}

fn error(pattern: &str) -> String {
    Re2::anchored(pattern).unwrap_err().to_string()
}

/// Pattern, texts that match, texts that do not.
fn table(rows: &[(&str, &[&str], &[&str])]) {
    for (pattern, yes, no) in rows {
        for text in *yes {
            assert!(matches(pattern, text), "{pattern:?} should match {text:?}");
        }
        for text in *no {
            assert!(
                !matches(pattern, text),
                "{pattern:?} should not match {text:?}"
            );
        }
    }
}

#[test]
fn classes_are_ascii_and_folding_is_unicode() {
    table(&[
        (r"\d+", &["019"], &["٣", "a", ""]),
        (r"\w", &["_", "a", "0"], &["é", "-"]),
        (r"\W", &["é", "-"], &["a"]),
        (r"\s", &[" ", "\t", "\n", "\r", "\x0c"], &["\x0b", "\u{a0}"]),
        (r"[\s\d]+", &["1 2"], &["1\x0b2"]),
        (r"[^\D]", &["7"], &["x"]),
        (r".*\bé.*", &["aé"], &["é", " é"]),
        (r"a\Bb", &["ab"], &["a b"]),
        (r"é\B.", &["éé"], &["éa"]),
        ("(?i)k", &["k", "K", "\u{212a}"], &["c"]),
        (r"(?i)\w", &["\u{17f}"], &["é"]),
        ("(?i)straße", &["STRAßE"], &["STRASSE"]),
        ("[[:alpha:]]+", &["aZ"], &["é", "1"]),
        ("[[:^digit:]]", &["é"], &["1"]),
    ]);
}

#[test]
fn escapes() {
    table(&[
        (r"\Q.*\E", &[".*"], &["ab"]),
        (r"\Qa+b", &["a+b"], &["aab"]),
        (r"x\Qab\E*", &["xa", "xabb"], &["xabab"]),
        (r"\123", &["S"], &[]),
        (r"\0", &["\0"], &["0"]),
        (r"\08", &["\x008"], &[]),
        (r"\x41\x{263a}", &["A☺"], &[]),
        (r"\<\-\_", &["<-_"], &[]),
        (r"\a\f\t\n\r\v", &["\x07\x0c\t\n\r\x0b"], &[]),
        (r"\x{d800}", &[], &["", "\u{fffd}"]),
        (r"[\x{d7ff}-\x{e000}]", &["\u{d7ff}", "\u{e000}"], &["a"]),
        (r"\Aab\z", &["ab"], &["abc"]),
    ]);
}

#[test]
fn braces_and_brackets_as_text() {
    table(&[
        ("a{", &["a{"], &["a"]),
        ("a{,5}", &["a{,5}"], &["aa"]),
        ("x{-1}", &["x{-1}"], &[]),
        ("{", &["{"], &[]),
        ("a{02}", &["a{02}"], &["aa"]),
        ("a{2}", &["aa"], &["a", "a{2}"]),
        ("(a{2}){2}", &["aaaa"], &["aaa"]),
        ("[[a]", &["[", "a"], &["]"]),
        ("[[a]]", &["[]", "a]"], &["a"]),
        ("[a&&b]", &["a", "&", "b"], &[]),
        ("[a~~b]", &["~"], &[]),
        (r"[\d-z]", &["5", "-", "z"], &["a"]),
        ("[]a]", &["]", "a"], &[]),
        ("[^]a]", &["b"], &["]"]),
        ("[a-]", &["a", "-"], &["b"]),
    ]);
}

#[test]
fn unicode_groups() {
    table(&[
        (r"\pL\p{Lu}", &["aÉ"], &["aé"]),
        (r"\p{^L}", &["1"], &["a"]),
        (r"\P{^L}", &["a"], &["1"]),
        (r"[\p{Greek}\pN]+", &["αβ1"], &["a"]),
        (r"\p{Any}", &["x", "\n"], &[]),
        (r"\p{Old_Italic}", &["\u{10300}"], &["a"]),
    ]);
    for pattern in [
        r"\p{IsGreek}",
        r"\p{Script=Greek}",
        r"\p{Grek}",
        r"\p{greek}",
        r"\p{Foo}",
        r"\pX",
    ] {
        let shown = format!("error parsing regexp: invalid character class range: `{pattern}`");
        assert_eq!(error(pattern), shown);
    }
}

#[test]
fn flags_and_groups() {
    table(&[
        ("a.b", &["a\nb", "axb"], &["ab"]),
        ("(?-s)a.b", &["axb"], &["a\nb"]),
        ("(?i:a)b", &["Ab"], &["AB"]),
        ("a(?i)b|c", &["aB", "C"], &["AB"]),
        ("a(?i)*", &["", "aaa"], &["A"]),
        ("(?i-i:a)", &["a"], &["A"]),
        ("(?ii)a", &["A"], &[]),
        ("(?P<n>a)(?P<n>b)", &["ab"], &[]),
        ("(?<n>a)", &["a"], &[]),
        ("(|a)b||c", &["b", "ab", "", "c"], &["a"]),
        ("^a$", &["a"], &["a\n"]),
        ("a|b", &["a", "b"], &["ab", "xa", "bx"]),
        ("(?:a|b)c", &["ac", "bc"], &["a", "c"]),
        ("", &[""], &["a"]),
    ]);
}

#[test]
fn errors_are_those_of_go() {
    for (pattern, message) in [
        ("a(", "missing closing ): `a(`"),
        ("a)", "unexpected ): `a)`"),
        ("x[a-z", "missing closing ]: `[a-z`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[a--b]", "invalid character class range: `a--`"),
        (r"[a-\d]", r"invalid escape sequence: `\d`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("abc\\", "trailing backslash at end of expression: ``"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|+?", "missing argument to repetition operator: `+?`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*+", "invalid nested repetition operator: `*+`"),
        ("a++", "invalid nested repetition operator: `++`"),
        ("x{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{9999999999}", "invalid repeat count: `{9999999999}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?R)", "invalid or unsupported Perl syntax: `(?R`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
        ("(?P<a b>x)", "invalid named capture: `(?P<a b>`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\x4g", r"invalid escape sequence: `\x4g`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
    ] {
        assert_eq!(error(pattern), format!("error parsing regexp: {message}"));
    }
}

#[test]
fn too_deep_and_too_large_are_errors() {
    let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
    assert!(error(&deep).contains("expression nests too deeply"));
    assert!(
        error(r"(\pL\pN\pS){1000}\pL{1000}\pN{1000}(\pL|\pS){1000}")
            .contains("expression too large")
    );
}

#[test]
fn small_sets_are_known() {
    for (pattern, set) in [
        ("a", &["a"][..]),
        ("a|b|c", &["a", "b", "c"]),
        ("(a|b|c)", &["a", "b", "c"]),
        ("(?:foo|bar)", &["bar", "foo"]),
        ("foo(1|2)", &["foo1", "foo2"]),
        ("foo[1-3]", &["foo1", "foo2", "foo3"]),
        (r"10\.0\.0\.1:9100", &["10.0.0.1:9100"]),
        ("", &[""]),
        ("colou?r", &["color", "colour"]),
    ] {
        let regex = Re2::anchored(pattern).unwrap();
        let mut found = regex.literal_set().unwrap_or_default().to_vec();
        found.sort();
        assert_eq!(found, set, "{pattern}");
    }
    for pattern in ["a.*", ".*", "a+", "[a-z]{3}", "^a|b.$"] {
        assert_eq!(
            Re2::anchored(pattern).unwrap().literal_set(),
            None,
            "{pattern}"
        );
    }
    assert_eq!(Re2::anchored("abc.+x").unwrap().prefix(), "abc");
    assert_eq!(Re2::anchored("abc|abd").unwrap().prefix(), "ab");
}

#[test]
fn wildcards_need_no_engine() {
    table(&[
        (".*", &["", "a\nb"], &[]),
        (".+", &["a", "\n"], &[""]),
        ("foo.*", &["foo", "foox"], &["xfoo"]),
        ("foo.+", &["foox"], &["foo"]),
        (".*foo", &["foo", "xfoo"], &["foox"]),
        (".+foo", &["éfoo"], &["foo"]),
        (".*foo.*", &["foo", "xfoox"], &["fo"]),
        (".+foo.+", &["éfooé"], &["foo", "xfoo", "foox"]),
        ("(?:a|b).*", &["a", "bx"], &["c"]),
        (".*(a|b).*", &["xay"], &["xyz"]),
        (".+.*", &["é"], &[""]),
    ]);
}

#[test]
fn templates() {
    for (pattern, text, template, want) in [
        ("(.*)", "abc", "x-$1", Some("x-abc")),
        ("(.*)", "abc", "$2", Some("")),
        ("a|b", "a", "${0}$1", Some("a")),
        ("(a|b)", "b", "$1$1", Some("bb")),
        ("(?P<n>x.*)", "xy", "${n}$n", Some("xyxy")),
        ("(?P<n>a)?(?P<n>b)?", "b", "$n", Some("b")),
        (
            "foo(.*)",
            "foobar",
            "$1_x|${1}_x|$$1|$",
            Some("|bar_x|$1|$"),
        ),
        ("foo(.*)", "bar", "$1", None),
        ("(a)|(b)", "b", "[$1][$2]", Some("[][b]")),
    ] {
        let regex = Re2::anchored(pattern).unwrap();
        assert_eq!(
            regex.replace(text, template).as_deref(),
            want,
            "{pattern} {template}"
        );
    }
}

#[test]
fn unanchored_patterns_find_parts() {
    let regex = Re2::unanchored("b+").unwrap();
    assert!(regex.is_match("abba") && !regex.is_match("aca"));
    assert!(!Re2::unanchored("a.b").unwrap().is_match("a\nb"));
    for (pattern, text, template, want) in [
        ("b+", "abbab", "<$0>", "a<bb>a<b>"),
        ("a*", "baaac", "x", "xbxcx"),
        (r"\B", "éé", "-", "-é-é-"),
        ("(.)-(.)", "a-b c-d", "$2$1", "ba dc"),
    ] {
        assert_eq!(
            Re2::unanchored(pattern)
                .unwrap()
                .replace_all(text, template),
            want,
            "{pattern}"
        );
    }
}

fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "b", "ab", ".", ".*", ".+", "(", "(?:", "(?i)", ")", ")", "|", "*", "?", "{2}",
        "[ab]", "[^a]", r"\d", r"\w", r"\b", r"\B", r"\Q", r"\E", r"\p{L}", "[", "]", "\\",
        "(?P<n>", "{", "}", "é", "^", "$",
    ])
}

proptest! {
    #[test]
    fn no_pattern_panics(pattern in any::<String>(), text in any::<String>()) {
        if let Ok(regex) = Re2::anchored(&pattern) {
            let _ = regex.is_match(&text);
        }
    }

    /// The translation is always valid, and shapes agree with the engine, captures included.
    #[test]
    fn shapes_agree_with_the_engine(
        parts in prop::collection::vec(fragment(), 0..6),
        text in "[abé1]{0,4}",
    ) {
        let pattern = parts.concat();
        if let Ok(regex) = Re2::anchored(&pattern) {
            let engine = regex.engine().unwrap().captures(text.as_bytes());
            prop_assert_eq!(regex.is_match(&text), engine.is_some(), "{}", pattern);
            let template = "$0|$1|$2|$n";
            let want = engine.map(|c| regex.expand_captures(&text, template, &c));
            prop_assert_eq!(regex.replace(&text, template), want, "{}", pattern);
        } else {
            let error = Re2::anchored(&pattern).unwrap_err().to_string();
            prop_assert!(error.contains(": `"), "not one of Go's errors: {error}");
        }
    }
}
