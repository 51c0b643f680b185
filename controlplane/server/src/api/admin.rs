//! `/admin/tsdb/...`: deletion and snapshots, only with `--web.enable-admin-api`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::Core;
use super::error::{ApiError, ErrorType};
use super::json as wire;
use super::params::{MAX_TIME_MS, MIN_TIME_MS, Params, go_parse_bool};
use crate::state::{AppState, Shared};

fn require_admin(state: &AppState) -> Result<(), ApiError> {
    if state.web.enable_admin_api {
        Ok(())
    } else {
        Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"))
    }
}

/// Runs a change of the database on a blocking thread.
async fn change<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&bellwether_tsdb::Db) -> Result<T, bellwether_tsdb::TsdbError> + Send + 'static,
) -> Result<T, ApiError> {
    let db = std::sync::Arc::clone(&core.db);
    tokio::task::spawn_blocking(move || work(&db))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)
}

pub(crate) async fn delete_series(
    State(state): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    require_admin(&state)?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let start = params.time("start", MIN_TIME_MS)?;
    let end = params.time("end", MAX_TIME_MS)?;
    let selectors = params
        .selectors()
        .map_err(|e| ApiError::parameter("match[]", e))?;
    change(&core, move |db| {
        selectors
            .iter()
            .try_for_each(|matchers| db.delete(start, end, matchers))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn clean_tombstones(
    State(state): Shared,
    core: Core,
) -> Result<Response, ApiError> {
    require_admin(&state)?;
    change(&core, bellwether_tsdb::Db::clean_tombstones).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn snapshot(
    State(state): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    require_admin(&state)?;
    let skip_head = match params.get("skip_head") {
        "" => false,
        text => go_parse_bool(text).map_err(|e| {
            ApiError::parameter("skip_head", format!("unable to parse boolean: {e}"))
        })?,
    };
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = format!("{now}-{:016x}", rand::random::<u64>());
    let dir = core.db.dir().join("snapshots").join(&name);
    change(&core, move |db| db.snapshot(&dir, !skip_head)).await?;
    Ok(wire::success_value(&json!({ "name": name })))
}
