//! From keys to settings: the checks of prometheus/common's `Validate`, in its order and words.

use std::path::Path;

use bellwether_yaml::Secret;
use http::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;

use super::headers::{canonical, is_reserved};
use super::{
    BasicAuth, GRANT_JWT_BEARER, HttpClientConfig, HttpConfigError, OAuth2Config, ProxyConfig,
    ProxyUrl, TlsConfig, TlsVersion,
};
use crate::settings::{
    Auth, ClientSettings, Grant, OAuth2Settings, ProxySettings, SecretSource, SignatureAlgorithm,
    TlsSettings,
};

type Checked<T> = Result<T, HttpConfigError>;

fn refuse<T>(text: &'static str) -> Checked<T> {
    Err(HttpConfigError::Keys(text))
}

/// An empty text counts as none.
fn text(value: Option<&String>) -> Option<&String> {
    value.filter(|text| !text.is_empty())
}

fn secret(value: Option<&Secret>) -> Option<&Secret> {
    value.filter(|secret| !secret.is_empty())
}

/// A value in place or in a file; both at once are refused with `both`.
fn source(
    inline: Option<&Secret>,
    file: Option<&String>,
    base_dir: &Path,
    both: &'static str,
) -> Checked<Option<SecretSource>> {
    match (secret(inline), text(file)) {
        (Some(_), Some(_)) => refuse(both),
        (Some(secret), None) => Ok(Some(SecretSource::Inline(secret.clone()))),
        (None, Some(file)) => Ok(Some(SecretSource::File(base_dir.join(file)))),
        (None, None) => Ok(None),
    }
}

impl HttpClientConfig {
    /// Checks the keys and fills in the defaults. Relative paths start at `base_dir`, the directory of the
    /// configuration file. Nothing is read yet.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words.
    pub fn resolve(&self, base_dir: &Path) -> Result<ClientSettings, HttpConfigError> {
        let auth = self.auth(base_dir)?;
        Ok(ClientSettings {
            auth,
            tls: self.tls_config.resolve(base_dir)?,
            proxy: self.proxy.resolve()?,
            headers: self.headers(base_dir)?,
            follow_redirects: self.follow_redirects,
            enable_http2: self.enable_http2,
            addresses_in_turn: false,
        })
    }

    fn auth(&self, base_dir: &Path) -> Checked<Auth> {
        let bearer = source(
            self.bearer_token.as_ref(),
            self.bearer_token_file.as_ref(),
            base_dir,
            "at most one of bearer_token & bearer_token_file must be configured",
        )?;
        let others = self.basic_auth.is_some() || self.oauth2.is_some();
        if others && bearer.is_some() {
            return refuse(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            );
        }
        let basic = self.basic_auth.as_ref().map(|auth| basic(auth, base_dir));
        let basic = basic.transpose()?;
        if let Some(auth) = &self.authorization {
            if bearer.is_some() {
                return refuse(
                    "authorization is not compatible with bearer_token & bearer_token_file",
                );
            }
            let credentials = source(
                auth.credentials.as_ref(),
                auth.credentials_file.as_ref(),
                base_dir,
                "at most one of authorization credentials & credentials_file must be configured",
            )?;
            let scheme = match auth.scheme.trim() {
                "" => "Bearer",
                scheme if scheme.eq_ignore_ascii_case("basic") => {
                    return refuse(
                        r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
                    );
                }
                scheme => scheme,
            };
            if others {
                return refuse(
                    "at most one of basic_auth, oauth2 & authorization must be configured",
                );
            }
            return Ok(Auth::Header {
                scheme: scheme.to_owned(),
                credentials: credentials.unwrap_or_default(),
            });
        }
        if let Some(oauth2) = &self.oauth2 {
            if basic.is_some() {
                return refuse(
                    "at most one of basic_auth, oauth2 & authorization must be configured",
                );
            }
            return oauth2.resolve(base_dir).map(Box::new).map(Auth::OAuth2);
        }
        let scheme = "Bearer".to_owned();
        let bearer = bearer.map(|credentials| Auth::Header {
            scheme,
            credentials,
        });
        Ok(basic.or(bearer).unwrap_or_default())
    }

