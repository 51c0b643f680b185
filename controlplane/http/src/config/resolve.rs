//! From keys to settings.

use std::path::Path;

use bellwether_yaml::Secret;
use http::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;

use super::{
    BasicAuth, GRANT_JWT_BEARER, HttpClientConfig, HttpConfigError, OAuth2Config, ProxyConfig,
    ProxyUrl, TlsConfig, TlsVersion,
};
use crate::settings::{
    Auth, ClientSettings, Grant, OAuth2Settings, ProxySettings, SecretSource, SignatureAlgorithm,
    TlsSettings,
};

type Checked<T> = Result<T, HttpConfigError>;

/// An empty text counts as none.
fn text(value: Option<&String>) -> Option<&String> {
    value.filter(|text| !text.is_empty())
}

/// A value in place, in a file or in a secret manager; at most one of them is set.
fn source(
    inline: Option<&Secret>,
    file: Option<&String>,
    reference: Option<&String>,
    base_dir: &Path,
) -> Option<SecretSource> {
    let inline = inline.filter(|secret| !secret.is_empty());
    let inline = inline.map(|secret| SecretSource::Inline(secret.clone()));
    let file = || text(file).map(|file| SecretSource::File(base_dir.join(file)));
    let reference = || text(reference).map(|name| SecretSource::Reference(name.clone()));
    inline.or_else(file).or_else(reference)
}

impl HttpClientConfig {
    /// Checks the keys and fills in the defaults. Relative paths start at `base_dir`, the directory of the
    /// configuration file. Nothing is read yet.
    ///
    /// # Errors
    /// Those of [`Self::check`], then what no request can be made with, see [`HttpConfigError::is_late`].
    pub fn resolve(&self, base_dir: &Path) -> Result<ClientSettings, HttpConfigError> {
        self.check()?;
        Ok(ClientSettings {
            auth: self.auth(base_dir)?,
            tls: self.tls_config.resolve(base_dir)?,
            proxy: self.proxy.resolve()?,
            headers: self.headers(base_dir)?,
            follow_redirects: self.follow_redirects,
            enable_http2: self.enable_http2,
            addresses_in_turn: false,
        })
    }

    fn auth(&self, base_dir: &Path) -> Checked<Auth> {
        let bearer = || "Bearer".to_owned();
        if let Some(auth) = &self.authorization {
            let (credentials, file) = (auth.credentials.as_ref(), auth.credentials_file.as_ref());
            let reference = auth.credentials_ref.as_ref();
            return Ok(Auth::Header {
                scheme: match auth.scheme.trim() {
                    "" => bearer(),
                    scheme => scheme.to_owned(),
                },
                credentials: source(credentials, file, reference, base_dir).unwrap_or_default(),
            });
        }
        if let Some(oauth2) = &self.oauth2 {
            return oauth2.resolve(base_dir).map(Box::new).map(Auth::OAuth2);
        }
        if let Some(auth) = &self.basic_auth {
            return Ok(basic(auth, base_dir));
        }
        let (token, file) = (self.bearer_token.as_ref(), self.bearer_token_file.as_ref());
        Ok(match source(token, file, None, base_dir) {
            Some(credentials) => Auth::Header {
                scheme: bearer(),
                credentials,
            },
            None => Auth::None,
        })
    }

    fn headers(&self, base_dir: &Path) -> Checked<Vec<(HeaderName, SecretSource)>> {
        let mut headers = Vec::new();
        for (name, header) in &self.http_headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpConfigError::HeaderName(name.clone()))?;
            let inline = |text: &String| SecretSource::Inline(Secret(text.clone()));
            let values = header.values.iter().map(inline);
            let secrets = header.secrets.iter().cloned().map(SecretSource::Inline);
            let files = header.files.iter();
            let files = files.map(|file| SecretSource::File(base_dir.join(file)));
            headers.extend(
                values
                    .chain(secrets)
                    .chain(files)
                    .map(|source| (parsed.clone(), source)),
            );
        }
        Ok(headers)
    }
}

fn basic(auth: &BasicAuth, base_dir: &Path) -> Auth {
    let username = source(
        Some(&Secret(auth.username.clone())),
        auth.username_file.as_ref(),
        auth.username_ref.as_ref(),
        base_dir,
    );
    let password = source(
        auth.password.as_ref(),
        auth.password_file.as_ref(),
        auth.password_ref.as_ref(),
        base_dir,
    );
    Auth::Basic {
        username: username.unwrap_or_default(),
        password: password.unwrap_or_default(),
    }
}

