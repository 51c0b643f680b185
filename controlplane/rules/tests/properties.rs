//! Rule files and unit tests from anywhere: nothing panics, and every mistake is a text.

use bellwether_rules::file::{FileOptions, RuleFile};
use bellwether_rules::unittest::{JunitSuite, TestOptions, run_file};
use proptest::prelude::*;

/// Pieces of rule files.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "groups:",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "name: g",
        "rules:",
        "record: r",
        "alert: A",
        "expr: up",
        "expr: rate(x[5m]",
        "for: 5m",
        "for: x",
        "limit: 3",
        "labels:",
        "{",
        "}",
        "[",
        "]",
        "a: b",
        "&x ",
        "*x",
        "<<: ",
        "|\n",
        ">",
        "'",
        "\"",
        "{{ $value }}",
        "{{ .",
        "interval: 1s",
        "query_offset: ",
        "annotations: {a: '{{ humanize 1 }}'}",
        ": ",
        "~",
        "# c",
        "---",
    ];
    prop_oneof![
        9 => prop::sample::select(words.map(str::to_owned).to_vec()),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_a_rule_file_or_names_its_mistakes(pieces in prop::collection::vec(piece(), 0..30)) {
        match RuleFile::parse(&pieces.concat(), &FileOptions::default()) {
            Ok(file) => prop_assert!(file.rule_count() < 30),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }

    /// Whole files that are valid but for what is random in them.
    #[test]
    fn any_names_and_texts_are_accepted_or_refused(name in any::<String>(), label in any::<String>(), text in any::<String>()) {
        let quote = |text: &str| format!("{text:?}").replace("\\u{", "\\\\u{").replace("\\'", "'").replace("\\0", "\\\\0");
        let file = format!(
            "groups:\n- name: g\n  rules:\n  - alert: {}\n    expr: up\n    labels: {{{}: x}}\n    annotations: {{a: {}}}\n",
            quote(&name), quote(&label), quote(&text)
        );
        let _ = RuleFile::parse(&file, &FileOptions::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Values of series in tests are a small language of their own.
    #[test]
    fn any_input_series_is_run_or_refused(series in "[a-z{}=\", ]{0,12}", values in "[-0-9x+_ a-z{}:\\[\\].]{0,20}") {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t.yml");
        // Repetitions of a million values are no mistake, only slow.
        prop_assume!(!values.contains(|c: char| c.is_ascii_digit()) || values.len() < 12);
        let text = format!(
            "tests:\n- input_series: [{{series: '{series}', values: '{values}'}}]\n  promql_expr_test: [{{expr: x, eval_time: 2m}}]\n"
        );
        std::fs::write(&path, text).expect("a file");
        let _ = run_file(&path, &TestOptions::default(), &mut JunitSuite::new("t"));
    }
}
