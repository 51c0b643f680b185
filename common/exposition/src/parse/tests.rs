#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Samples as `labels value @timestamp`, the error as last line.
fn dump(format: Format, page: &[u8]) -> Vec<String> {
    let mut parser = Parser::new(format, page);
    let mut out = Vec::new();
    loop {
        match parser.next() {
            Ok(None) => return out,
            Ok(Some(Entry::Series(line))) => match line.labels(&parser) {
                Ok(mut labels) => {
                    labels.normalize_floats(parser.current_type());
                    let mut text = format!("{} {}", labels.to_labels(), line.value);
                    if let Some(t) = line.timestamp_ms {
                        text.push_str(&format!(" @{t}"));
                    }
                    if let Some(exemplar) = line.exemplar {
                        let e = exemplar.to_exemplar();
                        text.push_str(&format!(" # {} {}", e.labels, e.value));
                        if let Some(t) = e.timestamp_ms {
                            text.push_str(&format!(" @{t}"));
                        }
                    }
                    out.push(text);
                }
                Err(error) => {
                    out.push(format!("error: {error}"));
                    return out;
                }
            },
            Ok(Some(Entry::Type { name, kind })) => {
                out.push(format!("type {} {kind}", String::from_utf8_lossy(name)));
            }
            Ok(Some(Entry::Help { name, text })) => {
                let name = String::from_utf8_lossy(name);
                out.push(format!("help {name} {:?}", unescape(text)));
            }
            Ok(Some(Entry::Unit { name, unit })) => out.push(format!(
                "unit {} {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(unit)
            )),
            Ok(Some(Entry::Comment)) => out.push("comment".to_owned()),
            Err(error) => {
                out.push(format!("error: {error}"));
                return out;
            }
        }
    }
}

fn check_text(page: &str, want: &[&str]) {
    assert_eq!(dump(Format::Text, page.as_bytes()), want, "{page:?}");
}

fn check_openmetrics(page: &str, want: &[&str]) {
    assert_eq!(dump(Format::OpenMetrics, page.as_bytes()), want, "{page:?}");
}

#[test]
fn text_takes_blanks_commas_and_timestamps_as_prometheus_does() {
    check_text(
        "# HELP go_gc a \\\\ summary\\n of\n# TYPE go_gc summary\ngo_gc{quantile=\"0\"} 4.9351e-05\n\
         go_gc{quantile=\"0.25\",} 7.424100000000001e-05\n go_gc { quantile = \"1\" , a=\"b\"\tc=\"\" }\t8 123\n\
         \n#just a comment\n# HELP\n# TYPEX y\nbare 0\nneg -Inf -\n",
        &[
            r#"help go_gc "a \\ summary\n of""#,
            "type go_gc summary",
            r#"{__name__="go_gc", quantile="0.0"} 0.000049351"#,
            r#"{__name__="go_gc", quantile="0.25"} 0.00007424100000000001"#,
            r#"{__name__="go_gc", a="b", quantile="1.0"} 8 @123"#,
            "comment",
            "comment",
            "comment",
            r#"{__name__="bare"} 0"#,
            "error: expected timestamp or new record, got \"-\" (\"INVALID\") while parsing: \"neg -Inf -\" (line 11, column 10)",
        ],
    );
}

