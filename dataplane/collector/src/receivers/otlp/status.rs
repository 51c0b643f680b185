//! Pipeline errors as gRPC and HTTP statuses (OTLP specification, "Failures").

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use prost::Message as _;
use tonic::{Code, Status};

use super::Refusal;
use crate::pipeline::ConsumeError;
use crate::rpc_status::RpcStatus;

/// Code, message and waiting time of a refusal.
pub(super) fn parts(refusal: &Refusal) -> (Code, String, Option<Duration>) {
    match refusal {
        Refusal::Malformed(message) => (Code::InvalidArgument, message.clone(), None),
        Refusal::NoPipeline => (
            Code::Unimplemented,
            "no pipeline of this collector takes this signal".to_owned(),
            None,
        ),
        Refusal::Pipeline(error) => match error {
            ConsumeError::Retryable {
                message,
                retry_after,
            } => (Code::Unavailable, message.clone(), *retry_after),
            ConsumeError::Permanent { message } => (Code::Internal, message.clone(), None),
            ConsumeError::Status {
                code,
                message,
                retry_after,
            } => (*code, message.clone(), *retry_after),
        },
    }
}

/// The gRPC answer.
pub(super) fn grpc(refusal: &Refusal) -> Status {
    let (code, message, retry_after) = parts(refusal);
    let Some(delay) = retry_after else {
        return Status::new(code, message);
    };
    let status = RpcStatus::with_retry(code as i32, &message, delay);
    Status::with_details(code, message, Bytes::from(status.encode_to_vec()))
}

/// The HTTP status for a gRPC code, as the official receiver maps it.
pub(super) fn http_status(refusal: &Refusal) -> StatusCode {
    let (code, _, _) = parts(refusal);
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => StatusCode::SERVICE_UNAVAILABLE,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unimplemented => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
