#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bellwether_model::labels::METRIC_NAME;
use bellwether_promql::{Engine, EngineOptions, Point};
use bellwether_telemetry::Registry;
use bellwether_tsdb::{Db, DbOptions};

use super::*;
use crate::file::{FileOptions, RuleFile};
use crate::manager::{ManagerOptions, ManagerParts, context};
use crate::query::EngineQueries;
use crate::rule::{AlertState, Health};

const MINUTE: Duration = Duration::from_secs(60);
/// Everything happens some time after the epoch, so that a restart can look back.
const START: i64 = 100_000;

fn at(minutes: i64) -> Time {
    Time::from_seconds(START + minutes * 60)
}

/// An expression and its alerts.
type Sent = (String, Vec<Alert>);

/// A database, and groups over it.
struct World {
    _dir: tempfile::TempDir,
    db: Arc<Db>,
    sent: Arc<Mutex<Vec<Sent>>>,
    registry: Registry,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), DbOptions::default()).unwrap();
        Self {
            _dir: dir,
            db,
            sent: Arc::default(),
            registry: Registry::new(),
        }
    }

    fn context(&self, concurrent: Option<usize>) -> GroupContext {
        let sent = Arc::clone(&self.sent);
        let parts = ManagerParts {
            queries: Arc::new(EngineQueries {
                engine: Engine::new(EngineOptions::default()),
                storage: Arc::clone(&self.db) as _,
            }),
            appendable: Arc::clone(&self.db) as _,
            queryable: Arc::clone(&self.db) as _,
            notify: Arc::new(move |expr, alerts| sent.lock().push((expr.to_owned(), alerts))),
            registry: self.registry.clone(),
        };
        let options = ManagerOptions {
            external_url: "http://h:9090/p".to_owned(),
            concurrent_evals: concurrent,
            ..ManagerOptions::default()
        };
        context(parts, options)
    }

    /// The only group of a file.
    fn group_with(&self, text: &str, restore: bool, concurrent: Option<usize>) -> Group {
        let file = RuleFile::parse(text, &FileOptions::default()).unwrap();
        let external_labels = Labels::from_pairs([("cluster", "c1")]);
        let around = GroupSurroundings {
            file: "f.yml",
            interval: MINUTE,
            external_labels: &external_labels,
            restore,
        };
        Group::new(&file.groups[0], &around, self.context(concurrent)).unwrap()
    }

    fn group(&self, text: &str) -> Group {
        self.group_with(text, false, None)
    }

    fn write(&self, at: Time, samples: &[(&str, &str, f64)]) {
        let mut appender = self.db.appender();
        for (name, job, v) in samples {
            let labels = Labels::from_pairs([(METRIC_NAME, *name), ("job", job)]);
            let series = appender.series(&labels).unwrap();
            appender.append(series, at.millis(), *v).unwrap();
        }
        appender.commit().unwrap();
    }

    /// Labels and values of an instant query, in order.
    fn query(&self, text: &str, at: Time) -> Vec<String> {
        let engine = Engine::new(EngineOptions::default());
        let options = bellwether_promql::QueryOptions::default();
        let result = engine
            .instant(&*self.db, text, at.millis(), &options)
            .unwrap();
        let samples = crate::query::samples(result).unwrap();
        let show = |s: &bellwether_promql::VectorSample| match s.point {
            Point::Float(v) => format!("{} {v}", s.labels),
            Point::Histogram(_) => s.labels.to_string(),
        };
        let mut shown: Vec<String> = samples.iter().map(show).collect();
        shown.sort();
        shown
    }

    fn states(group: &Group, rule: usize) -> Vec<(AlertState, String)> {
        let alerts = group.rules[rule].active_alerts();
        alerts
            .iter()
            .map(|a| (a.state, a.labels.to_string()))
            .collect()
    }
}

fn rules(rules: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n{rules}")
}

#[test]
fn a_recording_rule_writes_its_name_and_labels_and_ends_what_vanishes() {
    let world = World::new();
    let group = world.group(&rules(
        "  - {record: r, expr: 'x > 1', labels: {job: \"\", zone: z}}\n  - {record: q, expr: 'r * 2'}\n",
    ));
    world.write(at(0), &[("x", "a", 5.0)]);
    group.evaluate(at(0));
    // The second rule sees what the first one wrote at the same time.
    assert_eq!(
        world.query("{__name__=~'r|q'}", at(0)),
        [
            "{__name__=\"q\", zone=\"z\"} 10",
            "{__name__=\"r\", zone=\"z\"} 5",
        ]
    );
    world.write(at(1), &[("x", "a", 0.0)]);
    group.evaluate(at(1));
    assert_eq!(world.query("{__name__=~'r|q'}", at(1)), [] as [&str; 0]);
    assert_eq!(group.rules[0].status().health, Health::Good);
    assert!(group.rules[0].status().last_evaluation.is_some());
}

