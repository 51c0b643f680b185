//! `/search/...`: metric names, label names and label values by search terms, for completion (with the feature
//! `search-api`). Answers are lines of JSON: batches of results, then one that says whether there are more.

mod score;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_model::labels::{METRIC_NAME, quote};
use bellwether_model::storage::{Querier, Queryable, StorageError};
use bellwether_model::{Matcher, float};
use bellwether_scrape::MetricMetadata;
use http::header;

use super::Core;
use super::error::{ApiError, ErrorType};
use super::json;
use super::members::{push_list, push_name, push_text};
use super::params::{Params, go_atoi, go_parse_bool};
use crate::flags::Feature;
use crate::state::{AppState, Shared, now_ms};
use score::{Algorithm, Filter};

const LIMIT: usize = 100;
const BATCH: usize = 100;
/// More terms than this would make a search expensive.
const TERMS_MAX: usize = 32;
const HOUR_MS: i64 = 3_600_000;

/// Order of results.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Rising,
    Falling,
    Score,
}

struct Search {
    start: i64,
    end: i64,
    selectors: Vec<Vec<Matcher>>,
    filter: Filter,
    order: Order,
    show_score: bool,
    limit: usize,
    batch: usize,
}

impl Search {
    fn read(params: &Params, state: &AppState, endpoint: &str) -> Result<Self, ApiError> {
        if !state.features.has(Feature::SearchApi) {
            return Err(ApiError::new(ErrorType::Unavailable, "search API disabled"));
        }
        let now = now_ms();
        let time = |name, default| {
            // Unlike elsewhere, the parameter is not named twice.
            params.time(name, default).map_err(|e| {
                let prefix = format!("invalid parameter \"{name}\": ");
                ApiError::bad_data(e.message.strip_prefix(&prefix).unwrap_or(&e.message))
            })
        };
        let (start, end) = (time("start", now - HOUR_MS)?, time("end", now)?);
        if end < start {
            return Err(ApiError::bad_data(
                "end timestamp must not be before start timestamp",
            ));
        }
        let selectors = params.selectors().map_err(ApiError::bad_data)?;
        let terms: Vec<&str> = params.all("search[]").collect();
        if terms.len() > TERMS_MAX {
            return Err(ApiError::bad_data(format!(
                "too many search[] terms: got {}, maximum is {TERMS_MAX}",
                terms.len()
            )));
        }
        let threshold = number(params, "fuzz_threshold", 0, "must be 0-100", |n| n <= 100)?;
        let algorithm = algorithm(params.get("fuzz_alg"))?;
        let case_sensitive = boolean(params, "case_sensitive", true)?;
        let show_score = boolean(params, "include_score", false)?;
        let order = order(params, !terms.is_empty(), endpoint)?;
        let limit = limit(params, state.web.search_limit_max)?;
        let batch = number(
            params,
            "batch_size",
            BATCH,
            "must be a positive integer",
            |n| n > 0,
        )?;
        let fold = |term: &str| {
            if case_sensitive {
                term.to_owned()
            } else {
                term.to_lowercase()
            }
        };
        Ok(Self {
            start,
            end,
            selectors,
            filter: Filter {
                terms: terms
                    .into_iter()
                    .filter(|t| !t.is_empty())
                    .map(fold)
                    .collect(),
                algorithm,
                threshold: threshold as f64 / 100.0,
                case_sensitive,
            },
            order,
            show_score,
            limit,
            batch,
        })
    }

    /// The results in order, one more than wanted where there are more.
    fn find(&self, names: impl IntoIterator<Item = String>) -> Vec<(String, f64)> {
        let scored = names.into_iter().filter_map(|name| {
            let score = self.filter.score(&name)?;
            Some((name, score))
        });
        let mut found: Vec<(String, f64)> = scored.collect();
        let order = |a: &(String, f64), b: &(String, f64)| match self.order {
            Order::Rising => a.0.cmp(&b.0),
            Order::Falling => b.0.cmp(&a.0),
            Order::Score => {
                let by_score = b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal);
                by_score.then_with(|| a.0.cmp(&b.0))
            }
        };
        found.sort_by(order);
        found.truncate(self.limit.saturating_add(1));
        found
    }
}

fn number(
    params: &Params,
    name: &str,
    default: usize,
    rule: &str,
    fits: impl Fn(usize) -> bool,
) -> Result<usize, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        text => {
            let number = go_atoi(text).ok().and_then(|n| usize::try_from(n).ok());
            number.filter(|n| fits(*n)).ok_or_else(|| {
                ApiError::bad_data(format!("invalid {name} {}: {rule}", quote(text)))
            })
        }
    }
}

fn boolean(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        text => go_parse_bool(text).map_err(|_| {
            ApiError::bad_data(format!("invalid {name} {}: must be boolean", quote(text)))
        }),
    }
}

fn algorithm(name: &str) -> Result<Algorithm, ApiError> {
    if name.is_empty() {
        return Ok(Algorithm::Subsequence);
    }
    let known = Algorithm::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, algorithm)| algorithm).ok_or_else(|| {
        let names = Algorithm::ALL.map(|(name, _)| name).join(" ");
        ApiError::bad_data(format!(
            "unsupported fuzz_alg {}: must be one of [{names}]",
            quote(name)
        ))
    })
}

