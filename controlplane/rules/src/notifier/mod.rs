//! The notifier: tells every Alertmanager of every alert.
//!
//! ```text
//! alerts --external labels, alert relabelling--> set 1 --its relabelling--> queue --batches--> Alertmanager a
//!                                            |                         \--> queue --batches--> Alertmanager b
//!                                            +--> set 2 ...
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | the `alerting` section and its checks |
//! | `message` | an alert on its way, and its JSON |
//! | `manager` | all sets; reloads; shutdown |
//! | `set` | one entry of `alertmanagers`: discovery, relabelling, queues |
//! | `queue` | one Alertmanager: its bounded queue and the task that sends |
//! | `metrics` | the notifier's own metrics, under Prometheus' names |
//!
//! Nothing here remembers alerts: what is lost is sent again after the resend delay, because the rule still has it.

mod config;
mod manager;
mod message;
mod metrics;
mod queue;
mod set;

pub use config::{AlertingConfig, AlertingError, AlertmanagerConfig};
pub use manager::{Notifier, NotifierOptions};
pub use message::AlertMessage;
