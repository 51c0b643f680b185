//! The requests that a load is made of.

use bytes::Bytes;
use http::Method;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

/// One kind of request to a sample service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// `GET /health`
    Health,
    /// `GET /api/users`
    Users,
    /// `GET /api/products`
    Products,
    /// `POST /api/orders`
    Orders,
    /// `GET /api/search`
    Search,
    /// `GET /api/reports`
    Reports,
    /// `POST /api/payments`
    Payments,
    /// `GET /api/slow`
    Slow,
    /// `POST /orders` of the order service
    Process,
    /// `POST /orders?fail=true` of the order service
    ProcessFailing,
}

/// What a request consists of, besides its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// JSON, or empty.
    pub(crate) body: Bytes,
}

const SEARCH_TERMS: [&str; 6] = ["lamp", "kitchen", "knife", "shoes", "office", "unicorn"];

impl Operation {
    pub(crate) const ALL: [Self; 10] = [
        Self::Health,
        Self::Users,
        Self::Products,
        Self::Orders,
        Self::Search,
        Self::Reports,
        Self::Payments,
        Self::Slow,
        Self::Process,
        Self::ProcessFailing,
    ];

    /// The name in a custom mix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Search => "search",
            Self::Reports => "reports",
            Self::Payments => "payments",
            Self::Slow => "slow",
            Self::Process => "process",
            Self::ProcessFailing => "process-failing",
        }
    }

    /// The route in reports.
    #[must_use]
    pub fn route(self) -> &'static str {
        match self {
            Self::Health => "GET /health",
            Self::Users => "GET /api/users",
            Self::Products => "GET /api/products",
            Self::Orders => "POST /api/orders",
            Self::Search => "GET /api/search",
            Self::Reports => "GET /api/reports",
            Self::Payments => "POST /api/payments",
            Self::Slow => "GET /api/slow",
            Self::Process => "POST /orders",
            Self::ProcessFailing => "POST /orders?fail=true",
        }
    }

    /// A valid request of this kind, varied by `rng`.
    pub(crate) fn draft(self, rng: &mut StdRng) -> Draft {
        let (method, path) = self.route().split_once(' ').unwrap_or(("GET", "/"));
        let body = match self {
            Self::Orders => order(rng),
            Self::Payments => payment(rng),
            _ => Bytes::new(),
        };
        let mut path = path.to_owned();
        if self == Self::Search {
            path.push_str("?q=");
            path.push_str(SEARCH_TERMS[rng.random_range(0..SEARCH_TERMS.len())]);
        }
        Draft {
            method: if method == "POST" {
                Method::POST
            } else {
                Method::GET
            },
            path,
            body,
        }
    }
}

/// Amounts in whole cents, so that they print short.
fn cents(rng: &mut StdRng, range: std::ops::Range<u32>) -> f64 {
    f64::from(rng.random_range(range)) / 100.0
}

fn order(rng: &mut StdRng) -> Bytes {
    let body = if rng.random() {
        json!({"product_id": rng.random_range(1..=12), "quantity": rng.random_range(1..=5)})
    } else {
        let items: Vec<_> = (0..rng.random_range(1..=4))
            .map(|_| json!({"id": rng.random_range(1..=12), "qty": rng.random_range(1..=3)}))
            .collect();
        json!({
            "user_id": rng.random_range(1..=8),
            "items": items,
            "total": cents(rng, 500..50_000),
        })
    };
    Bytes::from(body.to_string())
}

fn payment(rng: &mut StdRng) -> Bytes {
    let order_id = format!("ord-{:016x}", rng.random::<u64>());
    let body = json!({"order_id": order_id, "amount": cents(rng, 500..50_000)});
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;
    use serde_json::Value;

    use super::*;

    #[test]
    fn bodies_are_valid_and_vary_by_seed_alone() {
        let mut rng = StdRng::seed_from_u64(5);
        let mut bodies = std::collections::HashSet::new();
        for _ in 0..200 {
            let draft = Operation::Orders.draft(&mut rng);
            assert_eq!(
                (draft.method, draft.path.as_str()),
                (Method::POST, "/api/orders")
            );
            let order: Value = serde_json::from_slice(&draft.body).unwrap();
            match order.get("items") {
                Some(items) => {
                    assert!(order["total"].as_f64().unwrap() > 0.0);
                    assert!(!items.as_array().unwrap().is_empty());
                }
                None => assert!(order["quantity"].as_u64().unwrap() >= 1),
            }
            bodies.insert(draft.body);
            let payment: Value =
                serde_json::from_slice(&Operation::Payments.draft(&mut rng).body).unwrap();
            assert!(payment["amount"].as_f64().unwrap() >= 5.0);
        }
        assert!(bodies.len() > 100);
        let draw = |seed| Operation::Orders.draft(&mut StdRng::seed_from_u64(seed));
        assert_eq!(draw(1), draw(1));
    }

    #[test]
    fn queries_are_part_of_the_path() {
        let mut rng = StdRng::seed_from_u64(1);
        assert!(
            Operation::Search
                .draft(&mut rng)
                .path
                .starts_with("/api/search?q=")
        );
        assert_eq!(
            Operation::ProcessFailing.draft(&mut rng).path,
            "/orders?fail=true"
        );
    }
}
