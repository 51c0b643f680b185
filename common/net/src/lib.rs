//! Listeners for every plane: bind with an error a user can act on, serve with limits, drain on shutdown.
//!
//! A component binds all its listeners first ([`bind`]) and starts only when every port is its own; then it
//! hands each listener and an [`axum::Router`] to [`serve`]. HTTP/1.1 and HTTP/2 (prior knowledge, as gRPC
//! uses) are told apart per connection. [`web`] adds TLS, users and headers where a file asks for them.
//!
//! Invariants:
//! - a connection never outlives [`serve`]: after the shutdown signal the listener closes at once, idle
//!   connections end, requests under way may finish within the drain time, the rest is cut;
//! - the number of open connections is bounded; further ones wait in the kernel's accept queue;
//! - a client that sends its request head too slowly is closed;
//! - an answer is not lost because nobody read the whole request.

mod bind;
mod counters;
mod serve;
mod tls;
mod unread;
pub mod web;

pub use bind::{BindError, bind};
pub use counters::ConnectionCounters;
pub use serve::{ServeOptions, serve};
