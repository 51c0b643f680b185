//! Pipeline errors as gRPC and HTTP statuses (OTLP specification, "Failures").

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use super::Refusal;
use crate::pipeline::ConsumeError;

/// `google.rpc.Status`: the body of an OTLP/HTTP error and of gRPC's detailed errors.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<AnyDetail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyDetail {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo` with its `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

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
    let info = RetryInfo {
        retry_delay: Some(ProtoDuration {
            seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(delay.subsec_nanos()).unwrap_or(0),
        }),
    };
    let status = RpcStatus {
        code: code as i32,
        message: message.clone(),
        details: vec![AnyDetail {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    };
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
