//! Binding a port, with an error that says who wanted it and how to choose another.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// A port that could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("{component}: port {port} on {host} is already in use; stop the program that uses it or choose another port with {option}", port = .address.port(), host = .address.ip())]
    InUse {
        /// Which part wanted it.
        component: String,
        /// Where.
        address: SocketAddr,
        /// The flag or configuration key that changes it.
        option: String,
    },
    /// Anything else: no permission, no such address.
    #[error("{component}: cannot listen on {address} (set by {option}): {source}")]
    Other {
        /// Which part wanted it.
        component: String,
        /// Where.
        address: SocketAddr,
        /// The flag or configuration key that changes it.
        option: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// Binds a TCP listener for a component. `option` names the flag or configuration key of the address.
///
/// # Errors
/// [`BindError`], made to be shown to the user as it is.
pub async fn bind(
    address: SocketAddr,
    component: &str,
    option: &str,
) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let (component, option) = (component.to_owned(), option.to_owned());
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse {
                component,
                address,
                option,
            }
        } else {
            BindError::Other {
                component,
                address,
                option,
                source,
            }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_names_component_port_and_option() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "first", "--a")
            .await
            .unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "metrics server", "--web.listen-address")
            .await
            .unwrap_err();
        let text = error.to_string();
        for part in [
            "metrics server",
            &address.port().to_string(),
            "--web.listen-address",
            "already in use",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
