//! What can be wrong with a scrape configuration beyond a single value.

use bellwether_http::HttpConfigError;

use crate::relabel::RelabelError;

/// What is wrong with a list of scrape protocols.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolsError {
    /// An empty list.
    #[error("scrape_protocols cannot be empty")]
    Empty,
    /// A protocol listed twice, in whatever case; the list.
    #[error("duplicated protocol in scrape_protocols, got [{0}]")]
    Duplicate(String),
    /// A protocol that does not exist.
    #[error(
        "scrape_protocols: unknown scrape protocol {0}, supported: [{names}]",
        names = crate::protocol::ScrapeProtocol::names()
    )]
    Unknown(String),
}

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
    /// `scrape_protocols`.
    #[error("{error} for scrape config with job name {job:?}")]
    Protocols {
        /// What is wrong.
        error: ProtocolsError,
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
    #[error(r#"unrecognized ValidationScheme: {0:?}: use "utf8" or "legacy""#)]
    UnknownValidationScheme(String),
    /// An escaping scheme that does not exist.
    #[error(
        "unknown scrape config name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got {0:?}"
    )]
    UnknownEscapingScheme(String),
    /// An escaping scheme of the global section that does not exist.
    #[error(
        "unknown global name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got {0:?}"
    )]
    UnknownGlobalEscaping(String),
    /// UTF-8 names are asked for and refused at the same time.
    #[error("utf8 metric names requested but validation scheme is not set to UTF8")]
    ConflictingUtf8,
    /// A target address with a path or a scheme.
    #[error("{0:?} is not a valid hostname")]
    TargetAddress(String),
    /// A label name of a static configuration that is not a label name.
    #[error("{0:?} is not a valid label name")]
    LabelName(String),
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

impl ScrapeConfigError {
    /// Whether Prometheus takes such a configuration, and its scrapes fail then.
    #[must_use]
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_late())
    }
}
