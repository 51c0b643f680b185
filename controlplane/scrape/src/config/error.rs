//! What can be wrong with a scrape configuration beyond a single value.

use bellwether_http::HttpConfigError;

use crate::relabel::RelabelError;

/// A configuration that does not pass its checks. Texts follow Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScrapeConfigError {
    /// `job_name` is missing.
    #[error("job_name is empty")]
    NoJobName,
    /// Two jobs of one name.
    #[error("found multiple scrape configs with job name {0:?}")]
    DuplicateJob(String),
    /// The time-out does not fit into the interval.
    #[error("scrape timeout greater than scrape interval for scrape config with job name {0:?}")]
    TimeoutTooLong(String),
    /// A scrape protocol that does not exist.
    #[error(
        "scrape_protocols: unknown scrape protocol {protocol}, supported: [{}] for scrape config with job name {job:?}",
        crate::protocol::ScrapeProtocol::names()
    )]
    UnknownProtocol {
        /// As written.
        protocol: String,
        /// The job's name.
        job: String,
    },
    /// A fallback protocol that does not exist.
    #[error(
        "invalid fallback_scrape_protocol for scrape config with job name {job:?}: unknown scrape protocol {protocol}, supported: [{}]",
        crate::protocol::ScrapeProtocol::names()
    )]
    UnknownFallback {
        /// As written.
        protocol: String,
        /// The job's name.
        job: String,
    },
    /// A protocol listed twice.
    #[error(
        "duplicated protocol in scrape_protocols, got [{protocols}] for scrape config with job name {job:?}"
    )]
    DuplicateProtocol {
        /// The list as written.
        protocols: String,
        /// The job's name.
        job: String,
    },
    /// An empty list of protocols.
    #[error("scrape_protocols cannot be empty for scrape config with job name {0:?}")]
    NoProtocols(String),
    /// How targets are asked.
    #[error(transparent)]
    Http(#[from] HttpConfigError),
    /// Certificates that stand in the configuration and cannot be used.
    #[error("error creating HTTP client: {reason} for scrape config with job name {job:?}")]
    Client {
        /// What is wrong.
        reason: String,
        /// The job's name.
        job: String,
    },
    /// A name validation scheme that does not exist.
    #[error(
        "unknown scrape config name validation method specified, must be either '', 'legacy' or 'utf8', got {0}"
    )]
    UnknownValidationScheme(String),
    /// An escaping scheme that does not exist.
    #[error(
        "unknown scrape config name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got {0}"
    )]
    UnknownEscapingScheme(String),
    /// UTF-8 names are asked for and refused at the same time.
    #[error("utf8 metric names requested but validation scheme is not set to UTF8")]
    ConflictingUtf8,
    /// A target address with a path or a scheme.
    #[error("{0:?} is not a valid hostname")]
    TargetAddress(String),
    /// A relabelling rule.
    #[error("{error} in {key} of scrape config with job name {job:?}")]
    Relabel {
        /// What is wrong.
        error: RelabelError,
        /// `relabel_configs` or `metric_relabel_configs`.
        key: &'static str,
        /// The job's name.
        job: String,
    },
}