#[test]
fn results_keep_their_series_in_any_order_and_number() {
    let world = World::new();
    let group = world.group(&rules("  - {record: r, expr: 'sort(x > 1)'}\n"));
    // What is remembered of the results before must never put a value into another series.
    let rounds: [&[(&str, &str, f64)]; 6] = [
        &[("x", "a", 2.0), ("x", "b", 3.0), ("x", "c", 4.0)],
        &[("x", "a", 9.0), ("x", "b", 8.0), ("x", "c", 7.0)],
        &[("x", "a", 0.0), ("x", "b", 2.0), ("x", "c", 3.0)],
        &[("x", "a", 5.0), ("x", "b", 0.0), ("x", "c", 4.0)],
        &[("x", "a", 5.0), ("x", "b", 6.0), ("x", "d", 4.0)],
        &[("x", "a", 0.0), ("x", "b", 0.0), ("x", "d", 0.0)],
    ];
    let mut latest = std::collections::BTreeMap::new();
    for (minute, samples) in rounds.into_iter().enumerate() {
        let at = at(minute as i64);
        world.write(at, samples);
        group.evaluate(at);
        for (_, job, v) in samples {
            latest.insert(*job, *v);
        }
        let wanted = latest.iter().filter(|(_, v)| **v > 1.0);
        let wanted = wanted.map(|(job, v)| format!("{{__name__=\"r\", job=\"{job}\"}} {v}"));
        assert_eq!(world.query("r", at), wanted.collect::<Vec<_>>(), "{minute}");
    }
}

#[test]
fn failures_set_health_and_name_their_reason() {
    let world = World::new();
    let group = world.group(
        "groups:\n- name: g\n  limit: 1\n  rules:\n  - {record: r, expr: x, labels: {job: same}}\n\
         \x20 - {record: s, expr: x}\n  - {alert: A, expr: x}\n  - {alert: B, expr: x, labels: {job: same}}\n\
         \x20 - {record: t, expr: 'x * on() x'}\n  - {record: u, expr: '\"text\"'}\n",
    );
    world.write(at(0), &[("x", "a", 1.0), ("x", "b", 2.0)]);
    group.evaluate(at(0));
    let errors: Vec<String> = group.rules.iter().map(|r| r.status().last_error).collect();
    assert_eq!(
        errors[..4],
        [
            "vector contains metrics with the same labelset after applying rule labels",
            "exceeded limit of 1 with 2 series",
            "exceeded limit of 1 with 2 alerts",
            "vector contains metrics with the same labelset after applying alert labels",
        ]
    );
    assert!(errors[4].contains("duplicate series"), "{}", errors[4]);
    assert_eq!(errors[5], "rule result is not a vector or scalar");
    assert!(group.rules.iter().all(|r| r.status().health == Health::Bad));
    assert_eq!(
        world.query("{__name__=~'r|s|ALERTS'}", at(0)),
        [] as [&str; 0]
    );
    let page = world.registry.render_text();
    assert!(
        page.contains("prometheus_rule_evaluation_failures_total{rule_group=\"f.yml;g\"} 6"),
        "{page}"
    );
}

#[test]
fn passing_the_limit_later_ends_the_series() {
    let world = World::new();
    let group = world.group("groups:\n- name: g\n  limit: 1\n  rules: [{record: r, expr: x}]\n");
    world.write(at(0), &[("x", "a", 1.0)]);
    group.evaluate(at(0));
    assert_eq!(world.query("r", at(0)).len(), 1);
    world.write(at(1), &[("x", "a", 1.0), ("x", "b", 2.0)]);
    group.evaluate(at(1));
    // As in Prometheus: a failed evaluation writes nothing, not even the end of its series.
    assert_eq!(world.query("r", at(1)).len(), 1);
    assert_eq!(group.rules[0].status().health, Health::Bad);
}

