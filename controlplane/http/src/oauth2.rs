//! Tokens of an OAuth 2.0 server: asked for when needed, kept until shortly before they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use url::form_urlencoded;

use crate::client::{Client, basic};
use crate::error::{ClientError, SecretError, root_cause};
use crate::jwt;
use crate::secret::header_value;
use crate::settings::{Grant, OAuth2Settings};

/// A token that ends so soon is not used any more, as by Go's library.
const EARLY: Duration = Duration::from_secs(10);
/// A token server's answer is read up to here, as by Go's library.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The client's secret.
    #[error("unable to read oauth2 client secret: {0}")]
    Secret(#[from] SecretError),
    /// The signing key.
    #[error("oauth2: cannot sign the assertion: {0}")]
    Sign(String),
    /// A key of `endpoint_params` that the protocol itself sets.
    #[error("oauth2: cannot overwrite parameter {0:?}")]
    Parameter(String),
    /// The server was not reached.
    #[error("oauth2: cannot fetch token: {0}")]
    Request(#[from] Box<ClientError>),
    /// The server's answer broke off, or is none.
    #[error("oauth2: cannot fetch token: {0}")]
    Answer(String),
    /// The server said no, and why.
    #[error("oauth2: {code:?}{description}")]
    Refused {
        /// The protocol's code.
        code: String,
        /// More, in quotes.
        description: String,
    },
    /// The server said no.
    #[error("oauth2: cannot fetch token: {status}\nResponse: {body}")]
    Status {
        /// The status.
        status: StatusCode,
        /// What came with it.
        body: String,
    },
    /// An answer without a token.
    #[error("oauth2: server response missing access_token")]
    NoToken,
}

/// Where the client's name and secret stand in a request. Servers differ, and Go's library finds out by trying.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Header,
    Parameters,
}

pub(crate) struct TokenSource {
    settings: OAuth2Settings,
    client: Client,
    /// Held while a token is fetched: one request for all that wait.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The secret that the token was had with.
    secret: String,
    token: Option<Token>,
    style: Option<Style>,
}

struct Token {
    authorization: HeaderValue,
    /// `None`: never.
    expires: Option<Instant>,
}

impl Token {
    fn is_good(&self) -> bool {
        self.expires
            .is_none_or(|expires| Instant::now() + EARLY < expires)
    }
}

impl TokenSource {
    /// `client` reaches the token server.
    pub(crate) fn new(settings: OAuth2Settings, client: Client) -> Self {
        Self {
            settings,
            client,
            state: tokio::sync::Mutex::default(),
        }
    }

    /// The `Authorization` header: of the kept token, or of a new one.
    pub(crate) async fn authorization(&self) -> Result<HeaderValue, TokenError> {
        let source = match &self.settings.grant {
            Grant::ClientCredentials { secret } => secret,
            Grant::JwtBearer { key, .. } => key,
        };
        let secret = source.read("oauth2 client secret").await?;
        let mut state = self.state.lock().await;
        if state.secret == secret
            && let Some(token) = state.token.as_ref().filter(|token| token.is_good())
        {
            return Ok(token.authorization.clone());
        }
        state.token = None;
        state.secret.clone_from(&secret);
        let token = match &self.settings.grant {
            Grant::ClientCredentials { .. } => self.by_secret(&mut state).await?,
            Grant::JwtBearer { .. } => self.by_assertion(&secret).await?,
        };
        let authorization = token.authorization.clone();
        state.token = Some(token);
        Ok(authorization)
    }

    async fn by_secret(&self, state: &mut State) -> Result<Token, TokenError> {
        let secret = state.secret.clone();
        if let Some(style) = state.style {
            return self.ask_with(&secret, style).await;
        }
        let (token, style) = match self.ask_with(&secret, Style::Header).await {
            Ok(token) => (token, Style::Header),
            Err(TokenError::Parameter(name)) => return Err(TokenError::Parameter(name)),
            Err(_) => {
                let style = Style::Parameters;
                (self.ask_with(&secret, style).await?, style)
            }
        };
        state.style = Some(style);
        Ok(token)
    }

    async fn ask_with(&self, secret: &str, style: Style) -> Result<Token, TokenError> {
        let mut form = self.form("client_credentials");
        self.add_parameters(&mut form)?;
        let mut authorization = None;
        let id = &self.settings.client_id;
        match style {
            Style::Header => {
                let escape = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                authorization = Some(basic(&escape(id), &escape(secret))?);
            }
            Style::Parameters => {
                form.insert("client_id".to_owned(), id.clone());
                if !secret.is_empty() {
                    form.insert("client_secret".to_owned(), secret.to_owned());
                }
            }
        }
        self.ask(&form, authorization).await
    }

    async fn by_assertion(&self, key: &str) -> Result<Token, TokenError> {
        let mut form = self.form(crate::config::GRANT_JWT_BEARER);
        let assertion = jwt::assertion(&self.settings, key).map_err(TokenError::Sign)?;
        form.insert("assertion".to_owned(), assertion);
        self.add_parameters(&mut form)?;
        self.ask(&form, None).await
    }

