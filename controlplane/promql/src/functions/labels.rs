//! `label_replace` and `label_join`: they look at labels only.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::re2::Re2;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{SeriesSet, merge_same_labels};

use super::Invocation;

fn invalid(what: &str, function: &str, text: &str) -> QueryError {
    QueryError::Execution(format!("invalid {what} in {function}(): {text}"))
}

/// Whether a text can be a label name: not empty. Bytes that are not UTF-8 reach us as the replacement character.
fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\u{fffd}')
}

/// `label_replace(v, dst, replacement, src, regex)`
pub(super) fn replace(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let (dst, replacement) = (inv.text(1)?, inv.text(2)?);
    let (src, pattern) = (inv.text(3)?, inv.literal(4)?);
    let regex = Re2::anchored(&pattern.value)
        .ok()
        .filter(|_| pattern.is_utf8())
        .ok_or_else(|| invalid("regular expression", "label_replace", &pattern.value))?;
    if !is_label_name(dst) {
        return Err(invalid("destination label name", "label_replace", dst));
    }
    let mut rows = inv.rows(0, notes)?;
    for row in &mut rows {
        let Some(text) = regex.replace(row.labels.value(src), replacement) else {
            continue;
        };
        let mut builder = row.labels.to_builder();
        builder.set(dst, &text);
        row.labels = builder.build();
        if dst == METRIC_NAME {
            row.drop_name = false;
        }
    }
    merge_same_labels(rows)
}

/// `label_join(v, dst, separator, src, ...)`
pub(super) fn join(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let (dst, separator) = (inv.text(1)?, inv.text(2)?);
    let sources = (3..inv.call.args.len())
        .map(|i| inv.text(i))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(bad) = sources.iter().find(|s| !is_label_name(s)) {
        return Err(invalid("source label name", "label_join", bad));
    }
    if !is_label_name(dst) {
        return Err(invalid("destination label name", "label_join", dst));
    }
    let mut rows = inv.rows(0, notes)?;
    for row in &mut rows {
        let values: Vec<&str> = sources.iter().map(|s| row.labels.value(s)).collect();
        let text = values.join(separator);
        let mut builder = row.labels.to_builder();
        builder.set(dst, &text);
        row.labels = builder.build();
        if dst == METRIC_NAME {
            row.drop_name = false;
        }
    }
    merge_same_labels(rows)
}
