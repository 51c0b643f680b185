//! The checks of prometheus/common's `Validate`, in its order and words.
//!
//! What passes here is a configuration that Prometheus takes. Some of those cannot make requests; that is found when
//! the keys become settings.

use bellwether_yaml::Secret;

use super::headers::{canonical, is_reserved};
use super::{
    GRANT_JWT_BEARER, HttpClientConfig, HttpConfigError, OAuth2Config, ProxyConfig, TlsConfig,
};

type Checked = Result<(), HttpConfigError>;

/// Whether a text is there; an empty one is not.
fn has(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn has_secret(secret: Option<&Secret>) -> bool {
    secret.is_some_and(|secret| !secret.is_empty())
}

fn at_most_one<const N: usize>(are_set: [bool; N], text: &'static str) -> Checked {
    refuse_if(
        are_set.into_iter().filter(|is_set| *is_set).count() > 1,
        text,
    )
}

fn refuse_if(is_wrong: bool, text: &'static str) -> Checked {
    if is_wrong {
        Err(HttpConfigError::Keys(text))
    } else {
        Ok(())
    }
}

impl HttpClientConfig {
    /// Checks the keys as Prometheus does.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words.
    pub fn check(&self) -> Result<(), HttpConfigError> {
        // These sections are checked while they are read there.
        if let Some(oauth2) = &self.oauth2 {
            oauth2.tls_config.check()?;
            oauth2.proxy.check()?;
        }
        self.tls_config.check()?;
        self.proxy.check_url()?;
        let has_bearer = self.check_bearer()?;
        self.check_basic()?;
        self.check_authorization(has_bearer)?;
        if let Some(oauth2) = &self.oauth2 {
            refuse_if(
                self.basic_auth.is_some(),
                "at most one of basic_auth, oauth2 & authorization must be configured",
            )?;
            oauth2.check()?;
        }
        self.proxy.check()?;
        match self.http_headers.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(HttpConfigError::ReservedHeader(canonical(name))),
            None => Ok(()),
        }
    }

    /// Whether a bearer token is set.
    fn check_bearer(&self) -> Result<bool, HttpConfigError> {
        let token = has_secret(self.bearer_token.as_ref());
        let file = has(self.bearer_token_file.as_ref());
        at_most_one(
            [token, file],
            "at most one of bearer_token & bearer_token_file must be configured",
        )?;
        let has_bearer = token || file;
        refuse_if(
            has_bearer && (self.basic_auth.is_some() || self.oauth2.is_some()),
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        )?;
        Ok(has_bearer)
    }

    fn check_basic(&self) -> Checked {
        let Some(auth) = &self.basic_auth else {
            return Ok(());
        };
        at_most_one(
            [
                !auth.username.is_empty(),
                has(auth.username_file.as_ref()),
                has(auth.username_ref.as_ref()),
            ],
            "at most one of basic_auth username, username_file & username_ref must be configured",
        )?;
        at_most_one(
            [
                has_secret(auth.password.as_ref()),
                has(auth.password_file.as_ref()),
                has(auth.password_ref.as_ref()),
            ],
            "at most one of basic_auth password, password_file & password_ref must be configured",
        )
    }

    fn check_authorization(&self, has_bearer: bool) -> Checked {
        let Some(auth) = &self.authorization else {
            return Ok(());
        };
        refuse_if(
            has_bearer,
            "authorization is not compatible with bearer_token & bearer_token_file",
        )?;
        at_most_one(
            [
                has_secret(auth.credentials.as_ref()),
                has(auth.credentials_file.as_ref()),
                has(auth.credentials_ref.as_ref()),
            ],
            "at most one of authorization credentials & credentials_file must be configured",
        )?;
        refuse_if(
            auth.scheme.trim().eq_ignore_ascii_case("basic"),
            r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
        )?;
        refuse_if(
            self.basic_auth.is_some() || self.oauth2.is_some(),
            "at most one of basic_auth, oauth2 & authorization must be configured",
        )
    }
}

impl OAuth2Config {
    fn check(&self) -> Checked {
        refuse_if(
            self.client_id.is_empty(),
            "oauth2 client_id must be configured",
        )?;
        refuse_if(
            self.token_url.is_empty(),
            "oauth2 token_url must be configured",
        )?;
        // Any grant but the one of RFC 7523 is that of client credentials.
        if self.grant_type.as_deref() != Some(GRANT_JWT_BEARER) {
            return at_most_one(
                [
                    has_secret(self.client_secret.as_ref()),
                    has(self.client_secret_file.as_ref()),
                    has(self.client_secret_ref.as_ref()),
                ],
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials",
            );
        }
        at_most_one(
            [
                has_secret(self.client_certificate_key.as_ref()),
                has(self.client_certificate_key_file.as_ref()),
                has(self.client_certificate_key_ref.as_ref()),
            ],
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
        )?;
        let algorithm = self.signature_algorithm.as_deref().unwrap_or_default();
        refuse_if(
            !matches!(algorithm, "" | "RS256" | "RS384" | "RS512"),
            "valid signature algorithms are RS256, RS384 and RS512",
        )
    }
}

impl TlsConfig {
    /// Checks the keys as Prometheus does.
    ///
    /// # Errors
    /// The first thing that is wrong, in Prometheus' words.
    pub fn check(&self) -> Result<(), HttpConfigError> {
        at_most_one(
            [
                has(self.ca.as_ref()),
                has(self.ca_file.as_ref()),
                has(self.ca_ref.as_ref()),
            ],
            "at most one of ca, ca_file & ca_ref must be configured",
        )?;
        let certs = [
            has(self.cert.as_ref()),
            has(self.cert_file.as_ref()),
            has(self.cert_ref.as_ref()),
        ];
        at_most_one(
            certs,
            "at most one of cert, cert_file & cert_ref must be configured",
        )?;
        let keys = [
            has_secret(self.key.as_ref()),
            has(self.key_file.as_ref()),
            has(self.key_ref.as_ref()),
        ];
        at_most_one(keys, "at most one of key and key_file must be configured")?;
        match (certs.contains(&true), keys.contains(&true)) {
            (true, false) => Err(HttpConfigError::Keys(
                "exactly one of key or key_file must be configured when a client certificate is configured",
            )),
            (false, true) => Err(HttpConfigError::Keys(
                "exactly one of cert or cert_file must be configured when a client key is configured",
            )),
            _ => Ok(()),
        }
    }
}

impl ProxyConfig {
    fn check(&self) -> Checked {
        self.check_url()?;
        let has_url = self.proxy_url.as_ref().is_some_and(|url| !url.0.is_empty());
        refuse_if(
            !self.proxy_connect_header.is_empty() && !self.proxy_from_environment && !has_url,
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        )?;
        refuse_if(
            self.proxy_from_environment && has_url,
            "if proxy_from_environment is configured, proxy_url must not be configured",
        )?;
        refuse_if(
            self.proxy_from_environment && !self.no_proxy.is_empty(),
            "if proxy_from_environment is configured, no_proxy must not be configured",
        )?;
        refuse_if(
            self.proxy_url.is_none() && !self.no_proxy.is_empty(),
            "if no_proxy is configured, proxy_url must also be configured",
        )
    }

    fn check_url(&self) -> Checked {
        let Some(url) = &self.proxy_url else {
            return Ok(());
        };
        let checked = crate::url::reason(&url.0).map(drop);
        checked.map_err(|reason| HttpConfigError::Url {
            key: "proxy_url",
            url: url.without_user(),
            reason,
        })
    }
}
