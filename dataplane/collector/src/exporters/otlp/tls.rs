//! TLS of the gRPC client.

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::blocks::TlsClient;

/// Where distributions keep the certificates that the system trusts.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads certificates and keys.
pub(super) fn config(tls: &TlsClient) -> Result<ClientTlsConfig, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = ClientTlsConfig::new();
    let own_ca = pem("ca", tls.ca_file.as_deref(), tls.ca_pem.as_deref())?;
    if own_ca.is_none() || tls.include_system_ca_certs_pool {
        config = config.ca_certificate(Certificate::from_pem(system_roots()?));
    }
    if let Some(ca) = own_ca {
        config = config.ca_certificate(Certificate::from_pem(ca));
    }
    let cert = pem("cert", tls.cert_file.as_deref(), tls.cert_pem.as_deref())?;
    let key = pem("key", tls.key_file.as_deref(), tls.key_pem.as_deref())?;
    match (cert, key) {
        (Some(cert), Some(key)) => config = config.identity(Identity::from_pem(cert, key)),
        (None, None) => {}
        _ => return Err("certificate and key must be given together".to_owned()),
    }
    if let Some(name) = &tls.server_name_override {
        config = config.domain_name(name);
    }
    Ok(config)
}

/// PEM from a file or from the configuration.
pub(crate) fn pem(
    what: &str,
    file: Option<&str>,
    text: Option<&str>,
) -> Result<Option<String>, String> {
    match (file, text) {
        (Some(_), Some(_)) => Err(format!("{what}_file and {what}_pem exclude each other")),
        (Some(path), None) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(|e| format!("cannot read {what}_file {path:?}: {e}")),
        (None, text) => Ok(text.map(str::to_owned)),
    }
}

fn system_roots() -> Result<String, String> {
    let from_env = std::env::var("SSL_CERT_FILE").ok();
    from_env
        .iter()
        .map(String::as_str)
        .chain(SYSTEM_BUNDLES.iter().copied())
        .find_map(|path| std::fs::read_to_string(path).ok())
        .ok_or_else(|| {
            "the system's trusted certificates were not found; set ca_file, or insecure for plain text"
                .to_owned()
        })
}
