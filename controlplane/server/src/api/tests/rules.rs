//! `/rules`, `/alerts` and `/alertmanagers` over fixed rules.

use std::time::Duration;

use bellwether_model::Labels;
use serde_json::Value;

use crate::rules::{Alert, AlertState, Alerting, Alertmanagers, Health, Rule, RuleGroup};
use crate::testing::{TestServer, start};

fn group(file: &str, name: &str, rules: Vec<Rule>) -> RuleGroup {
    RuleGroup {
        name: name.to_owned(),
        file: file.to_owned(),
        rules,
        interval: Duration::from_secs(15),
        ..RuleGroup::default()
    }
}

fn recording(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        query: "sum(up)".to_owned(),
        labels: Labels::from_pairs([("team", "a")]),
        health: Health::Good,
        evaluation_time: Duration::from_micros(1500),
        last_evaluation: Some("2024-01-02T03:04:05.25Z".parse().unwrap()),
        ..Rule::default()
    }
}

fn alert(state: AlertState, value: f64) -> Alert {
    Alert {
        labels: Labels::from_pairs([("alertname", "Down"), ("job", "x")]),
        annotations: Labels::from_pairs([("summary", "\"x\" is down")]),
        state,
        active_at: "2024-01-02T03:00:00Z".parse().unwrap(),
        keep_firing_since: (state == AlertState::Firing)
            .then(|| "2024-01-02T03:01:00.5Z".parse().unwrap()),
        value,
    }
}

fn alerting(alerts: Vec<Alert>) -> Rule {
    Rule {
        name: "Down".to_owned(),
        query: "up == 0".to_owned(),
        health: Health::Bad,
        last_error: "it broke".to_owned(),
        last_evaluation: Some("2024-01-02T03:04:05Z".parse().unwrap()),
        alerting: Some(Alerting {
            hold: Duration::from_millis(90_500),
            annotations: Labels::from_pairs([("summary", "{{ $labels.job }} is down")]),
            alerts,
            ..Alerting::default()
        }),
        ..Rule::default()
    }
}

async fn with_rules() -> TestServer {
    let server = start().await;
    server.state.rules.set_groups(|| {
        let alerts = vec![
            alert(AlertState::Pending, 0.0),
            alert(AlertState::Firing, 0.05),
        ];
        vec![
            group("b.yml", "g1", vec![recording("r1")]),
            group("a.yml", "g2", vec![recording("r2"), alerting(alerts)]),
            group("a.yml", "g1", vec![alerting(Vec::new())]),
        ]
    });
    server
}

