//! `POST /api/orders`: what a valid order is, and what becomes of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::data;
use super::{ORDERS, SharedShop, bad_request, failed};
use crate::behaviour::Verdict;
use crate::reply::now_rfc3339;

const ITEMS_MAX: usize = 100;
const QUANTITY_MAX: u64 = 1000;
const TOTAL_MAX: f64 = 1_000_000.0;

/// The price of a product that the catalogue does not list: guides and older
/// tutorials order things by ids of their own.
const UNLISTED_PRICE: f64 = 20.0;

/// An identifier, which clients write as a number or as a string.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn is_valid(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Text(text) => !text.trim().is_empty() && text.len() <= 128,
        }
    }

    fn price(&self) -> f64 {
        let number = match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        };
        data::PRODUCTS
            .iter()
            .find(|product| Some(u64::from(product.id)) == number)
            .map_or(UNLISTED_PRICE, |product| product.price)
    }
}

#[derive(Debug, Deserialize)]
struct Cart {
    user_id: Id,
    items: Vec<Item>,
    total: f64,
}

#[derive(Debug, Deserialize)]
struct Item {
    id: Id,
    qty: u64,
}

#[derive(Debug, Deserialize)]
struct Single {
    product_id: Id,
    quantity: u64,
}

pub(super) async fn create(State(shop): SharedShop, body: Bytes) -> Response {
    let orders = &shop.metrics.orders;
    let total = match order_total(&body) {
        Ok(total) => total,
        Err(reason) => {
            orders.add("invalid");
            return bad_request(reason);
        }
    };
    match shop.behaviour.play(&ORDERS).await {
        Verdict::Succeed => {}
        verdict => {
            orders.add("failed");
            return failed(verdict);
        }
    }
    orders.add("created");
    shop.metrics.orders_value.add(total, &[]);
    let id: u64 = shop.behaviour.draw(Rng::random);
    let answer = json!({
        "order_id": format!("ord-{id:016x}"),
        "status": "created",
        "created_at": now_rfc3339(),
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}

/// The value of the order in `body`, or why it is not an order.
fn order_total(body: &[u8]) -> Result<f64, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if value.get("product_id").is_some() {
        single_total(value)
    } else if value.get("items").is_some() {
        cart_total(value)
    } else {
        Err("an order has user_id, items and total, or product_id and quantity".to_owned())
    }
}

fn single_total(value: Value) -> Result<f64, String> {
    let order: Single = serde_json::from_value(value).map_err(|error| error.to_string())?;
    check_id("product_id", &order.product_id)?;
    check_quantity("quantity", order.quantity)?;
    // At most 1000: exact as a float.
    Ok(order.product_id.price() * order.quantity as f64)
}

fn cart_total(value: Value) -> Result<f64, String> {
    let order: Cart = serde_json::from_value(value).map_err(|error| error.to_string())?;
    check_id("user_id", &order.user_id)?;
    if order.items.is_empty() || order.items.len() > ITEMS_MAX {
        return Err(format!("items must hold 1 to {ITEMS_MAX} entries"));
    }
    for (at, item) in order.items.iter().enumerate() {
        check_id(&format!("items[{at}].id"), &item.id)?;
        check_quantity(&format!("items[{at}].qty"), item.qty)?;
    }
    if !(order.total > 0.0 && order.total <= TOTAL_MAX) {
        return Err(format!("total must be above 0 and at most {TOTAL_MAX}"));
    }
    Ok(order.total)
}

fn check_id(key: &str, id: &Id) -> Result<(), String> {
    if id.is_valid() {
        Ok(())
    } else {
        Err(format!(
            "{key} must be a number or a text of 1 to 128 bytes"
        ))
    }
}

fn check_quantity(key: &str, quantity: u64) -> Result<(), String> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        Ok(())
    } else {
        Err(format!("{key} must be from 1 to {QUANTITY_MAX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_an_order_are_understood() {
        for (body, expected) in [
            (r#"{"product_id":1,"quantity":2}"#, 498.0),
            (r#"{"product_id":"8","quantity":1}"#, 19.9),
            (r#"{"product_id":"prod-123","quantity":3}"#, 60.0),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1},{"id":"x","qty":2}],"total":12.5}"#,
                12.5,
            ),
            (
                r#"{"user_id":"u1","items":[{"id":2,"qty":1}],"total":9,"note":"extra keys pass"}"#,
                9.0,
            ),
        ] {
            assert_eq!(order_total(body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn bad_orders_get_a_reason() {
        for (body, reason) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "an order has"),
            ("{}", "an order has"),
            (r#"{"product_id":1}"#, "quantity"),
            (r#"{"product_id":1,"quantity":0}"#, "quantity must be"),
            (r#"{"product_id":1,"quantity":-1}"#, "invalid value"),
            (r#"{"product_id":" ","quantity":1}"#, "product_id must"),
            (r#"{"user_id":1,"items":[],"total":1}"#, "items must hold"),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1001}],"total":1}"#,
                "items[0].qty must",
            ),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1}],"total":0}"#,
                "total must",
            ),
            (r#"{"items":[{"id":1,"qty":1}],"total":5}"#, "user_id"),
        ] {
            let got = order_total(body.as_bytes()).expect_err(body);
            assert!(got.contains(reason), "{body}: {got}");
        }
    }
}