fn order(params: &Params, with_terms: bool, endpoint: &str) -> Result<Order, ApiError> {
    let (by, direction) = (params.get("sort_by"), params.get("sort_dir"));
    let bad = |message: &str| Err(ApiError::bad_data(message));
    if !direction.is_empty() && by.is_empty() {
        return bad("sort_dir is only valid when sort_by is set");
    }
    if !direction.is_empty() && by == "score" {
        return bad("sort_dir is not supported for sort_by=score");
    }
    if !matches!(direction, "" | "asc" | "dsc") {
        return bad(&format!(
            "invalid sort_dir {}: must be \"asc\" or \"dsc\"",
            quote(direction)
        ));
    }
    match by {
        "score" if !with_terms => bad("sort_by=score requires search[] to be set"),
        "score" => Ok(Order::Score),
        "alpha" if direction == "dsc" => Ok(Order::Falling),
        "" | "alpha" => Ok(Order::Rising),
        other => bad(&format!(
            "invalid sort_by {} for {endpoint}: must be \"alpha\" or \"score\"",
            quote(other)
        )),
    }
}

/// `most` is the server's own limit, 0 for none.
fn limit(params: &Params, most: usize) -> Result<usize, ApiError> {
    let most = if most == 0 { usize::MAX } else { most };
    let limit = number(
        params,
        "limit",
        LIMIT.min(most),
        "must be a positive integer",
        |n| n > 0,
    )?;
    if limit > most {
        return Err(ApiError::bad_data(format!(
            "limit {limit} exceeds the configured maximum ({most}, see --web.search.max-limit)"
        )));
    }
    Ok(limit)
}

/// The names of all selectors, or of everything without one.
async fn names(
    core: &Core,
    search: Arc<Search>,
    look_up: impl Fn(&dyn Querier, &[Matcher]) -> Result<Vec<String>, StorageError> + Send + 'static,
) -> Result<Vec<(String, f64)>, ApiError> {
    super::series::read(&core.db, move |db| {
        let querier = db.querier(search.start, search.end)?;
        if search.selectors.is_empty() {
            return Ok(search.find(look_up(&*querier, &[])?));
        }
        let mut all = BTreeSet::new();
        for selector in &search.selectors {
            all.extend(look_up(&*querier, selector)?);
        }
        Ok(search.find(all))
    })
    .await
}

/// Writes the lines. `more` adds members to a result.
fn respond(
    search: &Search,
    found: &[(String, f64)],
    key: &str,
    more: impl Fn(&mut String, &str),
) -> Response {
    let has_more = found.len() > search.limit;
    let shown = &found[..found.len().min(search.limit)];
    let mut out = String::new();
    let batches = shown.chunks(search.batch);
    // The first line is there also without results.
    let none: &[(String, f64)] = &[];
    for batch in batches.chain(shown.is_empty().then_some(none)) {
        out.push_str("{\"results\":");
        push_list(&mut out, batch, |out, (name, score)| {
            out.push_str("{\"");
            out.push_str(key);
            out.push_str("\":");
            json::push_str(out, name);
            if search.show_score {
                push_name(out, "score");
                float::push_json(out, *score);
            }
            more(out, name);
            out.push('}');
        });
        out.push_str("}\n");
    }
    out.push_str("{\"status\":\"success\",\"has_more\":");
    out.push_str(if has_more { "true}\n" } else { "false}\n" });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")];
    (headers, out).into_response()
}

pub(crate) async fn metric_names(
    State(state): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Arc::new(Search::read(&params, &state, "metric_names")?);
    let with_metadata = boolean(&params, "include_metadata", false)?;
    let found = names(&core, Arc::clone(&search), |querier, matchers| {
        querier.label_values(METRIC_NAME, matchers)
    })
    .await?;
    let mut metadata: HashMap<String, MetricMetadata> = HashMap::new();
    if with_metadata && !found.is_empty() {
        for family in core.scrape.metadata().into_iter().flat_map(|t| t.metrics) {
            metadata.entry(family.metric.clone()).or_insert(family);
        }
    }
    Ok(respond(&search, &found, "name", |out, name| {
        let Some(family) = metadata.get(name) else {
            return;
        };
        let texts = [
            ("type", family.kind.as_str()),
            ("help", &family.help),
            ("unit", &family.unit),
        ];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            push_text(out, key, text);
        }
    }))
}

pub(crate) async fn label_names(
    State(state): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Arc::new(Search::read(&params, &state, "label_names")?);
    let found = names(&core, Arc::clone(&search), |querier, matchers| {
        querier.label_names(matchers)
    })
    .await?;
    Ok(respond(&search, &found, "name", |_, _| {}))
}

pub(crate) async fn label_values(
    State(state): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Arc::new(Search::read(&params, &state, "label_values")?);
    let label = params.get("label").to_owned();
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    let found = names(&core, Arc::clone(&search), move |querier, matchers| {
        querier.label_values(&label, matchers)
    })
    .await?;
    Ok(respond(&search, &found, "value", |_, _| {}))
}
