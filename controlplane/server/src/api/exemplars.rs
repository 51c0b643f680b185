//! `/query_exemplars`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_model::Matcher;
use bellwether_promql::ast::{Expr, ExprKind};
use bellwether_promql::{parse, walk};
use bellwether_tsdb::SeriesExemplars;
use http::StatusCode;

use super::Core;
use super::error::ApiError;
use super::json;
use super::params::{MAX_TIME_MS, MIN_TIME_MS, Params};
use crate::state::Shared;

pub(crate) async fn query_exemplars(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.time("start", MIN_TIME_MS)?;
    let end = params.time("end", MAX_TIME_MS)?;
    if end < start {
        return Err(ApiError::bad_data(
            "end timestamp must not be before start timestamp",
        ));
    }
    let expr = parse(params.get("query"), &core.queries.parse_options())
        .map_err(|e| ApiError::bad_data(e.to_string()))?;
    let mut selectors = Vec::new();
    collect_selectors(&expr, &mut selectors);
    if selectors.is_empty() {
        // As Prometheus answers an expression without series.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let found =
        super::series::read(&core.db, move |db| db.exemplars(start, end, &selectors)).await?;
    Ok(json::success(&[], |out| push_series(out, &found)))
}

/// The matchers of every selector in an expression.
fn collect_selectors(expr: &Expr, out: &mut Vec<Vec<Matcher>>) {
    walk::visit(expr, |node| match &node.kind {
        ExprKind::VectorSelector(selector) => out.push(selector.matchers.clone()),
        ExprKind::MatrixSelector(selector) => out.push(selector.vector.matchers.clone()),
        _ => {}
    });
}

fn push_series(out: &mut String, series: &[SeriesExemplars]) {
    out.push('[');
    for (i, one) in series
        .iter()
        .filter(|s| !s.exemplars.is_empty())
        .enumerate()
    {
        out.push_str(if i > 0 {
            ",{\"seriesLabels\":"
        } else {
            "{\"seriesLabels\":"
        });
        json::push_labels(out, &one.labels);
        out.push_str(",\"exemplars\":[");
        for (j, exemplar) in one.exemplars.iter().enumerate() {
            out.push_str(if j > 0 {
                ",{\"labels\":"
            } else {
                "{\"labels\":"
            });
            json::push_labels(out, &exemplar.labels);
            out.push_str(",\"value\":");
            json::push_value(out, exemplar.value);
            out.push_str(",\"timestamp\":");
            json::push_time(out, exemplar.timestamp_ms.unwrap_or_default());
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push(']');
}