    fn headers(&self, base_dir: &Path) -> Checked<Vec<(HeaderName, SecretSource)>> {
        let mut headers = Vec::new();
        for (name, header) in &self.http_headers {
            if is_reserved(name) {
                return Err(HttpConfigError::ReservedHeader(canonical(name)));
            }
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

fn basic(auth: &BasicAuth, base_dir: &Path) -> Checked<Auth> {
    let username = source(
        Some(&Secret(auth.username.clone())),
        auth.username_file.as_ref(),
        base_dir,
        "at most one of basic_auth username, username_file & username_ref must be configured",
    )?;
    let password = source(
        auth.password.as_ref(),
        auth.password_file.as_ref(),
        base_dir,
        "at most one of basic_auth password, password_file & password_ref must be configured",
    )?;
    Ok(Auth::Basic {
        username: username.unwrap_or_default(),
        password: password.unwrap_or_default(),
    })
}

impl OAuth2Config {
    fn resolve(&self, base_dir: &Path) -> Checked<OAuth2Settings> {
        if self.client_id.is_empty() {
            return refuse("oauth2 client_id must be configured");
        }
        if self.token_url.is_empty() {
            return refuse("oauth2 token_url must be configured");
        }
        Ok(OAuth2Settings {
            client_id: self.client_id.clone(),
            grant: self.grant(base_dir)?,
            scopes: self.scopes.clone(),
            token_url: self.token_url.clone(),
            endpoint_params: self.endpoint_params.clone(),
            tls: self.tls_config.resolve(base_dir)?,
            proxy: self.proxy.resolve()?,
        })
    }

    /// Any grant but the one of RFC 7523 is that of client credentials, as in Prometheus.
    fn grant(&self, base_dir: &Path) -> Checked<Grant> {
        if self.grant_type.as_deref() != Some(GRANT_JWT_BEARER) {
            let secret = source(
                self.client_secret.as_ref(),
                self.client_secret_file.as_ref(),
                base_dir,
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials",
            )?;
            return Ok(Grant::ClientCredentials {
                secret: secret.unwrap_or_default(),
            });
        }
        let key = source(
            self.client_certificate_key.as_ref(),
            self.client_certificate_key_file.as_ref(),
            base_dir,
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
        )?;
        let algorithm = match self.signature_algorithm.as_deref().unwrap_or_default() {
            "" | "RS256" => SignatureAlgorithm::Rs256,
            "RS384" => SignatureAlgorithm::Rs384,
            "RS512" => SignatureAlgorithm::Rs512,
            _ => return refuse("valid signature algorithms are RS256, RS384 and RS512"),
        };
        let or =
            |own: &Option<String>, default: &String| text(own.as_ref()).unwrap_or(default).clone();
        Ok(Grant::JwtBearer {
            key: key.unwrap_or_default(),
            key_id: text(self.client_certificate_key_id.as_ref()).cloned(),
            algorithm,
            issuer: or(&self.iss, &self.client_id),
            audience: or(&self.audience, &self.token_url),
            claims: self.claims.clone(),
        })
    }
}

impl TlsConfig {
    /// Checks the keys. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words.
    pub fn resolve(&self, base_dir: &Path) -> Result<TlsSettings, HttpConfigError> {
        let inline = |text: &Option<String>| text.clone().map(Secret);
        let ca = source(
            inline(&self.ca).as_ref(),
            self.ca_file.as_ref(),
            base_dir,
            "at most one of ca, ca_file & ca_ref must be configured",
        )?;
        let cert = source(
            inline(&self.cert).as_ref(),
            self.cert_file.as_ref(),
            base_dir,
            "at most one of cert, cert_file & cert_ref must be configured",
        )?;
        let key = source(
            self.key.as_ref(),
            self.key_file.as_ref(),
            base_dir,
            "at most one of key and key_file must be configured",
        )?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                return refuse(
                    "exactly one of key or key_file must be configured when a client certificate is configured",
                );
            }
            (None, Some(_)) => {
                return refuse(
                    "exactly one of cert or cert_file must be configured when a client key is configured",
                );
            }
        };
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && max < min
        {
            return refuse(
                "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
            );
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
            identity,
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
        if !self.proxy_connect_header.is_empty() && !self.proxy_from_environment && url.is_none() {
            return refuse(
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
            );
        }
        if self.proxy_from_environment && url.is_some() {
            return refuse(
                "if proxy_from_environment is configured, proxy_url must not be configured",
            );
        }
        if self.proxy_from_environment && !self.no_proxy.is_empty() {
            return refuse(
                "if proxy_from_environment is configured, no_proxy must not be configured",
            );
        }
        if self.proxy_url.is_none() && !self.no_proxy.is_empty() {
            return refuse("if no_proxy is configured, proxy_url must also be configured");
        }
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
                    return refuse(
                        "a value in proxy_connect_header holds a character that no HTTP header may hold",
                    );
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
        Err(reason) => Err(HttpConfigError::Url {
            key: "proxy_url",
            // What cannot be parsed may hold a password somewhere.
            url: match url.0.rsplit_once('@') {
                Some((_, host)) => host.to_owned(),
                None => url.0.clone(),
            },
            reason,
        }),
    }
}
