//! The order service: a sample of the pull model, scraped directly on
//! `/metrics`, without a collector in between.
//!
//! ```text
//! POST /orders, /simulate -> bounded queue -> workers
//!                                |               |
//!                        order_queue_depth   orders_processed_total,
//!                                            order_duration_seconds -> GET /metrics
//! ```
//!
//! | route | behaviour |
//! |---|---|
//! | `POST /orders?fail=true` | processes one order; `fail` forces a failure (500) |
//! | `POST /simulate?count=20&error_rate=0` | processes `count` synthetic orders and reports how they ended |
//! | `GET /metrics` | text format, or OpenMetrics for a scraper that asks for it |
//! | `GET /health` | `{"status":"ok","timestamp":…}` |
//!
//! Invariants:
//! - an order is accepted only when it has a place in the queue; a full queue
//!   is 503, never growing memory;
//! - every accepted order is processed and counted exactly once, also when the
//!   client has gone away and during shutdown;
//! - the depth gauge is read from the queue itself whenever it is scraped.

mod config;
mod metrics;
mod queue;
mod routes;
mod service;

pub use config::{ConfigError, OrdersConfig};
pub use service::{OrdersError, ServiceFuture, run};
