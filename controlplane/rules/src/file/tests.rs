#![allow(clippy::unwrap_used)]

use super::*;

fn errors(text: &str) -> Vec<String> {
    match RuleFile::parse(text, &FileOptions::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn rule(lines: &str) -> String {
    format!(
        "groups:\n- name: g\n  rules:\n  - {}\n",
        lines.replace('\n', "\n    ")
    )
}

#[test]
fn all_keys_are_read() {
    let text = "groups:\n- name: g\n  interval: 30s\n  query_offset: 1m\n  limit: 5\n  labels: {team: a}\n  rules:\n\
                \x20 - alert: A\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 1h\n    labels: {severity: page}\n\
                \x20   annotations: {summary: \"{{ $labels.job }} is down\"}\n  - record: a:b\n    expr: sum(up)\n";
    let file = RuleFile::parse(text, &FileOptions::default()).unwrap();
    let group = &file.groups[0];
    assert_eq!((group.interval, group.limit), (Duration::from_secs(30), 5));
    assert_eq!(group.query_offset, Some(Duration::from_secs(60)));
    assert_eq!(group.rules[0].hold, Duration::from_secs(300));
    assert_eq!(group.rules[0].keep_firing_for, Duration::from_secs(3600));
    assert_eq!((group.rules[0].name(), group.rules[1].name()), ("A", "a:b"));
    assert_eq!(file.rule_count(), 2);
}

#[test]
fn mistakes_are_reported_in_prometheus_words() {
    for (text, expected) in [
        (
            rule("record: r\nexpr: rate(x)"),
            vec![
                "5:11: group \"g\", rule 1, \"r\": could not parse expression: 1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
            ],
        ),
        (
            rule("record: r"),
            vec!["0:0: group \"g\", rule 1, \"r\": field 'expr' must be set in rule"],
        ),
        (
            rule("expr: up"),
            vec!["0:0: 0:0: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"],
        ),
        (
            rule("record: r\nalert: A\nexpr: up"),
            vec![
                "4:13: 5:12: group \"g\", rule 1, \"A\": only one of 'record' and 'alert' must be set",
            ],
        ),
        (
            rule("record: r\nexpr: up\nfor: 1m\nkeep_firing_for: 1m\nannotations: {a: b}"),
            vec![
                "4:13: group \"g\", rule 1, \"r\": invalid field 'annotations' in recording rule",
                "4:13: group \"g\", rule 1, \"r\": invalid field 'for' in recording rule",
                "4:13: group \"g\", rule 1, \"r\": invalid field 'keep_firing_for' in recording rule",
            ],
        ),
        (
            rule("record: r{a=\"b\"}\nexpr: up"),
            vec![
                "4:13: group \"g\", rule 1, \"r{a=\\\"b\\\"}\": braces present in the recording rule name; should it be in expr?: r{a=\"b\"}",
            ],
        ),
        (
            rule("alert: A\nexpr: up\nlabels: {__name__: x}"),
            vec!["group \"g\", rule 1, \"A\": invalid label name: __name__"],
        ),
        (
            rule("alert: A\nexpr: up\nannotations: {a: \"{{ $label }}\"}"),
            vec![
                "group \"g\", rule 1, \"A\": annotation \"a\": template: __alert_A:1: undefined variable \"$label\"",
            ],
        ),
        (
            rule("alert: A\nexpr: up\nsummary: x\nfro: y"),
            vec![
                "yaml: unmarshal errors:\n  line 6: field summary not found in type rulefmt.Rule\n  line 7: field fro not found in type rulefmt.Rule",
            ],
        ),
        (
            rule("alert: A\nexpr: up\nfor: 5x"),
            vec![
                "unknown unit \"x\" in duration \"5x\"",
                "unknown unit \"x\" in duration \"5x\"",
            ],
        ),
        (
            rule("alert: [A]\nexpr: up\nlabels: [a]"),
            vec![
                "yaml: unmarshal errors:\n  line 4: cannot unmarshal !!seq into string\n  line 6: cannot unmarshal !!seq into map[string]string",
                "yaml: unmarshal errors:\n  line 6: cannot unmarshal !!seq into map[string]string",
            ],
        ),
        (
            "groups: {a: b}\nx: 1\n".to_owned(),
            vec![
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into []rulefmt.RuleGroup\n  line 2: field x not found in type rulefmt.RuleGroups",
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into []rulefmt.RuleGroupNode",
            ],
        ),
        (
            "groups:\n- name: a\n- name: a\n- rules: []\n".to_owned(),
            vec![
                "0:0: groupname: \"a\" is repeated in the same file",
                "0:0: Groupname must not be empty",
            ],
        ),
        (
            "groups: []\ngroups: []\n".to_owned(),
            vec![
                "yaml: unmarshal errors:\n  line 2: mapping key \"groups\" already defined at line 1",
                "yaml: unmarshal errors:\n  line 2: mapping key \"groups\" already defined at line 1",
            ],
        ),
    ] {
        assert_eq!(errors(&text), expected, "{text}");
    }
}

#[test]
fn what_is_fine_is_accepted() {
    for text in [
        String::new(),
        "groups:\n".to_owned(),
        rule("record: with.dots-and ü\nexpr: 1"),
        rule("alert: \"any name\"\nexpr: |\n  up\n    == 0\nfor: 0\nlabels:\n"),
    ] {
        assert_eq!(errors(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_legacy_scheme_narrows_names() {
    let options = FileOptions {
        names: ValidationScheme::Legacy,
        ..FileOptions::default()
    };
    let text = rule("record: with.dots\nexpr: 1\nlabels: {a.b: c}");
    let errors = RuleFile::parse(&text, &options).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "4:13: group \"g\", rule 1, \"with.dots\": invalid recording rule name: with.dots",
            "group \"g\", rule 1, \"with.dots\": invalid label name: a.b",
        ]
    );
}

#[test]
fn unknown_keys_can_be_ignored() {
    let options = FileOptions {
        ignore_unknown_fields: true,
        ..FileOptions::default()
    };
    let text = rule("alert: A\nexpr: up\nowner: x");
    assert!(RuleFile::parse(&text, &options).is_ok());
}

#[test]
fn duplicates_are_found_across_groups() {
    let text = "groups:\n- name: a\n  labels: {x: y}\n  rules: [{record: r, expr: 1}, {record: q, expr: 1}]\n\
                - name: b\n  rules: [{record: r, expr: 2, labels: {x: y}}, {record: q, expr: 1}]\n";
    let file = RuleFile::parse(text, &FileOptions::default()).unwrap();
    let found = duplicate_rules(&file);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), "Metric: r\nLabel(s):\n\tx: y\n");
}
