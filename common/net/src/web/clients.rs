//! What clients have to show: the policies of Go's `ClientAuthType`, and names that their certificates must have.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::error::WebConfigError;
use super::tls::roots;

/// How much is asked of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCheck {
    /// A certificate is welcome, and not looked at.
    Request,
    /// Any certificate.
    Require,
    /// None, or a good one.
    VerifyIfGiven,
    /// A good one.
    RequireAndVerify,
}

impl ClientCheck {
    fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    fn requires(self) -> bool {
        matches!(self, Self::Require | Self::RequireAndVerify)
    }
}

/// Checks clients.
#[derive(Debug)]
pub(crate) struct Clients {
    check: ClientCheck,
    chain: Option<Arc<dyn ClientCertVerifier>>,
    authorities: Vec<CertificateDer<'static>>,
    /// Names of which the certificate must have one; `None` for any.
    allowed_sans: Option<Vec<String>>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug, thiserror::Error)]
enum SanError {
    #[error("error parsing client certificate: {0}")]
    Parse(String),
    #[error("could not find allowed SANs in client cert, found: {0:?}")]
    NotAllowed(Vec<String>),
}

impl Clients {
    pub(crate) fn new(
        check: ClientCheck,
        authorities: Vec<CertificateDer<'static>>,
        allowed_sans: Option<Vec<String>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, WebConfigError> {
        let chain = if check.verifies() {
            let roots = if authorities.is_empty() {
                system_roots()?
            } else {
                roots(&authorities).map_err(WebConfigError::ClientCa)?
            };
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let built = builder.build();
            Some(built.map_err(|e| WebConfigError::ClientCa(e.to_string()))?)
        } else {
            None
        };
        Ok(Self {
            check,
            chain,
            authorities,
            allowed_sans,
            provider,
        })
    }

    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), SanError> {
        let Some(allowed) = &self.allowed_sans else {
            return Ok(());
        };
        let names = names(certificate).map_err(SanError::Parse)?;
        if names.iter().any(|name| allowed.contains(name)) {
            Ok(())
        } else {
            Err(SanError::NotAllowed(names))
        }
    }
}

/// As Go: without authorities of its own a server takes those of the system.
fn system_roots() -> Result<rustls::RootCertStore, WebConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(WebConfigError::ClientCa(
            "none given, and none found on this system".to_owned(),
        ));
    }
    Ok(roots)
}

/// All names of a certificate that Go knows: hosts, mail addresses, IP addresses, URIs.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let parsed = x509_parser::certificate::X509Certificate::from_der(certificate);
    let (_, parsed) = parsed.map_err(|e| e.to_string())?;
    let extension = parsed.subject_alternative_name();
    let Some(extension) = extension.map_err(|e| e.to_string())? else {
        return Ok(Vec::new());
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    Ok(extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Whether a certificate was refused only because it is marked as an authority.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.check.requires()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.chain {
            Some(chain) => chain.root_hint_subjects(),
            None => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(chain) = &self.chain {
            match chain.verify_client_cert(end_entity, intermediates, now) {
                // A self-signed certificate that is itself configured, as Go takes it. The library checks the time
                // before this complaint.
                Err(error) if is_authority(&error) && self.authorities.contains(end_entity) => {}
                verdict => {
                    verdict?;
                }
            }
        }
        let names = self.check_names(end_entity);
        names.map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
