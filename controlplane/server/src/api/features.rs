//! `/features`: what this server can do, by Prometheus' names. A name that is missing is as good as false.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use bellwether_discovery::{mechanisms, not_runnable};
use bellwether_promql::signature;
use bellwether_rules::TEMPLATE_FUNCTIONS;

use super::Ready;
use super::json;
use crate::flags::Feature;
use crate::state::{AppState, Opened, Shared};

type Group = BTreeMap<&'static str, bool>;

const OPERATORS: &[&str] = &[
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    "=~",
    ">",
    ">/",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];
const EXPERIMENTAL_OPERATORS: &[&str] = &["limit_ratio", "limitk"];

pub(crate) async fn features(State(state): Shared, core: Ready) -> Response {
    let auto_reload = state.auto_reload;
    let groups: BTreeMap<&str, Group> = [
        ("api", api(&state)),
        (
            "otlp_receiver",
            Group::from([
                (
                    "delta_conversion",
                    state.features.has(Feature::OtlpDeltaToCumulative),
                ),
                (
                    "native_delta_ingestion",
                    state.features.has(Feature::OtlpNativeDelta),
                ),
            ]),
        ),
        (
            "prometheus",
            Group::from([
                ("agent_mode", state.is_agent),
                ("auto_reload_config", auto_reload),
                ("server_mode", !state.is_agent),
            ]),
        ),
        ("promql", promql(&state)),
        ("promql_functions", functions(&state)),
        ("promql_operators", operators(&state)),
        (
            "rules",
            Group::from([
                (
                    "concurrent_rule_eval",
                    state.features.has(Feature::ConcurrentRuleEval),
                ),
                ("keep_firing_for", true),
                ("query_offset", true),
            ]),
        ),
        (
            "templating_functions",
            TEMPLATE_FUNCTIONS
                .iter()
                .map(|name| (*name, true))
                .collect(),
        ),
        (
            "scrape",
            Group::from([
                ("extra_scrape_metrics", true),
                (
                    "start_timestamp_zero_ingestion",
                    state.features.has(Feature::CreatedTimestampZeroIngestion),
                ),
                (
                    "type_and_unit_labels",
                    state.features.has(Feature::TypeAndUnitLabels),
                ),
            ]),
        ),
        ("service_discovery_providers", discoveries()),
        ("tsdb", tsdb(&state, &core)),
    ]
    .into();
    json::success_value(&groups)
}

fn tsdb(state: &AppState, core: &Ready) -> Group {
    let mut group = Group::from([
        ("delayed_compaction", false),
        ("exemplar_storage", keeps_exemplars(core)),
        ("histograms_st_encoding", false),
        ("isolation", true),
        ("native_histograms", true),
        ("st_storage", false),
        ("use_uncached_io", false),
        ("xor2_encoding", false),
    ]);
    // Prometheus names it only where it is on.
    if state.features.has(Feature::MetadataWalRecords) {
        group.insert("metadata_wal_records", true);
    }
    group
}

fn keeps_exemplars(ready: &Ready) -> bool {
    match &ready.0 {
        Opened::Server(core) => core.db.options().exemplars_max > 0,
        Opened::Agent(_) => false,
    }
}

fn api(state: &AppState) -> Group {
    Group::from([
        ("admin", state.web.enable_admin_api),
        ("exclude_alerts", true),
        ("label_values_match", true),
        ("lifecycle", state.web.enable_lifecycle),
        ("openapi_3.1", true),
        ("openapi_3.2", true),
        ("otlp_write_receiver", state.web.enable_otlp_receiver),
        ("query_stats", true),
        ("query_warnings", true),
        (
            "remote_write_receiver",
            state.web.enable_remote_write_receiver,
        ),
        ("search", state.features.has(Feature::SearchApi)),
        ("search_fuzz_alg_jarowinkler", true),
        ("search_fuzz_alg_subsequence", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ])
}

/// The mechanisms of discovery that run in this build.
fn discoveries() -> Group {
    let runs = |name: &&str| !not_runnable().iter().any(|kind| kind.name == *name);
    let names = mechanisms().into_iter().filter(runs);
    names.map(|name| (name, true)).collect()
}

fn promql(state: &AppState) -> Group {
    let extended = state.features.has(Feature::PromqlExtendedRangeSelectors);
    let fill = state.features.has(Feature::PromqlBinopFillModifiers);
    Group::from([
        ("anchored", extended),
        ("at_modifier", true),
        ("bool", true),
        ("by", true),
        (
            "delayed_name_removal",
            state.features.has(Feature::PromqlDelayedNameRemoval),
        ),
        ("duration_expr", true),
        ("fill", fill),
        ("fill_left", fill),
        ("fill_right", fill),
        ("group_left", true),
        ("group_right", true),
        ("ignoring", true),
        ("negative_offset", true),
        ("offset", true),
        ("on", true),
        ("per_query_lookback_delta", true),
        (
            "per_step_stats",
            state.features.has(Feature::PromqlPerStepStats),
        ),
        ("smoothed", extended),
        ("subqueries", true),
        (
            "type_and_unit_labels",
            state.features.has(Feature::TypeAndUnitLabels),
        ),
        ("without", true),
    ])
}

fn experimental(state: &AppState) -> bool {
    state.features.has(Feature::PromqlExperimentalFunctions)
}

fn functions(state: &AppState) -> Group {
    let enabled = experimental(state);
    signature::all()
        .iter()
        .map(|f| (f.name, enabled || !f.experimental))
        .collect()
}

fn operators(state: &AppState) -> Group {
    let enabled = experimental(state);
    let stable = OPERATORS.iter().map(|name| (*name, true));
    stable
        .chain(EXPERIMENTAL_OPERATORS.iter().map(|name| (*name, enabled)))
        .collect()
}
