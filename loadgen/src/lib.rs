//! An open-loop HTTP load generator for the sample services.
//!
//! ```text
//! schedule --due--> pick an operation (mix) --place free?--> task: pool -> socket
//!                                           \--no--> counted as dropped       |
//!                                                        recorder <-----------+
//!                                                           |-> Progress, Report
//! ```
//!
//! Open loop: requests leave on their schedule, whether or not earlier ones
//! have been answered, and latency counts from the moment a request was due.
//! A server that stalls therefore shows all the waiting that its users would
//! have had, instead of slowing the generator down and hiding it
//! ("coordinated omission").
//!
//! Invariants:
//! - `scheduled = sent + dropped_saturated`, and at the end
//!   `sent = completed responses + transport errors`;
//! - a request is sent at most once; only one that a dead pooled connection
//!   never put on the wire moves to a new connection;
//! - requests in flight, and with them connections and memory, are bounded;
//! - the same seed gives the same sequence of operations and bodies.

mod alarm;
mod config;
mod connection;
mod mix;
mod operation;
mod record;
mod report;
mod run;
mod schedule;

pub use config::{LoadConfig, LoadError, Pattern};
pub use mix::{Mix, MixError};
pub use operation::Operation;
pub use report::{Latency, Progress, Report, RouteReport};
pub use run::{LoadFuture, run};
