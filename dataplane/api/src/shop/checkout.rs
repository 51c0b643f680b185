//! `POST /api/payments`: takes a payment through the provider.
//!
//! | status | when |
//! |---|---|
//! | 200 | the provider approved |
//! | 400 | the body is not a payment |
//! | 402 | the provider declined |
//! | 500 | an injected failure of the shop itself |
//! | 502 | the provider failed, did not answer in time or could not be reached |
//! | 503 | the circuit breaker is open, with `Retry-After` |

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{PAYMENTS, SharedShop, bad_request, failed};
use crate::behaviour::Verdict;
use crate::observe::RequestContext;
use crate::payments::{Charge, ChargeError, ChargeRequest};
use crate::reply;

const AMOUNT_MAX: f64 = 1_000_000.0;

pub(super) async fn pay(
    State(shop): SharedShop,
    Extension(RequestContext(context)): Extension<RequestContext>,
    body: Bytes,
) -> Response {
    let payments = &shop.metrics.payments;
    let request = match payment(&body) {
        Ok(request) => request,
        Err(reason) => {
            payments.add("invalid");
            return bad_request(reason);
        }
    };
    match shop.behaviour.play(&PAYMENTS).await {
        Verdict::Succeed => {}
        verdict => {
            payments.add("error");
            return failed(verdict);
        }
    }
    let outage = shop.behaviour.faults.current().dependency_outage.active;
    let result = shop.payments.charge(&context, &request, outage).await;
    payments.add(result_label(&result));
    match result {
        Ok(Charge::Approved { transaction_id }) => Json(json!({
            "order_id": request.order_id,
            "status": "approved",
            "transaction_id": transaction_id,
        }))
        .into_response(),
        Ok(Charge::Declined) => {
            reply::error(StatusCode::PAYMENT_REQUIRED, "the payment was declined").into_response()
        }
        Err(ChargeError::BreakerOpen { retry_after }) => {
            let mut response = reply::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "payments are paused: the payment provider keeps failing",
            )
            .into_response();
            // Whole seconds, rounded up, at least one.
            let seconds = retry_after.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Err(error) => reply::error(StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn result_label(result: &Result<Charge, ChargeError>) -> &'static str {
    match result {
        Ok(Charge::Approved { .. }) => "approved",
        Ok(Charge::Declined) => "declined",
        Err(ChargeError::BreakerOpen { .. }) => "rejected",
        Err(_) => "error",
    }
}

fn payment(body: &[u8]) -> Result<ChargeRequest, String> {
    let request: ChargeRequest = serde_json::from_slice(body)
        .map_err(|error| format!("a payment has order_id and amount: {error}"))?;
    if request.order_id.trim().is_empty() || request.order_id.len() > 128 {
        return Err("order_id must be a text of 1 to 128 bytes".to_owned());
    }
    if !(request.amount > 0.0 && request.amount <= AMOUNT_MAX) {
        return Err(format!("amount must be above 0 and at most {AMOUNT_MAX}"));
    }
    Ok(request)
}
