//! The file of a unit test.

use std::collections::BTreeMap;

use bellwether_model::float;
use bellwether_scrape::config::PromDuration;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::time::Time;

/// A file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TestFile {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) rule_files: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) evaluation_interval: PromDuration,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) group_eval_order: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) tests: Vec<TestGroup>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) fuzzy_compare: bool,
}

/// Series and what is expected of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TestGroup {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) interval: PromDuration,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) input_series: Vec<InputSeries>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) alert_rule_test: Vec<AlertTest>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) promql_expr_test: Vec<ExprTest>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) external_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) external_url: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "start_timestamp")]
    pub(super) start_timestamp: Time,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InputSeries {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) series: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) values: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AlertTest {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) eval_time: PromDuration,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) alertname: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) exp_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) exp_annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExprTest {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) expr: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) eval_time: PromDuration,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) exp_samples: Vec<ExpectedSample>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) labels: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) value: f64,
    /// If it is not empty, the value does not count.
    #[serde(deserialize_with = "null_is_default")]
    pub(super) histogram: String,
}

fn null_is_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Seconds since the epoch or RFC 3339.
fn start_timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(Time::default());
    }
    if let Ok(seconds) = float::parse(&text) {
        return Ok(Time((seconds * 1e9) as i64));
    }
    let parsed = text.parse::<jiff::Timestamp>().ok();
    let nanos = parsed.and_then(|t| i64::try_from(t.as_nanosecond()).ok());
    nanos.map(Time).ok_or_else(|| {
        D::Error::custom(format!(
            "cannot parse {} to a valid timestamp",
            bellwether_template::quote(&text)
        ))
    })
}
