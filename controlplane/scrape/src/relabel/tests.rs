#![allow(clippy::unwrap_used)]

use bellwether_model::Labels;

use super::*;

fn rule(action: Action) -> RelabelConfig {
    RelabelConfig {
        action,
        ..RelabelConfig::default()
    }
}

fn sources(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|n| (*n).to_owned()).collect())
}

fn text(t: &str) -> Option<String> {
    Some(t.to_owned())
}

/// Applies rules to `a=b,c=d` pairs; `None` means dropped.
fn run(labels: &[(&str, &str)], rules: &[RelabelConfig]) -> Option<String> {
    let mut builder = Labels::from_pairs(labels.iter().copied()).to_builder();
    Rules::new(rules)
        .unwrap()
        .apply(&mut builder)
        .then(|| builder.build().to_string())
}

const ABC: &[(&str, &str)] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];

#[test]
fn replace_expands_groups_of_the_joined_values() {
    let joined = RelabelConfig {
        source_labels: sources(&["a", "b"]),
        separator: text(";"),
        regex: text("f(.*);(.*)r"),
        target_label: "d".into(),
        replacement: text("b${1}${2}m$1"),
        ..RelabelConfig::default()
    };
    let want = r#"{a="foo", b="bar", c="baz", d="booba"#;
    assert!(
        run(ABC, std::slice::from_ref(&joined))
            .unwrap()
            .starts_with(want)
    );
    let no_match = RelabelConfig {
        regex: text("x"),
        ..joined
    };
    assert_eq!(
        run(ABC, &[no_match]).unwrap(),
        r#"{a="foo", b="bar", c="baz"}"#
    );
}

#[test]
fn replace_can_name_the_target_and_remove_labels() {
    let dynamic = RelabelConfig {
        source_labels: sources(&["a"]),
        regex: text("(f)(.*)"),
        target_label: "$2_${1}".into(),
        replacement: text("x"),
        ..RelabelConfig::default()
    };
    // `$2_` names the unknown group "2_", so only `f` is left.
    assert_eq!(
        run(&[("a", "foo")], &[dynamic]).unwrap(),
        r#"{a="foo", f="x"}"#
    );
    let remove = RelabelConfig {
        source_labels: sources(&["missing"]),
        target_label: "a".into(),
        ..RelabelConfig::default()
    };
    assert_eq!(run(&[("a", "foo")], &[remove]).unwrap(), "{}");
}

#[test]
fn keep_drop_and_their_equal_forms() {
    let with = |action, label: &str, regex: Option<&str>, target: &str| RelabelConfig {
        source_labels: sources(&[label]),
        regex: regex.map(str::to_owned),
        target_label: target.into(),
        ..rule(action)
    };
    let same: &[(&str, &str)] = &[("a", "x"), ("b", "x"), ("c", "y")];
    for (rule, kept) in [
        (with(Action::Keep, "a", Some("x|y"), ""), true),
        (with(Action::Keep, "a", Some("xx"), ""), false),
        (with(Action::Drop, "a", Some(".*"), ""), false),
        (with(Action::Drop, "missing", Some(".+"), ""), true),
        (with(Action::KeepEqual, "a", None, "b"), true),
        (with(Action::KeepEqual, "a", None, "c"), false),
        (with(Action::DropEqual, "a", None, "b"), false),
        (with(Action::DropEqual, "a", None, "c"), true),
    ] {
        assert_eq!(
            run(same, std::slice::from_ref(&rule)).is_some(),
            kept,
            "{rule:?}"
        );
    }
}

#[test]
fn hashmod_is_that_of_prometheus() {
    let hash = RelabelConfig {
        source_labels: sources(&["c"]),
        target_label: "d".into(),
        modulus: 1000,
        ..rule(Action::HashMod)
    };
    // Upstream's own example: {c="baz"} modulo 1000 is 976.
    assert_eq!(
        run(&[("c", "baz")], &[hash]).unwrap(),
        r#"{c="baz", d="976"}"#
    );
}

#[test]
fn label_names() {
    let with = |action, regex: &str, replacement: Option<&str>| RelabelConfig {
        regex: text(regex),
        replacement: replacement.map(str::to_owned),
        ..rule(action)
    };
    let meta: &[(&str, &str)] = &[("__meta_x_y", "1"), ("__meta_x_z", "2"), ("k", "3")];
    assert_eq!(
        run(meta, &[with(Action::LabelMap, "__meta_x_(.+)", None)]).unwrap(),
        r#"{__meta_x_y="1", __meta_x_z="2", k="3", y="1", z="2"}"#
    );
    assert_eq!(
        run(meta, &[with(Action::LabelDrop, "__meta_.*", None)]).unwrap(),
        r#"{k="3"}"#
    );
    assert_eq!(
        run(meta, &[with(Action::LabelKeep, "k|__meta_x_z", None)]).unwrap(),
        r#"{__meta_x_z="2", k="3"}"#
    );
}

#[test]
fn case() {
    let with = |action| RelabelConfig {
        source_labels: sources(&["a"]),
        target_label: "b".into(),
        ..rule(action)
    };
    assert_eq!(
        run(&[("a", "bAr")], &[with(Action::Uppercase)]).unwrap(),
        r#"{a="bAr", b="BAR"}"#
    );
    assert_eq!(
        run(&[("a", "bAr")], &[with(Action::Lowercase)]).unwrap(),
        r#"{a="bAr", b="bar"}"#
    );
    // Character by character: German sz has no upper case, and a sigma at the end of a word none of its own.
    assert_eq!(
        run(&[("a", "Maß ΣΑΣ")], &[with(Action::Uppercase)]).unwrap(),
        r#"{a="Maß ΣΑΣ", b="MAß ΣΑΣ"}"#
    );
    assert_eq!(
        run(&[("a", "İ ΣΑΣ")], &[with(Action::Lowercase)]).unwrap(),
        r#"{a="İ ΣΑΣ", b="i σασ"}"#
    );
}

#[test]
fn wrong_rules_are_refused_in_prometheus_words() {
    for (config, message) in [
        (
            rule(Action::HashMod),
            "relabel configuration for hashmod requires non-zero modulus",
        ),
        (
            rule(Action::Replace),
            "relabel configuration for replace action requires 'target_label' value",
        ),
        (
            rule(Action::DropEqual),
            "relabel configuration for dropequal action requires 'target_label' value",
        ),
        (
            RelabelConfig {
                target_label: "a".into(),
                replacement: text("x"),
                ..rule(Action::Lowercase)
            },
            "'replacement' can not be set for lowercase action",
        ),
        (
            RelabelConfig {
                target_label: "a".into(),
                regex: text("x"),
                ..rule(Action::KeepEqual)
            },
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            RelabelConfig {
                source_labels: sources(&["a"]),
                ..rule(Action::LabelKeep)
            },
            "labelkeep action requires only 'regex', and no other fields",
        ),
    ] {
        assert_eq!(Rules::new(&[config]).unwrap_err().to_string(), message);
    }
    let bad_regex = RelabelConfig {
        regex: text("a("),
        target_label: "x".into(),
        ..RelabelConfig::default()
    };
    assert!(matches!(
        Rules::new(&[bad_regex]),
        Err(RelabelError::Regex(_))
    ));
}