#[tokio::test]
async fn a_server_without_rules_shows_empty_lists() {
    let server = start().await;
    for (path, data) in [
        ("rules", r#"{"groups":[]}"#),
        ("alerts", r#"{"alerts":[]}"#),
        (
            "alertmanagers",
            r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#,
        ),
    ] {
        let answer = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.body,
            format!(r#"{{"status":"success","data":{data}}}"#)
        );
    }
}

#[tokio::test]
async fn groups_look_as_in_prometheus() {
    let server = with_rules().await;
    let answer = server
        .get("/api/v1/rules?file[]=a.yml&rule_group[]=g2")
        .await;
    let pending = r#"{"labels":{"alertname":"Down","job":"x"},"annotations":{"summary":"\"x\" is down"},"state":"pending","activeAt":"2024-01-02T03:00:00Z","value":"0e+00"}"#;
    let firing = r#"{"labels":{"alertname":"Down","job":"x"},"annotations":{"summary":"\"x\" is down"},"state":"firing","activeAt":"2024-01-02T03:00:00Z","keepFiringSince":"2024-01-02T03:01:00.5Z","value":"5e-02"}"#;
    let expected = format!(
        "{{\"status\":\"success\",\"data\":{{\"groups\":[{{\"name\":\"g2\",\"file\":\"a.yml\",\"rules\":[{},{}],{}}}]}}}}",
        r#"{"name":"r2","query":"sum(up)","labels":{"team":"a"},"health":"ok","evaluationTime":0.0015,"lastEvaluation":"2024-01-02T03:04:05.25Z","type":"recording"}"#,
        format_args!(
            r#"{{"state":"firing","name":"Down","query":"up == 0","duration":90.5,"keepFiringFor":0,"labels":{{}},"annotations":{{"summary":"{{{{ $labels.job }}}} is down"}},"alerts":[{pending},{firing}],"health":"err","lastError":"it broke","evaluationTime":0,"lastEvaluation":"2024-01-02T03:04:05Z","type":"alerting"}}"#
        ),
        r#""interval":15,"limit":0,"evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z""#,
    );
    assert_eq!(answer.body, expected);
    let alerts = server.get("/api/v1/alerts").await;
    assert_eq!(
        alerts.body,
        format!(r#"{{"status":"success","data":{{"alerts":[{pending},{firing}]}}}}"#)
    );
}

/// `file/group: rule rule` for each group of a page.
fn names(answer: &Value) -> Vec<String> {
    let groups = answer["data"]["groups"].as_array().unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    groups
        .iter()
        .map(|g| {
            let rules: Vec<String> = g["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| text(&r["name"]))
                .collect();
            format!(
                "{}/{}: {}",
                text(&g["file"]),
                text(&g["name"]),
                rules.join(" ")
            )
        })
        .collect()
}

#[tokio::test]
async fn filters_leave_out_rules_and_then_empty_groups() {
    let server = with_rules().await;
    for (query, expected) in [
        ("", "a.yml/g1: Down, a.yml/g2: r2 Down, b.yml/g1: r1"),
        ("type=ALERT", "a.yml/g1: Down, a.yml/g2: Down"),
        ("type=record", "a.yml/g2: r2, b.yml/g1: r1"),
        (
            "rule_name[]=r1&rule_name[]=r2",
            "a.yml/g2: r2, b.yml/g1: r1",
        ),
        ("rule_group[]=g1&type=record", "b.yml/g1: r1"),
        ("match[]=%7Bteam=%22a%22%7D", "a.yml/g2: r2, b.yml/g1: r1"),
        (
            "match[]=%7Bteam=%22b%22%7D&match[]=%7Bteam=~%22a%7Cc%22%7D&file[]=b.yml",
            "b.yml/g1: r1",
        ),
        ("file[]=c.yml", ""),
    ] {
        let answer = server.get(&format!("/api/v1/rules?{query}")).await.json();
        assert_eq!(names(&answer).join(", "), expected, "{query}");
    }
    let without = server
        .get("/api/v1/rules?type=alert&exclude_alerts=TRUE&rule_group[]=g2")
        .await
        .json();
    let rule = &without["data"]["groups"][0]["rules"][0];
    assert_eq!(
        (rule["alerts"].clone(), &rule["state"]),
        (Value::Null, &Value::from("firing"))
    );
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = with_rules().await;
    let mut token = String::new();
    let mut pages = Vec::new();
    for _ in 0..5 {
        let path = format!("/api/v1/rules?group_limit=1&type=record&group_next_token={token}");
        let page = server.get(&path).await.json();
        pages.extend(names(&page));
        match page["data"]["groupNextToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, ["a.yml/g2: r2", "b.yml/g1: r1"]);
    let lost = server
        .get("/api/v1/rules?group_limit=1&group_next_token=abc")
        .await;
    assert_eq!(lost.status, 400);
    assert_eq!(
        lost.json()["error"],
        "invalid parameter \"group_next_token\": invalid group_next_token 'abc'. were rule groups changed?"
    );
}

#[tokio::test]
async fn alertmanagers_by_url() {
    let server = start().await;
    server.state.rules.set_alertmanagers(|| Alertmanagers {
        active: vec!["http://a:9093/api/v2/alerts".to_owned()],
        dropped: vec!["http://b:9093/api/v2/alerts".to_owned()],
    });
    assert_eq!(
        server.get("/api/v1/alertmanagers").await.body,
        r#"{"status":"success","data":{"activeAlertmanagers":[{"url":"http://a:9093/api/v2/alerts"}],"droppedAlertmanagers":[{"url":"http://b:9093/api/v2/alerts"}]}}"#
    );
}
