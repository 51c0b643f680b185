//! `bellwether tool check config` beside promtool on the same files.
#![allow(clippy::unwrap_used)]

mod support;

use support::peers;
use support::tool::{ours, run, text};

/// Files in a folder and arguments of `check config`; the words of the cause where it fails.
struct Case {
    files: &'static [(&'static str, &'static str)],
    args: &'static [&'static str],
    cause: &'static str,
}

const GOOD_RULES: &str = "groups: [{name: g, rules: [{record: r, expr: up}]}]\n";
const TWICE: &str =
    "groups: [{name: g, rules: [{record: r, expr: up}, {record: r, expr: 1 + up}]}]\n";

const fn case(
    files: &'static [(&'static str, &'static str)],
    args: &'static [&'static str],
    cause: &'static str,
) -> Case {
    Case { files, args, cause }
}

const SLOW: &str = "scrape_configs: [{job_name: slow, scrape_interval: 10m}]\n";
const FILE_SD: &str = "scrape_configs: [{job_name: f, file_sd_configs: [{files: [t.yml]}]}]\n";

const CASES: &[Case] = &[
    case(&[("p.yml", "global: {}\n")], &["p.yml"], ""),
    case(&[("p.yml", "globl: {}\n")], &["p.yml"], "globl"),
    case(
        &[("p.yml", "rule_files: [r.yml]\n"), ("r.yml", GOOD_RULES)],
        &["p.yml"],
        "",
    ),
    case(
        &[("p.yml", "rule_files: [r.yml]\n")],
        &["p.yml"],
        "\"r.yml\" does not point to an existing file",
    ),
    case(&[("p.yml", "rule_files: ['r*.yml']\n")], &["p.yml"], ""),
    case(
        &[
            ("p.yml", "rule_files: ['r*.yml', x.yml]\n"),
            ("r1.yml", GOOD_RULES),
            ("r2.yml", TWICE),
            ("x.yml", GOOD_RULES),
        ],
        &["p.yml"],
        "",
    ),
    case(
        &[("p.yml", "rule_files: [r.yml]\n"), ("r.yml", TWICE)],
        &["--lint-fatal", "p.yml"],
        "",
    ),
    case(
        &[("p.yml", "rule_files: [r.yml]\n"), ("r.yml", TWICE)],
        &["--lint=none", "--lint-fatal", "p.yml"],
        "",
    ),
    case(
        &[
            ("p.yml", "rule_files: [r.yml]\n"),
            ("r.yml", "groups: [{name: g, rules: [{record: r}]}]\n"),
        ],
        &["p.yml"],
        "field 'expr' must be set in rule",
    ),
    case(
        &[
            ("p.yml", "rule_files: [r.yml]\n"),
            ("r.yml", "groups: [{name: g, rules: [{record: r}]}]\n"),
        ],
        &["--syntax-only", "p.yml"],
        "",
    ),
    case(
        &[
            ("p.yml", "rule_files: [r.yml]\n"),
            ("r.yml", "x: 1\ngroups: []\n"),
        ],
        &["p.yml"],
        "field x not found",
    ),
    case(
        &[
            ("p.yml", "rule_files: [r.yml]\n"),
            ("r.yml", "x: 1\ngroups: []\n"),
        ],
        &["--ignore-unknown-fields", "p.yml"],
        "",
    ),
    case(&[("p.yml", SLOW)], &["p.yml"], ""),
    case(
        &[("p.yml", SLOW)],
        &["--lint=too-long-scrape-interval", "p.yml"],
        "too long scrape interval found, data point will be marked as stale - job: slow, interval: 10m",
    ),
    case(
        &[("p.yml", SLOW)],
        &["--lint=all", "--lint-fatal", "p.yml"],
        "too long scrape interval found",
    ),
    case(
        &[("p.yml", SLOW)],
        &["--lint=all,none", "--lint-fatal", "p.yml"],
        "",
    ),
    case(&[("p.yml", SLOW)], &["--lint=duplicates", "p.yml"], ""),
    case(
        &[("p.yml", SLOW)],
        &[
            "--lint=all",
            "--lint-fatal",
            "--query.lookback-delta=11m",
            "p.yml",
        ],
        "",
    ),
    case(
        &[("p.yml", "global: {}\n"), ("q.yml", "x: 1\n")],
        &["p.yml", "q.yml", "p.yml"],
        "x",
    ),
    case(&[("p.yml", FILE_SD)], &["p.yml"], ""),
    case(
        &[
            ("p.yml", FILE_SD),
            ("t.yml", "- targets: [a:1, b]\n  labels: {x: y}\n"),
        ],
        &["p.yml"],
        "",
    ),
    case(
        &[("p.yml", FILE_SD), ("t.yml", "- targets: ['http://a']\n")],
        &["p.yml"],
        "instance 0 in group : \"http://a\" is not a valid hostname",
    ),
    case(
        &[("p.yml", FILE_SD), ("t.yml", "- target: [a]\n")],
        &["p.yml"],
        "checking SD file \"t.yml\": ",
    ),
    case(
        &[("p.yml", FILE_SD), ("t.yml", "-\n")],
        &["p.yml"],
        "checking SD file \"t.yml\": nil target group item found (index 0)",
    ),
    case(
        &[("p.yml", FILE_SD), ("t.yml", "- target: [a]\n")],
        &["--syntax-only", "p.yml"],
        "",
    ),
    case(
        &[
            (
                "p.yml",
                "scrape_configs: [{job_name: f, file_sd_configs: [{files: [t.json]}]}]\n",
            ),
            (
                "t.json",
                "[{\"targets\": [\"a:1\"], \"labels\": {\"x\": \"y\"}}]",
            ),
        ],
        &["p.yml"],
        "",
    ),
    case(
        &[
            (
                "p.yml",
                "scrape_configs: [{job_name: f, file_sd_configs: [{files: [t.json]}]}]\n",
            ),
            ("t.json", "[{\"targets\": \"a:1\"}]"),
        ],
        &["p.yml"],
        "checking SD file \"t.json\": ",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, static_configs: [{targets: [a]}, {targets: [b, 'http://c']}], relabel_configs: [{target_label: x, replacement: y}]}]\n",
        )],
        &["p.yml"],
        "instance 1 in group 1: \"http://c\" is not a valid hostname",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, static_configs: [{targets: ['http://c']}], relabel_configs: [{target_label: __address__, replacement: 'a:1'}]}]\n",
        )],
        &["p.yml"],
        "",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, static_configs: [{targets: [a]}], relabel_configs: [{target_label: __address__, replacement: ''}]}]\n",
        )],
        &["p.yml"],
        "instance 0 in group 0: no address",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, authorization: {credentials_file: token}}]\n",
        )],
        &["p.yml"],
        "error checking authorization credentials or bearer token file \"token\": stat token: no such file or directory",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, bearer_token_file: token}]\n",
        )],
        &["p.yml"],
        "error checking authorization credentials or bearer token file \"token\": stat token: no such file or directory",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, bearer_token_file: token}]\n",
        )],
        &["--syntax-only", "p.yml"],
        "",
    ),
    case(
        &[
            (
                "p.yml",
                "scrape_configs: [{job_name: s, bearer_token_file: token}]\n",
            ),
            ("token", "x"),
        ],
        &["p.yml"],
        "",
    ),
    case(
        &[
            ("p.yml", "scrape_config_files: [s.yml]\n"),
            ("s.yml", "scrape_configs: [{scheme: http}]\n"),
        ],
        &["p.yml"],
        "job_name is empty",
    ),
    case(
        &[
            ("p.yml", "scrape_config_files: [s.yml]\n"),
            ("s.yml", "scrape_configs: [{scheme: http}]\n"),
        ],
        &["--syntax-only", "p.yml"],
        "",
    ),
    case(
        &[(
            "p.yml",
            "alerting: {alertmanagers: [{file_sd_configs: [{files: [am.yml]}]}]}\n",
        )],
        &["p.yml"],
        "",
    ),
    case(
        &[(
            "p.yml",
            "alerting: {alertmanagers: [{static_configs: [{targets: ['a:9093']}]}]}\n",
        )],
        &["p.yml"],
        "",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, scheme: https, tls_config: {cert_file: c.pem, key_file: k.pem}}]\n",
        )],
        &["p.yml"],
        "error checking client cert file \"c.pem\": stat c.pem: no such file or directory",
    ),
    case(
        &[
            (
                "p.yml",
                "scrape_configs: [{job_name: s, scheme: https, tls_config: {cert_file: c.pem, key_file: k.pem}}]\n",
            ),
            ("c.pem", "x"),
        ],
        &["p.yml"],
        "error checking client key file \"k.pem\": stat k.pem: no such file or directory",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, scheme: https, tls_config: {cert_file: c.pem, key_file: k.pem}}]\n",
        )],
        &["--syntax-only", "p.yml"],
        "",
    ),
    case(
        &[(
            "p.yml",
            "scrape_configs: [{job_name: s, kubernetes_sd_configs: [{role: pod, api_server: 'https://k', tls_config: {cert_file: c.pem, key_file: k.pem}}]}]\n",
        )],
        &["p.yml"],
        "error checking client cert file \"c.pem\": stat c.pem: no such file or directory",
    ),
    case(
        &[("p.yml", "rule_files: [r.yml]\n"), ("r.yml", GOOD_RULES)],
        &["--agent", "p.yml"],
        "field rule_files is not allowed in agent mode",
    ),
    case(
        &[(
            "p.yml",
            "alerting: {alertmanagers: [{static_configs: [{targets: ['a:9093']}]}]}\n",
        )],
        &["--agent", "--syntax-only", "p.yml"],
        "field alerting is not allowed in agent mode",
    ),
    case(
        &[(
            "p.yml",
            "remote_write: [{url: 'http://x'}]\nscrape_configs: [{job_name: a}]\n",
        )],
        &["--agent", "p.yml"],
        "",
    ),
];

