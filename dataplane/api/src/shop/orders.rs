//! `POST /api/orders`: what a valid order is, and what becomes of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rand::Rng;
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
#[derive(Debug, Clone, PartialEq)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn read(order: &Value, path: &str, key: &str) -> Result<Self, String> {
        match order.get(key) {
            None => Err(format!("{path}{key} is missing")),
            Some(Value::String(text)) if !text.trim().is_empty() && text.len() <= 128 => {
                Ok(Self::Text(text.clone()))
            }
            Some(value) => value.as_u64().map(Self::Number).ok_or_else(|| {
                format!("{path}{key} must be a number from 0 or a text of 1 to 128 bytes")
            }),
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
        single_total(&value)
    } else if value.get("items").is_some() {
        cart_total(&value)
    } else {
        Err("an order has user_id, items and total, or product_id and quantity".to_owned())
    }
}

fn single_total(order: &Value) -> Result<f64, String> {
    let product = Id::read(order, "", "product_id")?;
    let quantity = quantity(order, "", "quantity")?;
    // At most 1000: exact as a float.
    Ok(product.price() * quantity as f64)
}

fn cart_total(order: &Value) -> Result<f64, String> {
    Id::read(order, "", "user_id")?;
    let items = order.get("items").and_then(Value::as_array);
    let items = items
        .filter(|items| (1..=ITEMS_MAX).contains(&items.len()))
        .ok_or_else(|| format!("items must be a list of 1 to {ITEMS_MAX} entries"))?;
    for (at, item) in items.iter().enumerate() {
        let path = format!("items[{at}].");
        Id::read(item, &path, "id")?;
        quantity(item, &path, "qty")?;
    }
    order
        .get("total")
        .and_then(Value::as_f64)
        .filter(|total| *total > 0.0 && *total <= TOTAL_MAX)
        .ok_or_else(|| format!("total must be a number above 0 and at most {TOTAL_MAX}"))
}

fn quantity(order: &Value, path: &str, key: &str) -> Result<u64, String> {
    let value = order
        .get(key)
        .ok_or_else(|| format!("{path}{key} is missing"))?;
    value
        .as_u64()
        .filter(|quantity| (1..=QUANTITY_MAX).contains(quantity))
        .ok_or_else(|| format!("{path}{key} must be a whole number from 1 to {QUANTITY_MAX}"))
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
            (r#"{"product_id":1}"#, "quantity is missing"),
            (r#"{"product_id":1,"quantity":0}"#, "quantity must be"),
            (r#"{"product_id":1,"quantity":-1}"#, "quantity must be"),
            (r#"{"product_id":1,"quantity":"2"}"#, "quantity must be"),
            (r#"{"product_id":" ","quantity":1}"#, "product_id must"),
            (r#"{"product_id":null,"quantity":1}"#, "product_id must"),
            (r#"{"user_id":-1,"items":[],"total":1}"#, "user_id must"),
            (r#"{"user_id":1,"items":[],"total":1}"#, "items must be"),
            (r#"{"user_id":1,"items":{},"total":1}"#, "items must be"),
            (
                r#"{"user_id":1,"items":[{"qty":1}],"total":1}"#,
                "items[0].id is missing",
            ),
            (
                r#"{"user_id":1,"items":[5],"total":1}"#,
                "items[0].id is missing",
            ),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1}],"total":"5"}"#,
                "total must",
            ),
            (r#"{"user_id":1,"items":[{"id":1,"qty":1}]}"#, "total must"),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1001}],"total":1}"#,
                "items[0].qty must",
            ),
            (
                r#"{"user_id":1,"items":[{"id":1,"qty":1}],"total":0}"#,
                "total must",
            ),
            (
                r#"{"items":[{"id":1,"qty":1}],"total":5}"#,
                "user_id is missing",
            ),
        ] {
            let got = order_total(body.as_bytes()).expect_err(body);
            assert!(got.contains(reason), "{body}: {got}");
        }
    }
}
