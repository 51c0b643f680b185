//! `/query`, `/query_range`, `/format_query`, `/parse_query`.

use axum::extract::State;
use axum::response::Response;
use bellwether_model::labels::quote;
use bellwether_promql::{Value, parse, printer};

use super::Core;
use super::ast_json;
use super::error::ApiError;
use super::json;
use super::params::{Params, parse_duration_ns, parse_timeout};
use super::query_body;
use crate::queries::QueryKind;
use crate::query_log::Origin;
use crate::state::{Shared, now_ms};

/// More points per series than this are refused, so that nobody asks for a year at one second's step.
const POINTS_MAX: i128 = 11_000;
/// Warnings and infos shown at most, each.
const ANNOTATIONS_MAX: usize = 10;

pub(crate) async fn instant(
    State(_): Shared,
    core: Core,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let time = params.time("time", now_ms())?;
    run(&core, &params, QueryKind::Instant(time), limit, origin).await
}

pub(crate) async fn range(
    State(_): Shared,
    core: Core,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::parameter(
            "end",
            "end timestamp must not be before start time",
        ));
    }
    let step_ns =
        parse_duration_ns(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
    let no_step = || {
        ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        )
    };
    if step_ns <= 0 {
        return Err(no_step());
    }
    if i128::from(end.saturating_sub(start)) * 1_000_000 / i128::from(step_ns) > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    // Times are milliseconds: a finer step cannot move.
    let step = step_ns / 1_000_000;
    if step == 0 {
        return Err(no_step());
    }
    let kind = QueryKind::Range { start, end, step };
    run(&core, &params, kind, limit, origin).await
}

async fn run(
    core: &Core,
    params: &Params,
    kind: QueryKind,
    limit: Option<usize>,
    origin: Origin,
) -> Result<Response, ApiError> {
    let timeout = parse_timeout(params.get("timeout"))?;
    let lookback = match params.get("lookback_delta") {
        "" => None,
        text => {
            let ns = parse_duration_ns(text).map_err(|e| {
                ApiError::bad_data(format!("error parsing lookback delta duration: {e}"))
            })?;
            Some(ns / 1_000_000).filter(|ms| *ms > 0)
        }
    };
    let text = params.get("query").to_owned();
    let per_step = params.get("stats") == "all" && core.queries.counts_per_step();
    let (result, times, steps) = core
        .queries
        .run(text.clone(), kind, timeout, lookback, (origin, per_step))
        .await?;
    let stats = match params.get("stats") {
        "" => String::new(),
        _ => times.to_json(result.stats, &steps).to_string(),
    };
    let (mut warnings, infos) = result.annotations.render(&text, ANNOTATIONS_MAX);
    if !matches!(params.get("stats"), "" | "true" | "all") {
        warnings.push(format!(
            "value {} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"",
            quote(params.get("stats"))
        ));
    }
    let mut value = result.value;
    if limit.is_some_and(|limit| truncate(&mut value, limit)) {
        warnings.push(json::TRUNCATED.to_owned());
    }
    Ok(query_body::respond(value, &stats, &warnings, &infos))
}

/// Cuts a vector or matrix to `limit` series; says whether something was cut.
fn truncate(value: &mut Value, limit: usize) -> bool {
    match value {
        Value::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        Value::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

pub(crate) async fn format(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = parse(params.get("query"), &core.queries.parse_options())
        .map_err(|e| ApiError::parameter("query", e))?;
    let text = printer::pretty(&expr);
    Ok(json::success(&[], |out| json::push_str(out, &text)))
}

pub(crate) async fn parsed(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = parse(params.get("query"), &core.queries.parse_options())
        .map_err(|e| ApiError::parameter("query", e))?;
    Ok(json::success(&[], |out| ast_json::push_expr(out, &expr)))
}
