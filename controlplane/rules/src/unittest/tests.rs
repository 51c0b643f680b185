#![allow(clippy::unwrap_used)]

use super::*;

fn run(rules: &str, test: &str, options: &TestOptions) -> (TestOutcome, JunitReport) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let path = dir.path().join("test.yml");
    std::fs::write(&path, test).unwrap();
    let mut suite = JunitSuite::new("test.yml");
    let outcome = run_file(&path, options, &mut suite);
    (
        outcome,
        JunitReport {
            suites: vec![suite],
        },
    )
}

const RULES: &str = "groups:
- name: second
  rules: [{record: b, expr: a * 2}]
- name: first
  rules:
  - {record: a, expr: sum(x)}
  - {alert: High, expr: a > 3, for: 2m, labels: {z: '{{ $externalLabels.zone }}'}, annotations: {s: 'a is {{ $value }}'}}
";

const TEST: &str = "rule_files: ['rul*.yml']
group_eval_order: [first, second]
tests:
- name: all
  interval: 1m
  external_labels: {zone: eu}
  input_series: [{series: 'x{i=\"1\"}', values: '1+1x10'}, {series: 'x{i=\"2\"}', values: '0 0 0 0'}]
  promql_expr_test:
  - {expr: b, eval_time: 4m, exp_samples: [{labels: b, value: 10}]}
  - {expr: 'ALERTS{alertstate=\"pending\"}', eval_time: 3m, exp_samples: [{labels: 'ALERTS{alertname=\"High\",alertstate=\"pending\",z=\"eu\"}', value: 1}]}
  alert_rule_test:
  - {alertname: High, eval_time: 4m, exp_alerts: []}
  - {alertname: High, eval_time: 5m30s, exp_alerts: [{exp_labels: {z: eu}, exp_annotations: {s: a is 6}}]}
";

#[test]
fn what_is_right_passes() {
    let (outcome, junit) = run(RULES, TEST, &TestOptions::default());
    assert_eq!(outcome.errors, [] as [&str; 0]);
    let xml = junit.to_xml();
    assert!(xml.starts_with("<testsuites><testsuite name=\"test.yml\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\" timestamp=\"2"), "{xml}");
    assert!(
        xml.ends_with("\"><testcase name=\"all\"></testcase></testsuite></testsuites>"),
        "{xml}"
    );
}

#[test]
fn what_is_wrong_is_shown_as_promtool_shows_it() {
    let test = TEST
        .replace("value: 10", "value: 11")
        .replace("s: a is 6", "s: a is 7")
        .replace(
            "eval_time: 4m, exp_alerts: []",
            "eval_time: 4m, exp_alerts: [{}]",
        );
    let (outcome, junit) = run(RULES, &test, &TestOptions::default());
    assert_eq!(
        outcome.errors,
        [
            "    name: all,\n    alertname: High, time: 4m, \n        exp:[\n            0:\n              Labels:{alertname=\"High\"}\n              Annotations:{}\n            ], \n        got:[]",
            "    name: all,\n    alertname: High, time: 5m30s, \n        exp:[\n            0:\n              Labels:{alertname=\"High\", z=\"eu\"}\n              Annotations:{s=\"a is 7\"}\n            ], \n        got:[\n            0:\n              Labels:{alertname=\"High\", z=\"eu\"}\n              Annotations:{s=\"a is 6\"}\n            ]",
            "    expr: \"b\", time: 4m,\n        exp: {__name__=\"b\"} 1.1E+01\n        got: {__name__=\"b\"} 1E+01",
        ]
    );
    assert_eq!(junit.suites[0].cases[0].failures.len(), 3);
    assert!(junit.to_xml().contains("<failure>    name: all,&#xA;"));
    let diff = TestOptions {
        diff: true,
        ..TestOptions::default()
    };
    let (outcome, _) = run(RULES, &test, &diff);
    assert!(
        outcome.errors[1].contains("\"s\": \u{1b}[0;33m\"a is 7\" => \"a is 6\"\u{1b}[0m"),
        "{}",
        outcome.errors[1]
    );
}

