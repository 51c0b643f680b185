//! Recording and alerting rules, and the notifier that tells Alertmanagers of alerts.
//!
//! ```text
//! rule files --file--> groups --schedule--> evaluation --+--> Appender: results, ALERTS, stale markers
//!                                 ^ Evaluate (promql)    +--> notify: alerts --> queues --> Alertmanagers
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`file`] | rule files: reading, checking with all mistakes and places, linting |
//! | `expand` | templates of labels and annotations: Prometheus' functions |
//! | `rule` | one rule; the life of an alert |
//! | `group` | evaluation of a group, its slots in time, restoring alerts after a restart |
//! | `manager`, `snapshot` | who owns groups; what interfaces show of them |
//! | [`notifier`] | Alertmanagers, relabelling, queues and sending |
//! | [`unittest`] | promtool's unit tests of rules |
//! | `query`, `glob`, `time`, `metrics` | the seam to queries; files by pattern; times; the rules' own metrics |
//!
//! Rules know storage and queries only by the traits of `model::storage` and [`Evaluate`].
//!
//! Invariants:
//! - a group's rules see one timestamp, and later rules what earlier ones wrote at it;
//! - an evaluation is one transaction per rule: results and the ends of vanished series together;
//! - alerts live in the rule, never in the notifier: an Alertmanager that is down loses none of them;
//! - queries, appends and file access run on blocking threads; every task ends with its token.

mod expand;
pub mod file;
mod glob;
mod group;
mod manager;
mod metrics;
pub mod notifier;
mod query;
mod rule;
mod snapshot;
mod time;
pub mod unittest;

pub use expand::{TEMPLATE_FUNCTIONS, graph_link, table_link};
pub use glob::{BadPattern, glob};
pub use group::{GroupOptions, Notify, slot};
pub use manager::{LoadError, ManagerOptions, ManagerParts, RuleManager, RulesConfig};
pub use query::{EngineQueries, EvalError, Evaluate, RuleQuery};
pub use rule::{Alert, AlertState, Health, RESOLVED_RETENTION, RuleError, Status};
pub use snapshot::{AlertingSnapshot, GroupSnapshot, RuleSnapshot};
pub use time::{Time, go_duration};
