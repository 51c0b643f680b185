//! The endpoints that only read: users, products, search, reports, slow.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use rand::Rng;
use serde::Deserialize;
use serde_json::json;

use super::data;
use super::{PRODUCTS, REPORTS, SEARCH, SLOW, SharedShop, USERS, bad_request, failed};
use crate::behaviour::Verdict;
use crate::reply::now_rfc3339;

/// Share of user look-ups that the simulated cache answers.
const CACHE_HITS: f64 = 0.7;

/// Search terms above this many bytes are refused.
const TERM_BYTES_MAX: usize = 256;

pub(super) async fn users(State(shop): SharedShop) -> Response {
    let hit = shop.behaviour.draw(|rng| rng.random::<f64>() < CACHE_HITS);
    shop.metrics.cache.add(if hit { "hit" } else { "miss" });
    match shop.behaviour.play(&USERS).await {
        Verdict::Succeed => Json(data::USERS).into_response(),
        verdict => failed(verdict),
    }
}

pub(super) async fn products(State(shop): SharedShop) -> Response {
    match shop.behaviour.play(&PRODUCTS).await {
        Verdict::Succeed => Json(data::PRODUCTS).into_response(),
        verdict => failed(verdict),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SearchQuery {
    q: Option<String>,
}

pub(super) async fn search(
    State(shop): SharedShop,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let searches = &shop.metrics.searches;
    let term = match query {
        Ok(Query(SearchQuery { q: Some(term) }))
            if !term.trim().is_empty() && term.len() <= TERM_BYTES_MAX =>
        {
            term.trim().to_lowercase()
        }
        _ => {
            searches.add("invalid");
            return bad_request("q must be a search term of 1 to 256 bytes");
        }
    };
    match shop.behaviour.play(&SEARCH).await {
        Verdict::Succeed => {}
        verdict => {
            searches.add("error");
            return failed(verdict);
        }
    }
    let found: Vec<&data::Product> = data::PRODUCTS
        .iter()
        .filter(|product| product.name.to_lowercase().contains(&term) || product.category == term)
        .collect();
    searches.add(if found.is_empty() { "empty" } else { "found" });
    Json(json!({"query": term, "count": found.len(), "results": found})).into_response()
}

pub(super) async fn report(State(shop): SharedShop) -> Response {
    match shop.behaviour.play(&REPORTS).await {
        Verdict::Succeed => {}
        verdict => {
            shop.metrics.reports.add("error");
            return failed(verdict);
        }
    }
    shop.metrics.reports.add("ok");
    let (orders, id) = shop
        .behaviour
        .draw(|rng| (rng.random_range(50..500_u32), rng.random::<u32>()));
    Json(json!({
        "report_id": format!("rep-{id:08x}"),
        "generated_at": now_rfc3339(),
        "orders": orders,
        "products": data::PRODUCTS.len(),
        "users": data::USERS.len(),
    }))
    .into_response()
}

pub(super) async fn slow(State(shop): SharedShop) -> Response {
    match shop.behaviour.play(&SLOW).await {
        Verdict::Succeed => Json(json!({"message": "that took a while"})).into_response(),
        verdict => failed(verdict),
    }
}