#[test]
fn configurations_are_checked_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let mut wrong = Vec::new();
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in case.files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let args: Vec<&str> = ["check", "config"]
            .iter()
            .chain(case.args)
            .copied()
            .collect();
        let found = ours(&args, dir.path(), "");
        let expected = run(&promtool, &args, dir.path(), "");
        let name = format!("{:?} {:?}", case.args, case.files);
        if found.status.code() != expected.status.code() {
            wrong.push(format!(
                "{name}: exit {:?} instead of {:?}: {}\n{}",
                found.status.code(),
                expected.status.code(),
                text(&found.stderr),
                text(&expected.stderr)
            ));
        }
        if found.stdout != expected.stdout {
            wrong.push(format!(
                "{name}:\n{}instead of\n{}",
                text(&found.stdout),
                text(&expected.stdout)
            ));
        }
        let (found, expected) = (text(&found.stderr), text(&expected.stderr));
        let has_cause = |errors: &str| errors.contains(case.cause);
        if !has_cause(&found) || !has_cause(&expected) {
            wrong.push(format!(
                "{name}: no {:?} in\n{found}or\n{expected}",
                case.cause
            ));
        }
        let marks = |errors: &str| errors.matches("  FAILED:").count();
        if marks(&found) != marks(&expected) {
            wrong.push(format!("{name}:\n{found}instead of\n{expected}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn discovery_that_cannot_run_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "scrape_configs: [{job_name: a, nerve_sd_configs: [{servers: [z], paths: [/a]}]}]\n";
    std::fs::write(dir.path().join("p.yml"), config).unwrap();
    let output = ours(&["check", "config", "p.yml"], dir.path(), "");
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let place = "nerve_sd_configs of scrape config with job name \"a\" cannot run in this build";
    assert!(errors.contains(place), "{errors}");
}
