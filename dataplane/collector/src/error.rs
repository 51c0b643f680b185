//! Why a collector cannot be built or run.

use bellwether_net::BindError;

use crate::config::ConfigError;

/// Why a collector cannot be built or run.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port cannot be bound; the message names component, port and key.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A component cannot be built: an unreadable certificate, a bad URL.
    #[error("{component}: {message}")]
    Component {
        /// Key path of the component.
        component: String,
        /// What is wrong.
        message: String,
    },
    /// A component's task ended although nobody asked it to.
    #[error("{component} stopped unexpectedly")]
    Stopped {
        /// Kind and id.
        component: String,
    },
}
