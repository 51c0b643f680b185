//! Compares values, types, labels, errors and annotations of random expressions with a real Prometheus 3.5 that has the
//! same data. Every difference is a mistake or one of the named rules in `rules.rs`.
//!
//! `BELLWETHER_PROMQL_FIRST_SEED` and `BELLWETHER_PROMQL_EXPRESSIONS` say which expressions, `BELLWETHER_PROMQL_DATA_SEED`
//! which data; an ordinary run takes a fixed number of them. `BELLWETHER_PROMQL_EXPRESSION` is one to be taken instead of
//! each of them, with its answers printed.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::panic)]

mod answer;
mod compare;
mod data;
mod grammar;
mod random;
mod remote_write;
mod rules;
mod server;

use std::collections::BTreeMap;

use bellwether_model::storage::Appendable;
use bellwether_promql::testlang::storage::MemoryStorage;
use bellwether_promql::{Engine, EngineOptions, ParseOptions, QueryOptions};

use compare::{Case, difference};
use data::{INTERVAL, SAMPLES, START, Sample, Series};
use random::Random;
use server::Server;

/// Expressions of an ordinary run.
const EXPRESSIONS: u64 = 1_500;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

fn storage(series: &[Series]) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for s in series {
        let mut appender = storage.appender();
        let reference = appender.series(&s.labels).unwrap();
        for (t, sample) in &s.samples {
            match sample {
                Sample::Float(v) => appender.append(reference, *t, *v).unwrap(),
                Sample::Histogram(h) => appender
                    .append_float_histogram(reference, *t, h.clone())
                    .unwrap(),
            }
        }
        appender.commit().unwrap();
    }
    storage
}

struct Peers {
    server: Server,
    storage: MemoryStorage,
    engine: Engine,
}

impl Peers {
    fn instant(&self, expr: &str, t: i64) -> Case {
        let their = self
            .server
            .query("query", &[("query", expr.to_owned()), ("time", seconds(t))]);
        let our = self
            .engine
            .instant(&self.storage, expr, t, &QueryOptions::default());
        let late = self.engine.options().delayed_name_removal;
        case(expr, late, answer::ours(expr, our), answer::theirs(&their))
    }

    fn range(&self, expr: &str, (start, end, step): (i64, i64, i64)) -> Case {
        let their = self.server.query(
            "query_range",
            &[
                ("query", expr.to_owned()),
                ("start", seconds(start)),
                ("end", seconds(end)),
                ("step", seconds(step)),
            ],
        );
        let our = self.engine.range(
            &self.storage,
            expr,
            start,
            end,
            step,
            &QueryOptions::default(),
        );
        let late = self.engine.options().delayed_name_removal;
        case(expr, late, answer::ours(expr, our), answer::theirs(&their))
    }
}

fn case(expr: &str, late_names: bool, ours: answer::Answer, theirs: answer::Answer) -> Case {
    Case {
        expr: expr.to_owned(),
        late_names,
        ours,
        theirs,
        tolerance: 0.0,
        skip: false,
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[test]
fn random_expressions_agree_with_prometheus() {
    compare_all(false);
}

/// With metric names that go away at the end of a query only.
#[test]
fn random_expressions_agree_with_late_names() {
    compare_all(true);
}

fn compare_all(late_names: bool) {
    let Some(prometheus) = server::program("prometheus") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let series = data::generate(setting("BELLWETHER_PROMQL_DATA_SEED", 7));
    let features = if late_names {
        ",promql-delayed-name-removal"
    } else {
        ""
    };
    let server = Server::start(&prometheus, folder.path(), features);
    for body in remote_write::requests(&series) {
        server.write(&body);
    }
    let peers = Peers {
        server,
        storage: storage(&series),
        engine: Engine::new(EngineOptions {
            delayed_name_removal: late_names,
            parse: ParseOptions {
                experimental_functions: true,
                ..ParseOptions::default()
            },
            ..EngineOptions::default()
        }),
    };
    let first = setting("BELLWETHER_PROMQL_FIRST_SEED", 1);
    let count = setting("BELLWETHER_PROMQL_EXPRESSIONS", EXPRESSIONS);
    let given = std::env::var("BELLWETHER_PROMQL_EXPRESSION");
    let mut wrong = Vec::new();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in first..first + count {
        let expr = given.clone().unwrap_or_else(|_| grammar::expression(seed));
        let mut random = Random::new(seed ^ 0xABCD);
        // Half of the times are exactly those of samples, where boundaries matter.
        let span = (SAMPLES * INTERVAL) as u64 + 600_000;
        let time = |random: &mut Random| {
            let t = START - 60_000 + random.below(span) as i64;
            if random.one_in(2) {
                t / 30_000 * 30_000 + 20_000
            } else {
                t
            }
        };
        let t = time(&mut random);
        let start = time(&mut random);
        let step = [1_000, 15_000, 30_000, 60_000, 77_000, 300_000][random.below(6) as usize];
        let end = start + step * random.below(25) as i64;
        for (when, mut case) in [
            (format!("at {t}"), peers.instant(&expr, t)),
            (
                format!("from {start} to {end} step {step}"),
                peers.range(&expr, (start, end, step)),
            ),
        ] {
            if given.is_ok() {
                eprintln!(
                    "{when}:\n  ours:   {:?}\n  theirs: {:?}",
                    case.ours, case.theirs
                );
            }
            let names = rules::apply(&mut case);
            for name in names {
                *used.entry(name).or_default() += 1;
            }
            if let Some(difference) = difference(&case) {
                wrong.push(format!("seed {seed} {when}: {expr}\n  {difference}"));
            }
        }
    }
    eprintln!("{} evaluations compared, {} differ", count * 2, wrong.len());
    for rule in rules::RULES {
        let times = used.get(rule.name).unwrap_or(&0);
        eprintln!("  {times:5} times: {}: {}", rule.name, rule.reason);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