#[test]
fn order_run_start_and_debug() {
    // Without the order the second group sees what the first one wrote a minute before.
    let unordered = TEST.replace("group_eval_order: [first, second]", "");
    let (outcome, _) = run(RULES, &unordered, &TestOptions::default());
    assert_eq!(outcome.errors.len(), 1, "{:?}", outcome.errors);
    let skip = TestOptions {
        run: Some(bellwether_model::re2::Re2::unanchored("nothing").unwrap()),
        ..TestOptions::default()
    };
    assert!(run(RULES, &unordered, &skip).0.errors.is_empty());
    let later = TEST.replace(
        "  interval: 1m\n",
        "  interval: 1m\n  start_timestamp: '2024-01-01T00:00:00Z'\n",
    );
    let debug = TestOptions {
        debug: true,
        ..TestOptions::default()
    };
    let (outcome, _) = run(RULES, &later, &debug);
    assert_eq!(outcome.errors, [] as [&str; 0]);
    let notes = outcome.notes.join("\n");
    assert!(
        notes.starts_with(
            "DEBUG: Starting test all\nDEBUG: Dump of all data (input_series and rules) at 5m31s:\n"
        ),
        "{notes}"
    );
    assert!(
        notes.contains("{__name__=\"x\", i=\"1\"} =>\n2 @[1704067260000]\n"),
        "{notes}"
    );
}

#[test]
fn files_that_cannot_be_run_name_their_mistake() {
    for (test, expected) in [
        ("tests: [{nam: x}]", "did you mean `name`?"),
        (
            "group_eval_order: [a, a]",
            "group name repeated in evaluation order: a",
        ),
        (
            "tests: [{alert_rule_test: [{eval_time: 1m}]}]",
            "misses required attribute alertname at eval_time 1m",
        ),
        (
            "rule_files: [rules.yml]\ntests: [{promql_expr_test: [{expr: 'up('}]}]",
            "    expr: \"up(\", time: 0s, err: 1:",
        ),
        (
            "tests: [{input_series: [{series: 'x{', values: '1'}]}]",
            "labels expected",
        ),
        (
            "tests: [{promql_expr_test: [{expr: x, exp_samples: [{labels: 'x{a=~\"b\"}', value: 1}]}]}]",
            "labels \"x{a=~\\\"b\\\"}\": ",
        ),
    ] {
        let (outcome, _) = run(RULES, test, &TestOptions::default());
        assert!(
            outcome.errors[0].contains(expected),
            "{test}: {:?}",
            outcome.errors
        );
    }
    let bad = run(
        "groups: [{name: g, rules: [{record: r}]}]",
        "rule_files: [rules.yml]\ntests: [{}]",
        &TestOptions::default(),
    );
    assert!(
        bad.0.errors[0].ends_with(
            "rules.yml: 0:0: group \"g\", rule 1, \"r\": field 'expr' must be set in rule"
        ),
        "{:?}",
        bad.0.errors
    );
    let none = run_file(
        std::path::Path::new("/no/such"),
        &TestOptions::default(),
        &mut JunitSuite::new("x"),
    );
    assert_eq!(none.errors, ["open /no/such: no such file or directory"]);
}

#[test]
fn a_failing_rule_ends_the_test() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: 'x * on() x'}]}]";
    let test = "rule_files: [rules.yml]\ntests:\n- input_series: [{series: 'x{a=\"1\"}', values: '1'}, {series: 'x{a=\"2\"}', values: '1'}]\n  promql_expr_test: [{expr: r, eval_time: 1m}]\n";
    let (outcome, _) = run(rules, test, &TestOptions::default());
    assert_eq!(outcome.errors.len(), 1);
    assert!(
        outcome.errors[0].starts_with("    rule: r, time: 0s, err: found duplicate series"),
        "{:?}",
        outcome.errors
    );
}

#[test]
fn neighbouring_floats_are_the_same_when_fuzzy() {
    let test = |fuzzy| {
        format!(
            "fuzzy_compare: {fuzzy}\ntests: [{{promql_expr_test: [{{expr: '0.1+0.2', exp_samples: [{{value: 0.3}}]}}]}}]\n"
        )
    };
    assert!(
        run(RULES, &test(true), &TestOptions::default())
            .0
            .errors
            .is_empty()
    );
    let (outcome, _) = run(RULES, &test(false), &TestOptions::default());
    assert_eq!(
        outcome.errors,
        [
            "    expr: \"0.1+0.2\", time: 0s,\n        exp: {} 3E-01\n        got: {} 3.0000000000000004E-01"
        ]
    );
}

/// As in Prometheus: numbers stand without quotes, keys without a value are zero, a second document does not count.
#[test]
fn files_are_read_as_by_the_yaml_library_of_prometheus() {
    let options = TestOptions::default();
    let test = "rule_files:\ntests:\n- input_series: [{series: x, values: 0x3}]\n  promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: x, value: 0x0}]}]\n---\n{[\n";
    let (outcome, _) = run(RULES, test, &options);
    assert_eq!(outcome.errors, Vec::<String>::new());
    let (outcome, _) = run(RULES, &test.replace("value: 0x0", "value: '0'"), &options);
    let error = outcome.errors.join("\n");
    assert!(error.contains("expected a number"), "{error}");
}
