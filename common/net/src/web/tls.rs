//! From `tls_server_config` to what rustls needs.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    InconsistentKeys, NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::clients::{ClientCheck, Clients};
use super::config::{CipherSuite, Curve, TlsServerConfig, TlsVersion, read};
use super::error::WebConfigError;

/// The texts of certificates and keys as they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsTexts {
    cert: String,
    key: String,
    client_ca: Option<String>,
}

impl TlsServerConfig {
    /// Reads certificates and keys. Blocks on the disk.
    pub(crate) fn texts(&self) -> Result<TlsTexts, WebConfigError> {
        if self.cert_file.is_empty() && self.cert.is_empty() {
            return Err(WebConfigError::Keys("missing one of cert or cert_file"));
        }
        if self.key_file.is_empty() && self.key.is_empty() {
            return Err(WebConfigError::Keys("missing one of key or key_file"));
        }
        Ok(TlsTexts {
            cert: either("cert_file", &self.cert_file, &self.cert)?,
            key: either("key_file", &self.key_file, &self.key.0)?,
            client_ca: if !self.client_ca_file.is_empty() {
                Some(read(Path::new(&self.client_ca_file))?)
            } else if !self.client_ca.is_empty() {
                Some(self.client_ca.clone())
            } else {
                None
            },
        })
    }

    /// Makes the library's configuration.
    pub(crate) fn server_config(
        &self,
        texts: &TlsTexts,
        http2: bool,
    ) -> Result<ServerConfig, WebConfigError> {
        let pair = key_pair(texts)?;
        let provider = Arc::new(self.provider()?);
        let clients = self.clients(texts, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions()?)
            .map_err(|e| nothing(&e))?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.ignore_client_order = self.prefer_server_cipher_suites;
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(config)
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, WebConfigError> {
        let all = [
            (TlsVersion::Tls12, &rustls::version::TLS12),
            (TlsVersion::Tls13, &rustls::version::TLS13),
        ];
        let fits = |version| version >= self.min_version && version <= self.max_version;
        let found: Vec<_> = all
            .into_iter()
            .filter(|(version, _)| fits(*version))
            .map(|(_, version)| version)
            .collect();
        if found.is_empty() {
            return Err(WebConfigError::Nothing(
                "no version of TLS from min_version to max_version is spoken here: there are TLS12 and TLS13".to_owned(),
            ));
        }
        Ok(found)
    }

    /// Cipher suites and curves. As in Go, the suites of TLS 1.3 are always there.
    fn provider(&self) -> Result<CryptoProvider, WebConfigError> {
        let mut provider = rustls::crypto::ring::default_provider();
        if !self.cipher_suites.is_empty() {
            let wanted = self.cipher_suites.iter();
            let tls12: Vec<_> = wanted
                .filter_map(|suite| find_suite(&provider, suite))
                .filter(|suite| matches!(suite, SupportedCipherSuite::Tls12(_)))
                .collect();
            if tls12.is_empty() && self.max_version < TlsVersion::Tls13 {
                return Err(WebConfigError::Nothing(
                    "none of the cipher_suites is spoken here in TLS 1.2: use those with GCM or CHACHA20_POLY1305".to_owned(),
                ));
            }
            provider
                .cipher_suites
                .retain(|suite| matches!(suite, SupportedCipherSuite::Tls13(_)));
            provider.cipher_suites.extend(tls12);
        }
        if !self.curve_preferences.is_empty() {
            let wanted = self.curve_preferences.iter();
            let groups: Vec<_> = wanted
                .filter_map(|curve| find_group(&provider, curve))
                .collect();
            if groups.is_empty() {
                return Err(WebConfigError::Nothing(
                    "none of the curve_preferences is spoken here: use X25519, CurveP256 or CurveP384".to_owned(),
                ));
            }
            provider.kx_groups = groups;
        }
        Ok(provider)
    }

    /// What clients have to show; `None`: nothing.
    fn clients(
        &self,
        texts: &TlsTexts,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Clients>, WebConfigError> {
        let check = match self.client_auth_type.as_str() {
            "" | "NoClientCert" if texts.client_ca.is_some() => {
                return Err(WebConfigError::Keys(
                    "client CA's have been configured without a Client Auth Policy",
                ));
            }
            "" | "NoClientCert" => return Ok(None),
            "RequestClientCert" => ClientCheck::Request,
            "RequireAnyClientCert" | "RequireClientCert" => ClientCheck::Require,
            "VerifyClientCertIfGiven" => ClientCheck::VerifyIfGiven,
            "RequireAndVerifyClientCert" => ClientCheck::RequireAndVerify,
            other => return Err(WebConfigError::ClientAuth(other.to_owned())),
        };
        let authorities = match &texts.client_ca {
            Some(text) => certificates(text).map_err(WebConfigError::ClientCa)?,
            None => Vec::new(),
        };
        let sans = self.client_allowed_sans.clone();
        Clients::new(check, authorities, sans, Arc::clone(provider)).map(Some)
    }
}

fn nothing(error: &rustls::Error) -> WebConfigError {
    WebConfigError::Nothing(format!("unusable TLS settings: {error}"))
}

fn either(key: &'static str, file: &str, inline: &str) -> Result<String, WebConfigError> {
    if file.is_empty() {
        return Ok(inline.to_owned());
    }
    std::fs::read_to_string(file).map_err(|source| WebConfigError::ReadKey {
        key,
        path: file.into(),
        source,
    })
}

/// All certificates of a PEM text; none is not an error.
fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<_, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    found.map_err(|e| e.to_string())
}

/// The server's certificate and its key. As in Go, a certificate is good that the library cannot read, such as one
/// without extensions; only those that it can read are compared with the key.
fn key_pair(texts: &TlsTexts) -> Result<CertifiedKey, WebConfigError> {
    let wrong = |reason: &str| WebConfigError::KeyPair(reason.to_owned());
    let chain = certificates(&texts.cert).unwrap_or_default();
    if chain.is_empty() {
        return Err(wrong(
            "tls: failed to find any PEM data in certificate input",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(texts.key.as_bytes())
        .map_err(|_| wrong("tls: failed to find any PEM data in key input"))?;
    let signing = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|e| WebConfigError::KeyPair(format!("tls: {e}")))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(wrong("tls: private key does not match public key"))
        }
        _ => Ok(pair),
    }
}

/// The library names the suites of TLS 1.3 in its own way; those cannot be chosen.
fn find_suite(provider: &CryptoProvider, suite: &CipherSuite) -> Option<SupportedCipherSuite> {
    let all = provider.cipher_suites.iter();
    all.copied()
        .find(|known| known.suite().as_str() == Some(suite.0))
}

fn find_group(provider: &CryptoProvider, curve: &Curve) -> Option<&'static dyn SupportedKxGroup> {
    let wanted = match curve.0 {
        "CurveP256" => NamedGroup::secp256r1,
        "CurveP384" => NamedGroup::secp384r1,
        "CurveP521" => NamedGroup::secp521r1,
        _ => NamedGroup::X25519,
    };
    let all = provider.kx_groups.iter();
    all.copied().find(|group| group.name() == wanted)
}

/// Authorities as the library keeps them.
pub(crate) fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|e| e.to_string())?;
    }
    Ok(roots)
}
