//! Prometheus' error answers.

use axum::response::{IntoResponse, Response};
use bellwether_promql::QueryError;
use http::StatusCode;

use super::json;

/// Prometheus' `errorType`, which decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    BadData,
    Execution,
    Timeout,
    Canceled,
    Internal,
    Unavailable,
}

impl ErrorType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            // nginx's "client closed request", as Prometheus answers since 2.43.
            Self::Canceled => {
                StatusCode::from_u16(499).expect("499 is in the range of status codes")
            }
            // Measured on 3.5.3: a disabled admin API answers 500, not 503.
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorType,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// Prometheus' `invalid parameter "name": ...`.
    pub(crate) fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {message}"))
    }

    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(ErrorType::Internal, error.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match &error {
            QueryError::Parse(_) | QueryError::BadData(_) => {
                return Self::parameter("query", error);
            }
            QueryError::Execution(_) | QueryError::TooManySamples => ErrorType::Execution,
            QueryError::Timeout(_) => ErrorType::Timeout,
            QueryError::Canceled(_) => ErrorType::Canceled,
            QueryError::Storage(_) => ErrorType::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.kind.status().is_server_error() && self.kind != ErrorType::Timeout {
            tracing::warn!(
                error_type = self.kind.as_str(),
                error = self.message,
                "API request failed"
            );
        }
        let mut body = String::with_capacity(64 + self.message.len());
        body.push_str(r#"{"status":"error","errorType":""#);
        body.push_str(self.kind.as_str());
        body.push_str(r#"","error":"#);
        json::push_str(&mut body, &self.message);
        body.push('}');
        (self.kind.status(), json::CONTENT_TYPE, body).into_response()
    }
}