    fn form(&self, grant: &str) -> BTreeMap<String, String> {
        let mut form = BTreeMap::from([("grant_type".to_owned(), grant.to_owned())]);
        if !self.settings.scopes.is_empty() {
            form.insert("scope".to_owned(), self.settings.scopes.join(" "));
        }
        form
    }

    /// Only the grant may be overwritten: some servers want another name for it.
    fn add_parameters(&self, form: &mut BTreeMap<String, String>) -> Result<(), TokenError> {
        for (name, value) in &self.settings.endpoint_params {
            if form.contains_key(name) && name != "grant_type" {
                return Err(TokenError::Parameter(name.clone()));
            }
            form.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    fn request(
        &self,
        form: &BTreeMap<String, String>,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Bytes>, TokenError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = Request::post(&self.settings.token_url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Bytes::from(body.finish()))
            .map_err(|e| TokenError::Answer(format!("{:?}: {e}", self.settings.token_url)))?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    async fn ask(
        &self,
        form: &BTreeMap<String, String>,
        authorization: Option<HeaderValue>,
    ) -> Result<Token, TokenError> {
        let request = self.request(form, authorization)?;
        let answer = self.client.send(request).await.map_err(Box::new)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|e| TokenError::Answer(root_cause(&*e)))?;
        let media = parts.headers.get(CONTENT_TYPE).map(|v| v.as_bytes());
        token(parts.status, media.unwrap_or_default(), &body.to_bytes())
    }
}

/// Reads a token server's answer: JSON, or a form where it says so.
fn token(status: StatusCode, media: &[u8], body: &[u8]) -> Result<Token, TokenError> {
    let is =
        |name: &[u8]| media.len() >= name.len() && media[..name.len()].eq_ignore_ascii_case(name);
    let fields = if is(b"application/x-www-form-urlencoded") || is(b"text/plain") {
        let pairs = form_urlencoded::parse(body).into_owned();
        Ok(pairs
            .map(|(name, value)| (name, Value::String(value)))
            .collect())
    } else {
        serde_json::from_slice::<serde_json::Map<String, Value>>(body)
    };
    let failed = || TokenError::Status {
        status,
        body: String::from_utf8_lossy(body).into_owned(),
    };
    let fields = match fields {
        Ok(fields) => fields,
        Err(_) if !status.is_success() => return Err(failed()),
        Err(error) => return Err(TokenError::Answer(error.to_string())),
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    // Some servers refuse with a status of success.
    let code = text("error");
    if !code.is_empty() {
        let more = ["error_description", "error_uri"].map(text);
        let more = more.into_iter().filter(|text| !text.is_empty());
        return Err(TokenError::Refused {
            code: code.to_owned(),
            description: more.map(|text| format!(" {text:?}")).collect(),
        });
    }
    if !status.is_success() {
        return Err(failed());
    }
    let access = text("access_token");
    if access.is_empty() {
        return Err(TokenError::NoToken);
    }
    let kind = match text("token_type").to_ascii_lowercase().as_str() {
        "" | "bearer" => "Bearer".to_owned(),
        "mac" => "MAC".to_owned(),
        "basic" => "Basic".to_owned(),
        _ => text("token_type").to_owned(),
    };
    let authorization = header_value(&format!("{kind} {access}"), "the access token")?;
    let seconds = match fields.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_f64(),
        None => None,
    };
    let lives = seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(Token {
        authorization,
        expires: lives.and_then(|lives| Instant::now().checked_add(lives)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const JSON: &[u8] = b"application/json;charset=UTF-8";

    fn header(media: &[u8], body: &str) -> Result<String, String> {
        let token = token(StatusCode::OK, media, body.as_bytes()).map_err(|e| e.to_string())?;
        Ok(token.authorization.to_str().unwrap().to_owned())
    }

    #[test]
    fn answers_are_json_or_forms() {
        let json = r#"{"access_token": "t", "token_type": "bearer"}"#;
        assert_eq!(header(JSON, json).unwrap(), "Bearer t");
        let form = b"application/x-www-form-urlencoded";
        assert_eq!(
            header(form, "access_token=a%2Bb&token_type=Custom").unwrap(),
            "Custom a+b"
        );
    }

    #[test]
    fn refusals_say_why() {
        for (body, want) in [
            (
                r#"{"error": "invalid_client", "error_description": "who?"}"#,
                r#"oauth2: "invalid_client" "who?""#,
            ),
            ("{}", "oauth2: server response missing access_token"),
        ] {
            assert_eq!(header(JSON, body).unwrap_err(), want);
        }
        let error = token(StatusCode::BAD_GATEWAY, b"text/html", b"<p>").map(drop);
        assert_eq!(
            error.unwrap_err().to_string(),
            "oauth2: cannot fetch token: 502 Bad Gateway\nResponse: <p>"
        );
    }

    #[test]
    fn tokens_end_early() {
        let with = |expires: &str| {
            let body = format!(r#"{{"access_token": "t", "expires_in": {expires}}}"#);
            token(StatusCode::OK, JSON, body.as_bytes()).unwrap()
        };
        assert!(with("60").is_good());
        assert!(with("\"60\"").is_good());
        assert!(!with("9").is_good());
        assert!(with("0").is_good(), "no end given");
    }
}
