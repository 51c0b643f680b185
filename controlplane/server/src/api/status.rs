//! `/status/...`: what the server is and how it runs.

use axum::extract::State;
use axum::response::Response;
use bellwether_model::duration;
use bellwether_tsdb::Retention;
use serde_json::json;

use super::error::ApiError;
use super::json as wire;
use super::params::{Params, go_atoi};
use super::{Core, Ready};
use crate::state::{Opened, Shared, now_rfc3339_nanos, rfc3339_seconds};
use crate::version;

/// Entries of each list of `/status/tsdb` at most.
const TSDB_LIMIT_MAX: usize = 10_000;

pub(crate) async fn build_info() -> Response {
    wire::success_value(&version::build_info())
}

pub(crate) async fn config(State(state): Shared) -> Response {
    let yaml = state.config.load().yaml.clone();
    wire::success(&[], |out| {
        out.push_str("{\"yaml\":");
        wire::push_str(out, &yaml);
        out.push('}');
    })
}

pub(crate) async fn flags(State(state): Shared) -> Response {
    wire::success_value(&state.flags)
}

pub(crate) async fn runtime_info(State(state): Shared, ready: Ready) -> Response {
    let config = state.config.load();
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // An agent keeps nothing.
    let retention = match &ready.0 {
        Opened::Server(core) => retention_text(core.db.retention()),
        Opened::Agent(_) => String::new(),
    };
    wire::success_value(&json!({
        "startTime": state.started_text,
        "CWD": std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        "hostname": state.hostname,
        "serverTime": now_rfc3339_nanos(),
        "reloadConfigSuccess": config.last_reload_ok,
        "lastConfigTime": rfc3339_seconds(config.loaded_at_ms),
        "corruptionCount": ready.0.log().0,
        "goroutineCount": tasks,
        "GOMAXPROCS": threads,
        "GOMEMLIMIT": i64::MAX,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention,
    }))
}

pub(crate) async fn tsdb(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => 10,
        text => go_atoi(text)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    if limit > TSDB_LIMIT_MAX {
        return Err(ApiError::bad_data(format!(
            "limit must not exceed {TSDB_LIMIT_MAX}"
        )));
    }
    let c = super::series::read(&core.db, move |db| Ok(db.cardinality(limit))).await?;
    let list = |entries: &[(String, u64)]| -> Vec<serde_json::Value> {
        entries
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect()
    };
    Ok(wire::success_value(&json!({
        "headStats": {
            "numSeries": c.num_series,
            "numLabelPairs": c.num_label_pairs,
            "chunkCount": c.chunk_count,
            "minTime": c.min_time,
            "maxTime": c.max_time,
        },
        "seriesCountByMetricName": list(&c.series_count_by_metric_name),
        "labelValueCountByLabelName": list(&c.label_value_count_by_label_name),
        "memoryInBytesByLabelName": list(&c.memory_in_bytes_by_label_name),
        "seriesCountByLabelValuePair": list(&c.series_count_by_label_value_pair),
    })))
}

pub(crate) async fn blocks(State(_): Shared, core: Core) -> Response {
    wire::success_value(&json!({ "blocks": core.db.blocks() }))
}

/// Answers while the log is replayed, too. The replay reports no progress yet: min and max are its range,
/// current is where it is, all zero.
pub(crate) async fn wal_replay(State(state): Shared) -> Response {
    let segment = state.opened.get().map_or(0, |opened| opened.log().1);
    wire::success_value(&json!({ "min": 0, "max": segment, "current": segment }))
}

/// Prometheus' text for the retention: `15d`, `15d or 10GiB`, `10GiB`, `15d or 80%`.
fn retention_text(retention: Retention) -> String {
    let mut parts = Vec::new();
    if !retention.time.is_zero() {
        parts.push(duration::format(retention.time));
    }
    if retention.size > 0 {
        parts.push(bellwether_scrape::config::ByteSize(retention.size).to_string());
    }
    if retention.percentage > 0.0 {
        parts.push(format!("{}%", retention.percentage));
    }
    parts.join(" or ")
}