#[test]
fn an_alert_waits_fires_is_written_and_sent() {
    let world = World::new();
    let group = world.group(&rules(
        "  - alert: Down\n    expr: up == 0\n    for: 2m\n    labels: {severity: '{{ $labels.job }}-page'}\n\
         \x20   annotations: {summary: '{{ $labels.job }} is {{ $value }} in {{ $externalLabels.cluster }} {{ externalURL }}'}\n",
    ));
    for minute in 0..=4 {
        world.write(at(minute), &[("up", "a", 0.0)]);
        group.evaluate(at(minute));
    }
    let labels = "{alertname=\"Down\", job=\"a\", severity=\"a-page\"}";
    assert_eq!(
        World::states(&group, 0),
        [(AlertState::Firing, labels.to_owned())]
    );
    let alert = &group.rules[0].active_alerts()[0];
    assert_eq!(alert.annotations["summary"], "a is 0 in c1 http://h:9090/p");
    assert_eq!((alert.active_at, alert.fired_at), (at(0), Some(at(2))));
    assert_eq!(
        world.query("ALERTS", at(1)),
        [
            "{__name__=\"ALERTS\", alertname=\"Down\", alertstate=\"pending\", job=\"a\", severity=\"a-page\"} 1",
        ]
    );
    // The pending series has ended where the firing one begins.
    assert_eq!(
        world.query("ALERTS", at(2)),
        [
            "{__name__=\"ALERTS\", alertname=\"Down\", alertstate=\"firing\", job=\"a\", severity=\"a-page\"} 1",
        ]
    );
    assert_eq!(
        world.query("ALERTS_FOR_STATE", at(4)),
        [format!(
            "{{__name__=\"ALERTS_FOR_STATE\", alertname=\"Down\", job=\"a\", severity=\"a-page\"}} {START}"
        )]
    );
    // Sent when it fired and, more than the delay of one minute later, again.
    let sent = world.sent.lock();
    let times: Vec<_> = sent
        .iter()
        .map(|(_, alerts)| alerts[0].last_sent_at.unwrap())
        .collect();
    assert_eq!(times, [at(2), at(4)]);
    assert_eq!(sent[0].0, "up == 0");
    assert_eq!(sent[0].1[0].valid_until, Some(at(6)));
    drop(sent);
    world.write(at(5), &[("up", "a", 1.0)]);
    group.evaluate(at(5));
    assert_eq!(
        world.query("{__name__=~'ALERTS.*'}", at(5)),
        [] as [&str; 0]
    );
    let resolved = world.sent.lock().last().unwrap().1[0].clone();
    assert_eq!(
        (resolved.state, resolved.resolved_at),
        (AlertState::Inactive, Some(at(5)))
    );
    assert!(group.rules[0].active_alerts().is_empty());
}

#[test]
fn mistakes_in_templates_become_their_text() {
    let world = World::new();
    let group = world.group(&rules(
        "  - {alert: A, expr: x, annotations: {a: '{{ .Nope }}', b: '{{ query \"up(\" }}', c: fine}}\n",
    ));
    world.write(at(0), &[("x", "a", 1.0)]);
    group.evaluate(at(0));
    let annotations = &group.rules[0].active_alerts()[0].annotations;
    assert!(
        annotations["a"]
            .starts_with("<error expanding template: error executing template __alert_A: "),
        "{}",
        annotations["a"]
    );
    assert!(
        annotations["b"].contains("error calling query: 1:"),
        "{}",
        annotations["b"]
    );
    assert_eq!(annotations["c"], "fine");
    assert!(
        world
            .registry
            .render_text()
            .contains("prometheus_template_text_expansion_failures_total 2")
    );
}

#[test]
fn the_query_offset_moves_reading_and_writing() {
    let world = World::new();
    let group = world.group(
        "groups:\n- name: g\n  query_offset: 2m\n  rules: [{record: r, expr: x}, {alert: A, expr: x}]\n",
    );
    world.write(at(0), &[("x", "a", 1.0)]);
    world.write(at(2), &[("x", "a", 3.0)]);
    group.evaluate(at(2));
    assert_eq!(world.query("r", at(0)), ["{__name__=\"r\", job=\"a\"} 1"]);
    assert_eq!(world.query("timestamp(ALERTS)", at(0)).len(), 1);
    assert_eq!(group.rules[1].active_alerts()[0].active_at, at(2));
}

#[test]
fn a_changed_group_goes_on_with_its_alerts_and_ends_removed_rules() {
    let world = World::new();
    let old = world.group(&rules(
        "  - {alert: A, expr: x, for: 5m}\n  - {record: gone, expr: x}\n  - {record: stays, expr: x}\n",
    ));
    for minute in 0..3 {
        world.write(at(minute), &[("x", "a", 1.0)]);
        old.evaluate(at(minute));
    }
    let new = world.group(&rules(
        "  - {record: stays, expr: x + 1}\n  - {alert: A, expr: x > 0, for: 3m}\n",
    ));
    assert!(!new.is_same_as(&old));
    new.copy_state(&old);
    world.write(at(3), &[("x", "a", 1.0)]);
    new.evaluate(at(3));
    assert_eq!(new.rules[1].active_alerts()[0].state, AlertState::Firing);
    assert_eq!(new.rules[1].active_alerts()[0].active_at, at(0));
    assert_eq!(
        world.query("{__name__=~'gone|stays'}", at(3)),
        ["{__name__=\"stays\", job=\"a\"} 2"]
    );
    assert!(new.is_same_as(&world.group(&rules(
        "  - {record: stays, expr: x+1}\n  - {alert: A, expr: 'x>0', for: 180s}\n",
    ))));
}

