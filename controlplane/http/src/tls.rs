//! From settings to what rustls needs.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};

use crate::config::TlsVersion;
use crate::error::TlsError;
use crate::settings::TlsSettings;

/// The texts of certificates and keys as they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsTexts {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

type Authorities = (RootCertStore, Vec<CertificateDer<'static>>);

impl TlsSettings {
    /// Whether something has to be read again to see whether it changed.
    pub(crate) fn has_files(&self) -> bool {
        let identity = self.identity.as_ref();
        self.ca.as_ref().is_some_and(|ca| ca.is_file())
            || identity.is_some_and(|(cert, key)| cert.is_file() || key.is_file())
    }

    /// Reads the files. Blocks on the disk.
    pub(crate) fn read(&self) -> Result<TlsTexts, TlsError> {
        let ca = self.ca.as_ref().map(|ca| ca.read_blocking("CA cert"));
        let identity = self.identity.as_ref();
        let cert = identity.map(|(cert, _)| cert.read_blocking("specified client cert"));
        let key = identity.map(|(_, key)| key.read_blocking("specified client key"));
        Ok(TlsTexts {
            ca: ca.transpose()?,
            cert: cert.transpose()?,
            key: key.transpose()?,
        })
    }

    /// Checks the texts on their own. Cheap: the system's authorities are not looked for.
    pub(crate) fn check(&self, texts: &TlsTexts) -> Result<(), TlsError> {
        self.authorities(texts)?;
        if let (Some(cert), Some(key)) = (&texts.cert, &texts.key) {
            identity(cert, key).map_err(|reason| self.bad_identity(reason))?;
        }
        Ok(())
    }

    /// Makes the library's configuration. Blocks on the disk when the system's authorities are needed the first time.
    pub(crate) fn client_config(
        &self,
        texts: &TlsTexts,
        http2: bool,
    ) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = self.verifier(texts, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(self.min_version, self.max_version))
            .map_err(TlsError::Settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&texts.cert, &texts.key) {
            (Some(cert), Some(key)) => {
                let wrong = |reason: String| self.bad_identity(reason);
                let identity = identity(cert, key).map_err(wrong)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            _ => builder.with_no_client_auth(),
        };
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(config)
    }

    fn bad_identity(&self, reason: String) -> TlsError {
        let (cert, key) = self.identity.clone().unwrap_or_default();
        TlsError::Identity {
            cert: cert.describe(),
            key: key.describe(),
            reason,
        }
    }

    /// The configured authorities, as the library keeps them and as they are.
    fn authorities(&self, texts: &TlsTexts) -> Result<Option<Authorities>, TlsError> {
        let (Some(text), Some(source)) = (&texts.ca, &self.ca) else {
            return Ok(None);
        };
        let wrong = |reason: String| TlsError::Ca {
            from: source.describe(),
            reason,
        };
        let certificates = certificates(text).map_err(wrong)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|e| wrong(e.to_string()))?;
        }
        Ok(Some((roots, certificates)))
    }

    fn verifier(
        &self,
        texts: &TlsTexts,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        // Bad authorities are an error even where they are not looked at.
        let own = self.authorities(texts)?;
        if self.insecure_skip_verify {
            return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
        }
        let (roots, own) = match own {
            Some((roots, certificates)) => (Arc::new(roots), certificates),
            None => (system_roots()?, Vec::new()),
        };
        let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|e| TlsError::Ca {
                from: "store".to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Arc::new(Verifier { chain, own }))
    }
}

/// The versions that are spoken: below 1.2 there is none.
pub(crate) fn versions(
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ];
    let fits = |version: TlsVersion| {
        min.is_none_or(|min| version >= min) && max.is_none_or(|max| version <= max)
    };
    all.into_iter()
        .filter(|(version, _)| fits(*version))
        .map(|(_, version)| version)
        .collect()
}

/// All certificates of a PEM text, at least one.
fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in PEM format in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// A certificate and its key. Not every certificate that a server takes can be read by the library, so only those that
/// it can are compared with the key.
fn identity(cert: &str, key: &str) -> Result<CertifiedKey, String> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|e| format!("no key in PEM format: {e}"))?;
    let signing = rustls::crypto::ring::sign::any_supported_type(&key);
    let identity = CertifiedKey::new(
        certificates(cert)?,
        signing.map_err(|e| format!("unusable key: {e}"))?,
    );
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("private key does not match public key".to_owned())
        }
        _ => Ok(identity),
    }
}

/// The system's authorities, read once in the life of the process: it takes tens of milliseconds.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoSystemRoots(reasons.join("; ")));
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

/// Checks servers as Go does: also a certificate that is itself one of the configured authorities is good, which is
/// how self-signed certificates are used. The library refuses those that are marked as authorities.
#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The time was checked before this complaint came up; the name was not.
            Err(error) if is_authority(&error) && self.own.contains(end_entity) => {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Whether a server's certificate was refused only because it is marked as an authority.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// `insecure_skip_verify`: whoever answers is right, but must have the key of the certificate shown.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    /// Certificates that the library cannot read, such as those without extensions that old scripts make, are taken as
    /// well: a key that anybody may have proves nothing here.
    fn tolerate(
        verdict: Result<HandshakeSignatureValid, rustls::Error>,
        certificate: &CertificateDer<'_>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match verdict {
            Err(_) if ParsedCertificate::try_from(certificate).is_err() => {
                Ok(HandshakeSignatureValid::assertion())
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        let verdict = rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms);
        Self::tolerate(verdict, cert)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        let verdict = rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms);
        Self::tolerate(verdict, cert)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
