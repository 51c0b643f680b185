//! Whether two servers say the same.

use anyhow::{Context, bail};
use serde_json::Value;

/// Floats that differ by no more than this share were added up in another order.
const ROUNDING: f64 = 1e-12;

/// How alike two answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Equal,
    /// Some last digits differ.
    Rounded,
}

/// Compares two answers of Prometheus' API.
///
/// # Errors
/// When they differ; the text says where.
pub(crate) fn compare(ours: &[u8], theirs: &[u8]) -> anyhow::Result<Likeness> {
    let [ours, theirs] = [ours, theirs].map(|body| {
        let mut answer: Value = serde_json::from_slice(body)?;
        let data = answer["data"].take();
        let mut list = match &data {
            Value::Array(list) => list.clone(),
            _ => data["result"].as_array().context("no result")?.clone(),
        };
        if list.is_empty() {
            bail!("the answer is empty");
        }
        list.sort_by_cached_key(|element| match &element["metric"] {
            Value::Null => element.to_string(),
            metric => metric.to_string(),
        });
        anyhow::Ok(Value::Array(list))
    });
    let mut likeness = Likeness::Equal;
    walk(&ours?, &theirs?, &mut likeness)?;
    Ok(likeness)
}

fn walk(a: &Value, b: &Value, likeness: &mut Likeness) -> anyhow::Result<()> {
    match (a, b) {
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).try_for_each(|(a, b)| walk(a, b, likeness))
        }
        (Value::Object(x), Value::Object(y)) if x.len() == y.len() => {
            x.iter().try_for_each(|(key, a)| walk(a, &b[key], likeness))
        }
        (Value::String(x), Value::String(y)) if x != y => {
            let (Ok(v), Ok(w)) = (x.parse::<f64>(), y.parse::<f64>()) else {
                bail!("{x:?} is not {y:?}");
            };
            if (v - w).abs() > ROUNDING * v.abs().max(w.abs()) {
                bail!("{x} is not {y}");
            }
            *likeness = Likeness::Rounded;
            Ok(())
        }
        _ if a == b => Ok(()),
        _ => bail!("{} is not {}", short(a), short(b)),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