/// A first process until `down`, then another one that restores at `up`; since when the alert counts as active.
fn restored(hold: &str, down: i64, up: i64) -> (Option<Time>, usize) {
    let world = World::new();
    let text = rules(&format!(
        "  - {{alert: A, expr: x, for: {hold}, labels: {{v: '{{{{ $value }}}}', team: t}}}}\n"
    ));
    let before = world.group(&text);
    for minute in 0..=down {
        world.write(at(minute), &[("x", "a", 1.0)]);
        before.evaluate(at(minute));
    }
    let after = world.group_with(&text, true, None);
    assert!(after.should_restore());
    world.write(at(up), &[("x", "a", 1.0)]);
    after.evaluate(at(up));
    // Nothing is written over what is to be restored.
    assert_eq!(
        world.query("count_over_time(ALERTS_FOR_STATE[30s])", at(up)),
        [] as [&str; 0]
    );
    after.restore(at(up));
    assert!(!after.should_restore());
    world.write(at(up + 1), &[("x", "a", 1.0)]);
    after.evaluate(at(up + 1));
    let written = world
        .query("count_over_time(ALERTS_FOR_STATE[30s])", at(up + 1))
        .len();
    (
        after.rules[0].active_alerts().first().map(|a| a.active_at),
        written,
    )
}

#[test]
fn for_goes_on_after_a_restart() {
    // Was firing: unchanged.
    assert_eq!(restored("15m", 20, 30), (Some(at(0)), 1));
    // Nearly fired: it gets the grace period of ten minutes.
    assert_eq!(restored("30m", 25, 30), (Some(at(30 + 10 - 30)), 1));
    // Far from firing: the time without a process does not count.
    assert_eq!(restored("30m", 5, 15), (Some(at(10)), 1));
    // An outage of more than an hour, or a `for` below the grace period: from the start.
    assert_eq!(restored("30m", 5, 70), (Some(at(70)), 1));
    assert_eq!(restored("9m", 5, 15), (Some(at(15)), 1));
}

#[test]
fn rules_that_need_each_other_are_not_in_one_batch() {
    let world = World::new();
    let split = |text: &str| batches::split(&world.group(&rules(text)).rules);
    assert_eq!(
        split(
            "  - {record: a, expr: x}\n  - {record: b, expr: 'rate(a[5m])'}\n  - {record: c, expr: y}\n  - {record: d, expr: b + c}\n  - {alert: E, expr: x}\n  - {record: f, expr: 'ALERTS{alertname=\"E\"}'}\n  - {record: g, expr: 'ALERTS{alertname=\"Z\"}'}\n"
        ),
        [vec![0, 2, 4, 6], vec![1], vec![3, 5]]
    );
    assert_eq!(
        split("  - {record: a, expr: '{job=\"x\"}'}\n  - {record: b, expr: x}\n"),
        [] as [Vec<usize>; 0]
    );
}

#[test]
fn rules_beside_each_other_give_the_same_as_in_order() {
    let world = World::new();
    let mut text = String::new();
    for i in 0..8 {
        text += &format!("  - {{record: a{i}, expr: x + {i}}}\n");
    }
    text += "  - {record: sum, expr: a0 + on(job) a1 + on(job) a7}\n";
    let group = world.group_with(&rules(&text), false, Some(3));
    for minute in 0..3 {
        world.write(at(minute), &[("x", "a", 1.0)]);
        group.evaluate(at(minute));
    }
    assert_eq!(
        world.query("sum", at(2)),
        ["{__name__=\"sum\", job=\"a\"} 11"]
    );
    assert_eq!(
        group
            .context
            .slots
            .as_ref()
            .unwrap()
            .load(Ordering::Relaxed),
        3
    );
    assert!(
        world
            .registry
            .render_text()
            .contains("prometheus_rule_group_last_evaluation_samples{rule_group=\"f.yml;g\"} 9")
    );
}

#[test]
fn a_stopped_group_ends_between_two_rules() {
    let world = World::new();
    let group = world.group(&rules("  - {record: r, expr: x}\n"));
    world.write(at(0), &[("x", "a", 1.0)]);
    group.stop(true);
    group.evaluate(at(0));
    assert_eq!(world.query("r", at(0)), [] as [&str; 0]);
}

#[test]
fn slots_are_an_interval_apart_and_not_in_the_future() {
    let world = World::new();
    let group = world.group(&rules("  - {record: r, expr: x}\n"));
    let slot = group.slot(at(7));
    assert!(slot <= at(7) && slot.after(MINUTE) > at(7));
    assert_eq!(group.slot(slot), slot);
    assert_eq!(
        group.slot(slot.before(Duration::from_nanos(1))),
        slot.before(MINUTE)
    );
}
