//! `bellwether tool check rules` and `tool test rules`: promtool's verdicts and texts on the same files, the recorded
//! outcomes of upstream's files, and the shipped rules.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{BINARY, peers};

/// Runs a program in a folder, as the texts name files as they were given.
fn run(program: &Path, args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command.output().unwrap()
}

fn ours(args: &[&str], dir: &Path) -> Output {
    let args: Vec<&str> = ["tool"].iter().chain(args).copied().collect();
    run(Path::new(BINARY), &args, dir)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, standard output, and the lines of the errors: sorted, for promtool goes through maps in random order.
fn shown(output: &Output) -> (Option<i32>, String, Vec<String>) {
    let mut errors: Vec<String> = text(&output.stderr).lines().map(str::to_owned).collect();
    errors.sort();
    (output.status.code(), text(&output.stdout), errors)
}

/// Upstream's files: exit codes and first lines as promtool 3.5.3 gave them.
#[test]
fn upstream_files_have_their_recorded_outcomes() {
    let Some(folder) =
        peers::conformance("rules_outcomes.tsv").map(|f| f.parent().unwrap().to_owned())
    else {
        return;
    };
    let outcomes = std::fs::read_to_string(folder.join("rules_outcomes.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in outcomes.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, command, _, code, first_lines] = columns.as_slice() else {
            panic!("{line}");
        };
        let args: Vec<&str> = match *command {
            "check rules" => vec!["check", "rules"],
            "test rules" => vec!["test", "rules"],
            "check config" => vec!["check", "config"],
            // Other tools' files.
            _ => continue,
        };
        count += 1;
        let path = folder.join(file);
        let name = path.file_name().unwrap().to_str().unwrap();
        let args: Vec<&str> = args.into_iter().chain([name]).collect();
        let output = ours(&args, path.parent().unwrap());
        if output.status.code() != code.parse().ok() {
            wrong.push(format!(
                "{file}: exit {:?}, wanted {code}",
                output.status.code()
            ));
        }
        // Newer parts of PromQL have other texts in 3.14.
        if *file == "promtool/features.yml" {
            continue;
        }
        let all = text(&output.stdout) + &text(&output.stderr);
        for line in first_lines.split(" | ") {
            // The last one is cut where it was recorded.
            if !all.contains(line.trim()) {
                wrong.push(format!("{file}: no {line:?} in\n{all}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 25, "{count}");
}

const RULE: &str = "groups:\n- name: g\n  rules:\n";

/// Rule files, good and bad ones, that both programs see alike.
fn cases() -> Vec<String> {
    let rule = |rest: &str| format!("{RULE}{rest}");
    let mut cases: Vec<String> = [
        "  - alert: A\n    expr: up\n    for: 5x\n",
        "  - alert: A\n    expr: up\n    for: 5\n",
        "  - alert: [A]\n    expr: {a: b}\n    labels: [a]\n",
        "  - alert: A\n    alert: B\n    expr: up\n",
        "  - alert: A\n    record: r\n    expr: up\n",
        "  - expr: up\n",
        "  -\n",
        "  - just a long string here\n",
        "  - alert: A\n    expr: |\n      up ==\n        rate(x)\n",
        "  - record: r\n    expr: up\n    labels: {__name__: x, 'a b': c}\n    for: 1m\n",
        "  - record: 'a b{'\n    expr: up\n    annotations: {a: b}\n    keep_firing_for: 1m\n",
        "  - record: 5\n    expr: 1\n    labels: {a: true, b: 1.50, c: null}\n",
        "  - {record: r, expr: up, labels: {a: b}}\n  - {record: r, expr: up, labels: {a: b}}\n  - {alert: r, expr: 1}\n",
        "  - record: utf-8.näme\n    expr: '{\"ü.b\"}'\n    foo: 1\n    bar: 2\n",
    ]
    .map(rule)
    .to_vec();
    cases.extend(
        [
            "",
            "groups:\n",
            "groups: {a: b}\nx: 1\n",
            "groups: []\ngroups: []\n",
            "groups:\n- name: g\n  limit: abc\n  rules: 5\n",
            "groups:\n- name: g\n  interval: -1m\n  rules: []\n",
            "groups:\n- rules: []\n- name: a\n  labels: {__name__: b}\n- name: a\n",
            "x: &x {expr: up}\ngroups:\n- name: g\n  rules:\n  - <<: *x\n    record: r\n",
        ]
        .map(str::to_owned),
    );
    for template in [
        "{{ range .x }}",
        "{{ end }}",
        "{{ .Value | }}",
        "{{ \"x }}",
        "{{ 1a }}",
        "{{ break }}",
        "{{ template }}",
        "{{ define \"x\" }}",
        "{{ (1 }}",
        "{{ $x := 1, 2 }}",
        "{{ 1 | 2 }}",
        "{{ /* x }}",
        "{{ .a..b }}",
        "{{ else }}",
        "{{ with 1 }}{{ else }}{{ else }}{{ end }}",
        "{{ \"\\q\" }}",
        "{{ @ }}",
        "{{ true.x }}",
        "{{}}",
        "{{ . := 1 }}",
        "{{ range $a, $b, $c := .x }}{{ end }}",
        "{{ $label }}",
        "{{ nofunc 1 }}",
        "{{ if }}x{{ end }}",
        "{{ .Value.",
        "{{ define 1 }}{{ end }}",
        "{{ humanize) }}",
        "{{ $x = 1 }}",
        "{{ with $x := 1 }}{{ end }}{{ $x }}",
    ] {
        let quoted = template.replace('\'', "''");
        cases.push(rule(&format!(
            "  - alert: A\n    expr: up\n    annotations:\n      a: '{quoted}'\n"
        )));
    }
    cases
}

#[test]
fn rule_files_are_judged_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let cases = cases();
    let names: Vec<String> = (0..cases.len()).map(|i| format!("r{i:02}.yml")).collect();
    for (name, case) in names.iter().zip(&cases) {
        std::fs::write(dir.path().join(name), case).unwrap();
    }
    // All files at once: starting a program takes longer than its work.
    for flags in [&[][..], &["--lint=none"], &["--lint=all,none"]] {
        let names = names.iter().map(String::as_str);
        let args: Vec<&str> = ["check", "rules"]
            .iter()
            .chain(flags)
            .copied()
            .chain(names)
            .collect();
        let (ours, theirs) = (ours(&args, dir.path()), run(&promtool, &args, dir.path()));
        assert_eq!(shown(&ours), shown(&theirs), "{flags:?}");
    }
    for (file, code) in [("good.yml", 0), ("lint.yml", 3), ("bad.yml", 1)] {
        let rules = match file {
            "good.yml" => "{record: r, expr: up}",
            "lint.yml" => "{record: r, expr: up}, {record: r, expr: up}",
            _ => "{record: r}",
        };
        std::fs::write(
            dir.path().join(file),
            format!("groups: [{{name: g, rules: [{rules}]}}]"),
        )
        .unwrap();
        let args = ["check", "rules", "--lint-fatal", file];
        let (ours, theirs) = (ours(&args, dir.path()), run(&promtool, &args, dir.path()));
        assert_eq!(shown(&ours), shown(&theirs), "{file}");
        assert_eq!(ours.status.code(), Some(code), "{file}");
    }
}

/// Annotations whose expansion, result or error, has to be the same.
const TEMPLATES: &[&str] = &[
    "{{ $value }} {{ .Value }} {{ $labels.job }} {{ .Labels.none }}|{{ $labels }}",
    "{{ $externalLabels.zone }} {{ $externalURL }}",
    "{{ humanize 1234567.0 }} {{ humanize 0.000123 }} {{ humanize1024 123456 }} {{ humanize \"1e9\" }}",
    "{{ humanizeDuration 93784.5 }} {{ humanizeDuration 0.00012 }} {{ humanizeDuration -3.25 }} {{ humanizeDuration 61 }}",
    "{{ humanizePercentage 0.123456 }} {{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0 }}",
    "{{ (toTime 1435065584.128).Year }} {{ toTime 1.5 }} {{ (toTime 1).Format \"2006-01-02T15:04:05Z07:00\" }}",
    "{{ title \"foo bAR\" }} {{ toUpper \"x\" }} {{ toLower \"Y\" }} {{ stripPort \"a:1\" }} {{ stripDomain \"a.b:1\" }}",
    "{{ match \"a.c\" \"xabcx\" }} {{ reReplaceAll \"b(.)\" \"<$1>\" \"abcbd\" }} {{ reReplaceAll \"(\" \"\" \"\" }}",
    "{{ graphLink \"up > 1\" }} {{ tableLink \"up\" }} {{ parseDuration \"1h30m\" }} {{ safeHtml \"<a>\" }}",
    "{{ range query \"x\" | sortByLabel \"i\" }}{{ . | label \"i\" }}{{ . | value }}{{ end }}",
    "{{ query \"x\" | sortByLabel \"i\" | first | value | printf \"%.1f\" }} {{ with query \"none\" }}y{{ else }}n{{ end }}",
    "{{ query \"none\" | first }}",
    "{{ query \"x(\" }}",
    "{{ (args 1 \"b\").arg1 }} {{ len (query \"x\") }} {{ lt 1 2.0 }}",
    "{{ printf \"%d %5.2f|%-6s|%q %v %t %x %e %08.3f %+d %T\" 5 3.14159 \"ab\" \"c\\\"\" 1e7 true 255 12345.678 -1.5 3 .Value }}",
    "{{ printf \"%d %s\" 1.5 2 }} {{ printf \"%z %d\" 1 }} {{ printf \"%d\" 1 2 }} {{ printf \"%*d\" 5 1 }}",
    "{{ print 1 2 \"a\" \"b\" 3.0 }} {{ println 1 }}{{ print nil }} {{ 1e6 }} {{ 100000.0 }} {{ 1e21 }} {{ 0x1F }} {{ 'a' }}",
    "{{ if and (gt $value 1.0) (lt $value 1e3) }}in{{ else }}out{{ end }} {{ or \"\" 0 \"z\" }} {{ not 0 }}",
    "{{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ le 1.5 1.5 }} {{ eq 1 1.0 }}",
    "{{ index $labels \"job\" }} {{ index (query \"x{i=\\\"1\\\"}\") 0 | value }}{{ index \"abc\" 5 }}",
    "{{ slice \"abcdef\" 1 3 }} {{ len \"abc\" }} {{ html \"<&>\" }} {{ urlquery \"a b&\" }} {{ js \"it's <b>\" }}",
    "{{ range $i, $e := (query \"x\" | sortByLabel \"i\") }}{{ if $i }}, {{ end }}{{ $e.Value }}{{ end }}",
    "{{ range 3 }}{{ . }}{{ end }}{{ range $k, $v := $labels }}{{ $k }}:{{ $v }} {{ end }}",
    "{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" 5 }}{{ template \"t\" }}{{ template \"nope\" }}",
    "a  {{- \" b \" -}}  c {{/* no */}} {{ $x := 1 }}{{ $x = 2 }}{{ $x }}",
    "{{ .Nope }}",
    "{{ $value.Foo }}",
    "{{ humanize \"x\" }}",
    "{{ label 1 2 }}",
    "{{ toUpper 5 }}",
    "{{ toUpper }}",
    "{{ $labels.job | toUpper | printf \"%s!\" }} {{ \"x\" | len | printf \"%03d\" }}",
    "{{ nil }}",
    "{{ range 1.5 }}{{ end }}",
    "{{ with $y := 5 }}{{ $y }}{{ . }}{{ end }}{{ with 0 }}{{ else with 7 }}{{ . }}{{ end }}",
    "{{ range (query \"x\" | sortByLabel \"i\") }}{{ if eq .Value 7.0 }}{{ continue }}{{ end }}{{ .Value }}{{ break }}{{ end }}",
    "{{ (query \"x\" | sortByLabel \"i\" | first).Labels.i }} {{ ($labels).job }} {{ call 1 }}",
    "{{ stripPort \"::1\" }} {{ stripDomain \"[::1]:80\" }}",
];

#[test]
fn templates_expand_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut rules = RULE.to_owned();
    let mut test = "rule_files: [r.yml]\ntests:\n- external_labels: {zone: eu}\n  external_url: http://h:1/p\n  input_series:\n\
                    \x20 - {series: 'x{job=\"api\", i=\"2\"}', values: '7'}\n  - {series: 'x{job=\"api\", i=\"1\"}', values: '1'}\n\
                    \x20 alert_rule_test:\n"
        .to_owned();
    for (i, template) in TEMPLATES.iter().enumerate() {
        let template = template.replace('\'', "''");
        rules +=
            &format!("  - {{alert: A{i:02}, expr: x * 2 > 5, annotations: {{a: '{template}'}}}}\n");
        test += &format!("  - {{eval_time: 0, alertname: A{i:02}, exp_alerts: []}}\n");
    }
    std::fs::write(dir.path().join("r.yml"), rules).unwrap();
    std::fs::write(dir.path().join("t.yml"), test).unwrap();
    let args = ["test", "rules", "t.yml"];
    let annotations = |output: &Output| -> Vec<String> {
        let text = text(&output.stderr);
        text.lines()
            .filter(|l| l.contains("Annotations:{"))
            .map(str::to_owned)
            .collect()
    };
    let (ours, theirs) = (ours(&args, dir.path()), run(&promtool, &args, dir.path()));
    let (found, expected) = (annotations(&ours), annotations(&theirs));
    assert_eq!(
        (found.len(), expected.len()),
        (TEMPLATES.len(), TEMPLATES.len()),
        "{}",
        text(&theirs.stderr)
    );
    for ((template, ours), theirs) in TEMPLATES.iter().zip(&found).zip(&expected) {
        assert_eq!(ours, theirs, "{template}");
    }
}

#[test]
fn unit_tests_end_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rules = "groups:\n- name: b\n  rules: [{record: y, expr: x * 2}]\n- name: a\n  limit: 2\n  rules:\n  - {record: x, expr: sum(z)}\n\
                 \x20 - {alert: Up, expr: x > 2, for: 2m, keep_firing_for: 3m, labels: {s: '{{ $value }}'}}\n  - {alert: Many, expr: z}\n";
    let test = "rule_files: ['r*.yml']\nevaluation_interval: 1m\ngroup_eval_order: [a, b]\nfuzzy_compare: true\ntests:\n\
                - name: first\n  input_series: [{series: 'z{i=\"1\"}', values: '1+1x5 0x10'}, {series: 'z{i=\"2\"}', values: '0x3 _ stale'}]\n\
                \x20 promql_expr_test:\n  - {expr: y, eval_time: 3m, exp_samples: [{labels: y, value: 8}]}\n\
                \x20 - {expr: y, eval_time: 4m, exp_samples: [{labels: y, value: 8}, {labels: '{a=\"b\"}', value: .Inf}]}\n\
                \x20 - {expr: 'ALERTS', eval_time: 4m, exp_samples: []}\n  - {expr: 'nope(', eval_time: 1m}\n\
                \x20 - {expr: '1e100 + 0.5', eval_time: 1m30s, exp_samples: [{value: 1}]}\n  - {expr: 'z[5m]', eval_time: 1m}\n\
                \x20 alert_rule_test:\n  - {eval_time: 3m, alertname: Up, exp_alerts: [{exp_labels: {s: '3'}}]}\n\
                \x20 - {eval_time: 8m, alertname: Up, exp_alerts: [{exp_annotations: {x: y}}, {}]}\n  - {eval_time: 9m, alertname: Up}\n\
                \x20 - {eval_time: 2m, alertname: Many, exp_alerts: [{exp_labels: {i: '1'}}, {exp_labels: {i: '2'}}]}\n\
                - name: second\n  interval: 5m\n  input_series: [{series: h, values: '{{count:3 sum:5 buckets:[1 2]}}x3'}]\n\
                \x20 promql_expr_test: [{expr: h, eval_time: 10m, exp_samples: [{labels: h, histogram: '{{count:3 sum:6 buckets:[1 2]}}'}]}, {expr: timestamp(h), eval_time: 10m}]\n\
                - input_series: []\n  promql_expr_test: [{expr: '1', eval_time: 1m, exp_samples: [{value: 1}]}]\n";
    std::fs::write(dir.path().join("r.yml"), rules).unwrap();
    std::fs::write(dir.path().join("t.yml"), test).unwrap();
    for flags in [
        &[][..],
        &["--run=seco"],
        &["--run=^first$", "--run=x"],
        &["--run=nothing"],
    ] {
        let args: Vec<&str> = ["test", "rules"]
            .iter()
            .chain(flags)
            .chain(&["t.yml"])
            .copied()
            .collect();
        let ours = ours(&args, dir.path());
        let theirs = run(&promtool, &args, dir.path());
        assert_eq!(text(&ours.stderr), text(&theirs.stderr), "{flags:?}");
        assert_eq!(shown(&ours), shown(&theirs), "{flags:?}");
    }
    let report = |program: &Path, before: &[&str], name: &str| {
        let junit = format!("--junit={name}");
        let args: Vec<&str> = before.iter().copied().chain(["test", "rules"]).collect();
        // promtool wants the flag in front of the subcommand.
        let args: Vec<&str> = if before.is_empty() {
            vec!["test", &junit, "rules", "t.yml"]
        } else {
            args.into_iter().chain([junit.as_str(), "t.yml"]).collect()
        };
        run(program, &args, dir.path());
        let xml = std::fs::read_to_string(dir.path().join(name)).unwrap();
        let (head, tail) = xml.split_once("timestamp=\"").unwrap();
        format!("{head}{}", tail.split_once('"').unwrap().1)
    };
    assert_eq!(
        report(Path::new(BINARY), &["tool"], "o.xml"),
        report(&promtool, &[], "t.xml")
    );
    // Broken files.
    for (broken, code) in [
        ("tests: [", 1),
        ("group_eval_order: [a, a]\n", 1),
        ("rule_files: [no.yml]\n", 0),
    ] {
        std::fs::write(dir.path().join("b.yml"), broken).unwrap();
        let args = ["test", "rules", "b.yml"];
        let (ours, theirs) = (ours(&args, dir.path()), run(&promtool, &args, dir.path()));
        assert_eq!(
            (ours.status.code(), theirs.status.code()),
            (Some(code), Some(code)),
            "{broken}"
        );
    }
}

#[test]
fn the_shipped_rules_are_valid_and_do_what_their_tests_say() {
    let config = support::repository().join("config");
    let programs = [(Path::new(BINARY).to_owned(), vec!["tool"])]
        .into_iter()
        .chain(peers::find("promtool").map(|p| (p, vec![])));
    for (program, before) in programs {
        for args in [
            vec!["check", "rules", "--lint-fatal", "rules.yml"],
            vec!["test", "rules", "rules_test.yml"],
        ] {
            let args: Vec<&str> = before.iter().copied().chain(args).collect();
            let output = run(&program, &args, &config);
            assert!(
                output.status.success(),
                "{}: {}",
                program.display(),
                text(&output.stderr)
            );
        }
    }
}
