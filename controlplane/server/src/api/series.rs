//! `/series`, `/labels`, `/label/<name>/values`: what exists, without samples.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use bellwether_model::labels::quote;
use bellwether_model::storage::{Queryable, StorageError};
use bellwether_model::{Labels, Matcher};
use bellwether_remote::reader::Fanout;

use super::Core;
use super::error::{ApiError, ErrorType};
use super::json;
use super::params::{MAX_TIME_MS, MIN_TIME_MS, Params, unescape_bytes};
use crate::queries::Queries;
use crate::quick::Question;
use crate::state::Shared;

/// Time range and selectors that all three endpoints take.
struct Scope {
    mint: i64,
    maxt: i64,
    selectors: Vec<Vec<Matcher>>,
    limit: Option<usize>,
}

impl Scope {
    fn read(params: &Params, wrap: fn(String) -> ApiError) -> Result<Self, ApiError> {
        let limit = params.limit()?;
        Ok(Self {
            mint: params.time("start", MIN_TIME_MS)?,
            maxt: params.time("end", MAX_TIME_MS)?,
            selectors: params.selectors().map_err(wrap)?,
            limit,
        })
    }

    /// What is asked, wherever in time: `what` and the selectors.
    fn question(&self, what: &str, params: &Params) -> Question {
        let selectors: Vec<&str> = params.all("match[]").collect();
        Question::of(&(what, selectors, self.maxt.saturating_sub(self.mint)))
    }
}

/// Runs a read on a blocking thread.
pub(super) async fn read<S: Send + Sync + 'static, T: Send + 'static>(
    storage: &Arc<S>,
    work: impl FnOnce(&S) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, ApiError> {
    let storage = Arc::clone(storage);
    match tokio::task::spawn_blocking(move || work(&storage)).await {
        // Prometheus maps storage errors of these endpoints to "execution".
        Ok(result) => result.map_err(|e| ApiError::new(ErrorType::Execution, e.to_string())),
        Err(error) => Err(ApiError::internal(error)),
    }
}

pub(crate) async fn series(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let scope = Scope::read(&params, |e| ApiError::parameter("match[]", e))?;
    let limit = scope.limit;
    let question = scope.question("series", &params);
    let look_up = move |storage: &Fanout| {
        let querier = storage.querier(scope.mint, scope.maxt)?;
        if let [selector] = scope.selectors.as_slice() {
            let series = querier.stream(true, selector)?;
            let sets = series.map(|s| s.map(|s| s.labels().clone()));
            return Ok((sets.collect::<Result<_, _>>()?, querier.warnings()));
        }
        let mut sets = BTreeSet::new();
        for selector in &scope.selectors {
            sets.extend(
                querier
                    .select(false, selector)?
                    .iter()
                    .map(|s| s.labels().clone()),
            );
        }
        Ok((sets.into_iter().collect(), querier.warnings()))
    };
    let (mut found, mut warnings): (Vec<Labels>, _) =
        read_soon(&core.queries, question, &core.fanout, look_up).await?;
    let truncated = limit.is_some_and(|l| found.len() > l);
    found.truncate(limit.unwrap_or(usize::MAX));
    if truncated {
        warnings.push(json::TRUNCATED.to_owned());
    }
    Ok(json::success(&warnings, |out| {
        out.push('[');
        for (i, labels) in found.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::push_labels(out, labels);
        }
        out.push(']');
    }))
}

pub(crate) async fn names(
    State(_): Shared,
    core: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let scope = Scope::read(&params, ApiError::bad_data)?;
    strings(&core, "", &params, scope, |querier, matchers| {
        querier.label_names(matchers)
    })
    .await
}