#[test]
fn text_without_a_last_newline_is_complete() {
    check_text("a 1", &[r#"{__name__="a"} 1"#]);
    check_text("a 1 5", &[r#"{__name__="a"} 1 @5"#]);
    check_text("a{b=\"c\"}1\n", &[r#"{__name__="a", b="c"} 1"#]);
}

#[test]
fn text_takes_utf8_names() {
    check_text(
        "# HELP \"my.noncompliant.metric\" help\n# TYPE \"my.noncompliant.metric\" counter\n\
         {\"my.noncompliant.metric\",\"label.name\"=\"v\\\"\\n\\\\\",b=\"ü\"} 1\n",
        &[
            "help my.noncompliant.metric \"help\"",
            "type my.noncompliant.metric counter",
            r#"{__name__="my.noncompliant.metric", b="ü", "label.name"="v\"\n\\"} 1"#,
        ],
    );
}

#[test]
fn text_errors_name_what_was_expected() {
    for (page, want) in [
        (
            "a\n",
            "expected value after metric, got \"\\n\" (\"INVALID\") while parsing: \"a\\n\" (line 1, column 2)",
        ),
        (
            "ok 1\na{b='c'} 1\n",
            "expected label value, got \"'\" (\"INVALID\") while parsing: \"a{b='\"",
        ),
        ("a{b=\"c\" 1\n", "expected label name, got"),
        (
            "a true\n",
            "strconv.ParseFloat: parsing \"true\": invalid syntax while parsing: \"a true\" (line 1, column 6)",
        ),
        (
            "something_weird{problem=\"\n\nok 1",
            "expected label value, got \"\" (\"EOF\")",
        ),
        (
            "empty_label_name{=\"\"} 0\n",
            "expected label name, got \"=\" (\"INVALID\") while parsing: \"empty_label_name{=\"",
        ),
        (
            "foo 1_2\n",
            "unsupported character in float while parsing: \"foo 1_2\"",
        ),
        ("foo 0x1p-3\n", "unsupported character in float"),
        (
            "foo 0 1_2\n",
            "expected next entry after timestamp, got \"_\"",
        ),
        (
            "{a=\"ok\"} 1\n",
            "metric name not set while parsing: \"{a=\\\"ok\\\"}\"",
        ),
        ("{\"a\",\"b\"} 1\n", "metric name already set while parsing"),
        ("a{\"b\"} 1\n", "metric name already set while parsing"),
        ("# TYPE a fish\n", "invalid metric type \"fish\""),
        ("# TYPE a counter \n", "invalid metric type \"counter \""),
        (
            "# TYPE 1a counter\n",
            "expected metric name after TYPE, got \"1\"",
        ),
        (
            "-a 1\n",
            "expected a valid start token, got \"-\" (\"INVALID\") while parsing: \"-\"",
        ),
        (
            "a 1 99999999999999999999\n",
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        let got = dump(Format::Text, page.as_bytes()).pop().unwrap();
        assert!(
            got.starts_with(&format!("error: {want}")),
            "{page:?}: {got}, wanted {want}"
        );
    }
}

#[test]
fn invalid_utf8_is_an_error_not_a_panic() {
    for page in [
        &b"a{b=\"\x80\"} 1\n"[..],
        b"{\"\xff\"} 1\n",
        b"a{\"\xff\"=\"c\"} 1\n",
        b"# HELP a \xff\n",
        b"a \xff\n",
    ] {
        let got = dump(Format::Text, page).pop().unwrap();
        assert!(got.starts_with("error: "), "{got}");
    }
    assert!(
        dump(Format::Text, b"a{b=\"\x80\"} 1\n")[0]
            .contains(r#"invalid UTF-8 label value: "\x80""#)
    );
}

#[test]
fn openmetrics_with_everything() {
    check_openmetrics(
        "# HELP foo Some \\\"text\\\" \\n \\\\.\n# TYPE foo histogram\n# UNIT foo \n\
         foo_bucket{le=\"10\"} 17 1520879607.789 # {trace_id=\"o\\\"d\"} 4.5 1520879607.1\n\
         foo_bucket{le=\"+Inf\"} 18 # {} 7\n{\"x.y\",\"le\"=\"1\"} 2\n# TYPE a info\na_info{foo=\"bar\"} 1\n# EOF",
        &[
            r#"help foo "Some \"text\" \n \\.""#,
            "type foo histogram",
            "unit foo ",
            r#"{__name__="foo_bucket", le="10.0"} 17 @1520879607789 # {trace_id="o\"d"} 4.5 @1520879607100"#,
            r#"{__name__="foo_bucket", le="+Inf"} 18 # {} 7"#,
            r#"{__name__="x.y", le="1.0"} 2"#,
            "type a info",
            r#"{__name__="a_info", foo="bar"} 1"#,
        ],
    );
}

#[test]
fn openmetrics_errors() {
    for (page, want) in [
        ("", "data does not end with # EOF"),
        ("a 1\n", "data does not end with # EOF"),
        ("a 1", "data does not end with # EOF"),
        ("# EOF\n\n", "unexpected data after # EOF"),
        ("\n# EOF\n", "expected a valid start token, got \"\\n\""),
        (
            "# FOO a x\n# EOF\n",
            "expected a valid start token, got \"#\"",
        ),
        (
            "# TYPE a untyped\n# EOF\n",
            "invalid metric type \"untyped\"",
        ),
        (
            "# UNIT a_x seconds\n# EOF\n",
            "unit \"seconds\" not a suffix of metric \"a_x\"",
        ),
        ("# HELP a\n# EOF\n", "expected text in HELP"),
        (
            "a{a=\"1\"b=\"2\"} 1\n# EOF\n",
            "expected comma or brace close, got \"b\"",
        ),
        (
            "a {a=\"1\"} 1\n# EOF\n",
            "strconv.ParseFloat: parsing \"{a=\\\"1\\\"}\"",
        ),
        (
            "a 1 # {a=\"b\"} 0.5 NaN\n# EOF\n",
            "invalid exemplar timestamp NaN",
        ),
        ("a 1 NaN\n# EOF\n", "invalid timestamp NaN"),
        (
            "a 1 # {\"b\"} 0.5\n# EOF\n",
            "expected label name, got \"}\"",
        ),
        (
            "a 1 2 3\n# EOF\n",
            "expected next entry after timestamp, got \" \"",
        ),
    ] {
        let got = dump(Format::OpenMetrics, page.as_bytes()).pop().unwrap();
        assert!(
            got.starts_with(&format!("error: {want}")),
            "{page:?}: {got}, wanted {want}"
        );
    }
}

#[test]
fn expectations_do_not_change_what_is_read() {
    let page = b"a 1\na_b 2\na {x=\"y\"} 3\na{x=\"y\"} 4\na{x=\"y\"}5\nb\t6\n";
    let series: [&[u8]; 6] = [
        b"a",
        b"a_b",
        b"a {x=\"y\"}",
        b"a{x=\"y\"}",
        b"a{x=\"y\"}",
        b"b",
    ];
    for guess in [&b""[..], b"a", b"a{x=\"y\"}", b"b", b"a_b"] {
        let mut parser = Parser::new(Format::Text, page);
        for (i, want) in series.iter().enumerate() {
            let Some(Entry::Series(line)) = parser.next_expecting(guess).unwrap() else {
                panic!("no series")
            };
            assert_eq!(line.series, *want, "guess {guess:?}");
            assert_eq!(line.value, (i + 1) as f64);
            assert_eq!(line.expected, guess == *want, "guess {guess:?} at {i}");
        }
        assert_eq!(parser.next_expecting(guess).unwrap(), None);
    }
}

#[test]
fn plain_lines_are_taken_only_where_they_are_expected() {
    let page = b"a 1\na_b 2.5\na{x=\"y\"} 4\na{x=\"y\"}5\na{x=\"y\"} 6 7\na{x=\"y\"} -8\na {x=\"y\"} 9\nb 10";
    let values = [1.0, 2.5, 4.0, 5.0, 6.0, -8.0, 9.0, 10.0];
    for (guess, plain) in [
        (&b""[..], &[][..]),
        (b"a", &[1.0]),
        (b"a_b", &[2.5]),
        (b"a{x=\"y\"}", &[4.0]),
        (b"b", &[]),
    ] {
        let mut parser = Parser::new(Format::Text, page);
        let mut taken = Vec::new();
        let all: Vec<f64> = std::iter::from_fn(|| {
            if let Some(line) = parser.take_expected(guess) {
                assert_eq!(line.series, guess);
                taken.push(line.value);
                return Some(line.value);
            }
            match parser.next_expecting(guess).unwrap() {
                Some(Entry::Series(line)) => Some(line.value),
                other => {
                    assert_eq!(other, None);
                    None
                }
            }
        })
        .collect();
        assert_eq!(all, values, "guess {guess:?}");
        assert_eq!(taken, plain, "guess {guess:?}");
    }
    let page = b"a 1\na 2 3\na 4 # {x=\"y\"} 5\na  6\n# EOF\n";
    let mut parser = Parser::new(Format::OpenMetrics, page);
    assert_eq!(parser.take_expected(b"a").unwrap().value, 1.0);
    for _ in 0..2 {
        assert_eq!(parser.take_expected(b"a"), None);
        assert!(matches!(parser.next(), Ok(Some(Entry::Series(_)))));
    }
    assert_eq!(parser.take_expected(b"a"), None);
}

#[test]
fn duplicate_label_names_are_found() {
    let page = b"a{b=\"1\",c=\"2\",b=\"3\"} 1\n";
    let mut parser = Parser::new(Format::Text, page);
    let Some(Entry::Series(line)) = parser.next().unwrap() else {
        panic!("no series")
    };
    assert_eq!(line.labels(&parser).unwrap().duplicate(), Some("b"));
}

/// Pieces that make interesting pages when they are put together at random.
const PIECES: &[&str] = &[
    "a",
    "b_total",
    "{",
    "}",
    "\"",
    "\\",
    "\n",
    " ",
    "\t",
    ",",
    "=",
    "x=\"y\"",
    "1",
    "1.5e3",
    "NaN",
    "# HELP a b",
    "# TYPE a counter",
    "# EOF",
    "# {",
    "#",
    "le=\"1\"",
    "\u{fc}",
    "\0",
    "-",
];

proptest! {
    #[test]
    fn no_input_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..24), raw in proptest::collection::vec(any::<u8>(), 0..40)) {
        let page: String = pieces.iter().map(|i| PIECES[*i]).collect();
        for format in [Format::Text, Format::OpenMetrics] {
            dump(format, page.as_bytes());
            dump(format, &raw);
        }
    }

    /// A wrong or right guess never changes the outcome.
    #[test]
    fn guesses_are_harmless(pieces in proptest::collection::vec(0..PIECES.len(), 0..24), openmetrics in any::<bool>()) {
        let page: String = pieces.iter().map(|i| PIECES[*i]).collect();
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        let run = |guess: &[u8]| {
            let mut parser = Parser::new(format, page.as_bytes());
            let mut out = Vec::new();
            while let Ok(Some(entry)) = parser.next_expecting(guess) {
                if let Entry::Series(line) = entry {
                    if line.labels(&parser).is_err() {
                        break;
                    }
                    out.push((line.series.to_vec(), line.value.to_bits(), line.timestamp_ms));
                }
            }
            out
        };
        let plain = run(b"");
        for guess in [&b"a"[..], b"b_total", b"a{}", b"a{x=\"y\"}"] {
            prop_assert_eq!(&run(guess), &plain);
        }
    }
}