impl OAuth2Config {
    fn resolve(&self, base_dir: &Path) -> Checked<OAuth2Settings> {
        Ok(OAuth2Settings {
            client_id: self.client_id.clone(),
            grant: self.grant(base_dir),
            scopes: self.scopes.clone(),
            token_url: self.token_url.clone(),
            endpoint_params: self.endpoint_params.clone(),
            tls: self.tls_config.resolve(base_dir)?,
            proxy: self.proxy.resolve()?,
        })
    }

    fn grant(&self, base_dir: &Path) -> Grant {
        if self.grant_type.as_deref() != Some(GRANT_JWT_BEARER) {
            let secret = source(
                self.client_secret.as_ref(),
                self.client_secret_file.as_ref(),
                self.client_secret_ref.as_ref(),
                base_dir,
            );
            return Grant::ClientCredentials {
                secret: secret.unwrap_or_default(),
            };
        }
        let key = source(
            self.client_certificate_key.as_ref(),
            self.client_certificate_key_file.as_ref(),
            self.client_certificate_key_ref.as_ref(),
            base_dir,
        );
        let or =
            |own: &Option<String>, default: &String| text(own.as_ref()).unwrap_or(default).clone();
        Grant::JwtBearer {
            key: key.unwrap_or_default(),
            key_id: text(self.client_certificate_key_id.as_ref()).cloned(),
            algorithm: match self.signature_algorithm.as_deref() {
                Some("RS384") => SignatureAlgorithm::Rs384,
                Some("RS512") => SignatureAlgorithm::Rs512,
                _ => SignatureAlgorithm::Rs256,
            },
            issuer: or(&self.iss, &self.client_id),
            audience: or(&self.audience, &self.token_url),
            claims: self.claims.clone(),
        }
    }
}

impl TlsConfig {
    /// Checks the keys. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// Those of [`Self::check`], then what no connection can be made with, see [`HttpConfigError::is_late`].
    pub fn resolve(&self, base_dir: &Path) -> Result<TlsSettings, HttpConfigError> {
        self.check()?;
        let inline = |text: &Option<String>| text.clone().map(Secret);
        let (ca_ref, cert_ref) = (self.ca_ref.as_ref(), self.cert_ref.as_ref());
        let ca = inline(&self.ca);
        let ca = source(ca.as_ref(), self.ca_file.as_ref(), ca_ref, base_dir);
        let cert = inline(&self.cert);
        let cert = source(cert.as_ref(), self.cert_file.as_ref(), cert_ref, base_dir);
        let key_ref = self.key_ref.as_ref();
        let key = source(self.key.as_ref(), self.key_file.as_ref(), key_ref, base_dir);
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && max < min
        {
            return Err(HttpConfigError::TlsVersions);
        }
        if let Some(max) = self.max_version.filter(|max| *max < TlsVersion::Tls12) {
            return Err(HttpConfigError::OldTls(max.as_str()));
        }
        let server_name = text(self.server_name.as_ref()).cloned();
        if let Some(name) = &server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(HttpConfigError::ServerName(name.clone()));
        }
        Ok(TlsSettings {
            ca,
            identity: cert.zip(key),
            server_name,
            insecure_skip_verify: self.insecure_skip_verify,
            min_version: self.min_version,
            max_version: self.max_version,
        })
    }
}

impl ProxyConfig {
    fn resolve(&self) -> Checked<ProxySettings> {
        let url = self.proxy_url.as_ref().filter(|url| !url.0.is_empty());
        let connect_headers = self.connect_headers()?;
        Ok(match url {
            Some(url) => ProxySettings::Url {
                url: checked(url)?,
                no_proxy: self.no_proxy.clone(),
                connect_headers,
            },
            None if self.proxy_from_environment => ProxySettings::Environment { connect_headers },
            None => ProxySettings::Direct,
        })
    }

    fn connect_headers(&self) -> Checked<Vec<(HeaderName, Secret)>> {
        let mut headers = Vec::new();
        for (name, values) in &self.proxy_connect_header {
            let wrong = || HttpConfigError::HeaderName(name.clone());
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            for value in values {
                if HeaderValue::from_str(&value.0).is_err() {
                    return Err(HttpConfigError::ConnectHeader);
                }
                headers.push((parsed.clone(), value.clone()));
            }
        }
        Ok(headers)
    }
}

/// A URL without a scheme is that of an HTTP proxy.
fn checked(url: &ProxyUrl) -> Checked<ProxyUrl> {
    match crate::proxy::parse_url(&url.0) {
        Ok(_) => Ok(url.clone()),
        Err(reason) => Err(HttpConfigError::Proxy {
            url: url.without_user(),
            reason,
        }),
    }
}