pub(crate) async fn values(
    State(_): Shared,
    core: Core,
    OriginalUri(uri): OriginalUri,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = match name {
        Ok(Path(name)) => unescape_name(&name),
        // A path that is not UTF-8 cannot be a label name.
        Err(_) => return Err(invalid_name(&raw_name(uri.path()))),
    };
    if name.is_empty() {
        return Err(invalid_name(b""));
    }
    let scope = Scope::read(&params, ApiError::bad_data)?;
    let question = name.clone();
    strings(
        &core,
        &question,
        &params,
        scope,
        move |querier, matchers| querier.label_values(&name, matchers),
    )
    .await
}

/// As [`read`], but on this thread when the answer is expected at once.
async fn read_soon<S: Send + Sync + 'static, T: Send + 'static>(
    queries: &Queries,
    question: Question,
    storage: &Arc<S>,
    work: impl FnOnce(&S) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, ApiError> {
    if queries.may_answer_at_once(question) {
        let answer = queries.quick.here(question, || work(storage));
        let answer = answer.ok_or_else(|| ApiError::internal("look-up ended abnormally"))?;
        return answer.map_err(|e| ApiError::new(ErrorType::Execution, e.to_string()));
    }
    let quick = Arc::clone(&queries.quick);
    read(storage, move |storage| {
        quick.timed(question, || work(storage))
    })
    .await
}

/// Sorted texts over all selectors, cut to the limit.
async fn strings(
    core: &Core,
    question: &str,
    params: &Params,
    scope: Scope,
    look_up: impl Fn(
        &dyn bellwether_model::storage::Querier,
        &[Matcher],
    ) -> Result<Vec<String>, StorageError>
    + Send
    + 'static,
) -> Result<Response, ApiError> {
    let limit = scope.limit;
    let question = scope.question(question, params);
    let look_up = move |storage: &Fanout| {
        let querier = storage.querier(scope.mint, scope.maxt)?;
        let texts = if scope.selectors.len() <= 1 {
            let selector = scope.selectors.first().map_or(&[][..], Vec::as_slice);
            look_up(&*querier, selector)?
        } else {
            let mut all = BTreeSet::new();
            for selector in &scope.selectors {
                all.extend(look_up(&*querier, selector)?);
            }
            all.into_iter().collect()
        };
        let mut warnings = querier.warnings();
        warnings.sort_unstable();
        warnings.dedup();
        Ok((texts, warnings))
    };
    let (mut texts, mut warnings): (Vec<String>, _) =
        read_soon(&core.queries, question, &core.fanout, look_up).await?;
    if limit.is_some_and(|l| texts.len() > l) {
        texts.truncate(limit.unwrap_or(usize::MAX));
        warnings.push(json::TRUNCATED.to_owned());
    }
    Ok(json::success_strings(&texts, &warnings))
}

/// The bytes between `/label/` and `/values` of a path.
fn raw_name(path: &str) -> Vec<u8> {
    let name = path.rsplit('/').nth(1).unwrap_or_default();
    unescape_bytes(name.as_bytes()).unwrap_or_default()
}

/// Bytes that are no UTF-8 are shown by number, as Go shows them.
fn invalid_name(name: &[u8]) -> ApiError {
    let mut shown = String::new();
    for chunk in name.utf8_chunks() {
        let quoted = quote(chunk.valid());
        shown.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    ApiError::bad_data(format!("invalid label name: \"{shown}\""))
}

/// Undoes the `U__` escaping of UTF-8 names: `__` is an underscore, `_2e_` the character of that code. A name that
/// is not well escaped is taken as it is.
fn unescape_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(end) = rest.find('_') else {
            return name.to_owned();
        };
        let code = &rest[..end];
        rest = &rest[end + 1..];
        if code.is_empty() {
            out.push('_');
            continue;
        }
        match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
            Some(c) if code.len() <= 6 => out.push(c),
            _ => return name.to_owned(),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::unescape_name;

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b", "a.b"),
            ("U__a__b", "a_b"),
            ("U___1F600_", "\u{1F600}"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_2e", "U__a_2e"),
            ("U__", ""),
        ] {
            assert_eq!(unescape_name(escaped), name, "{escaped}");
        }
    }
}
