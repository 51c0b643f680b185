//! What Prometheus 3.5.3 made of the OpenMetrics parser tests, against ours.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_exposition::{Entry, Format, Parser};
use bellwether_model::float;

fn openmetrics_dir() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/openmetrics"
    ));
    if dir.is_dir() {
        Some(dir)
    } else {
        eprintln!("SKIPPED: no conformance data at {}", dir.display());
        None
    }
}

struct Outcome {
    up: bool,
    /// Samples seen up to the first error.
    samples: usize,
    /// Name, labels and value, as the conformance data shows them.
    series: Vec<String>,
    error: String,
}

/// Reads a page as a scraper does: labels of every series are asked for, duplicates refused.
fn scrape(page: &[u8]) -> Outcome {
    let mut outcome = Outcome {
        up: true,
        samples: 0,
        series: Vec::new(),
        error: String::new(),
    };
    let fail = |outcome: &mut Outcome, error: String| {
        outcome.up = false;
        outcome.error = error;
    };
    let mut parser = Parser::new(Format::OpenMetrics, page);
    loop {
        match parser.next() {
            Ok(None) => return outcome,
            Ok(Some(Entry::Series(line))) => match line.labels(&parser) {
                Ok(mut labels) => {
                    outcome.samples += 1;
                    if labels.duplicate().is_some() {
                        fail(&mut outcome, "duplicate label".into());
                        return outcome;
                    }
                    labels.normalize_floats(parser.current_type());
                    outcome.series.push(format!(
                        "{} {}",
                        labels.to_labels(),
                        float::json(line.value)
                    ));
                }
                Err(error) => {
                    fail(&mut outcome, error.to_string());
                    return outcome;
                }
            },
            Ok(Some(_)) => {}
            Err(error) => {
                fail(&mut outcome, error.to_string());
                return outcome;
            }
        }
    }
}

#[test]
fn every_page_has_the_outcome_of_prometheus_3_5() {
    let Some(dir) = openmetrics_dir() else { return };
    let table = std::fs::read_to_string(dir.join("scrape_outcomes.tsv")).unwrap();
    let mut cases = 0;
    let mut differences = Vec::new();
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [case, _, _, up, samples] = columns[..] else {
            panic!("row {row:?}")
        };
        let page = std::fs::read(dir.join(case).join("metrics")).unwrap();
        let got = scrape(&page);
        if (got.up, got.samples) != (up == "1", samples.parse().unwrap()) {
            differences.push(format!(
                "{case}: up {} samples {} instead of {up} {samples} ({})",
                got.up, got.samples, got.error
            ));
        }
        cases += 1;
    }
    assert!(cases > 100, "only {cases} cases");
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn every_accepted_page_gives_the_series_of_prometheus_3_5() {
    let Some(dir) = openmetrics_dir() else { return };
    let text = std::fs::read_to_string(dir.join("scraped_series.json")).unwrap();
    type Series = (BTreeMap<String, String>, String);
    let cases: BTreeMap<String, Vec<Series>> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 50);
    for (case, want) in cases {
        let page = std::fs::read(dir.join(&case).join("metrics")).unwrap();
        // Storage keeps one sample of a series and time: the first, because a duplicate is refused.
        let mut got: BTreeMap<String, String> = BTreeMap::new();
        for line in scrape(&page).series {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            got.entry(labels.to_owned()).or_insert(value.to_owned());
        }
        let want: BTreeMap<String, String> = want
            .into_iter()
            .map(|(labels, value)| {
                (
                    bellwether_model::Labels::from_pairs(labels).to_string(),
                    value,
                )
            })
            .collect();
        assert_eq!(got, want, "{case}");
    }
}
