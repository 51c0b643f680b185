//! `google.rpc.Status` with its RetryInfo detail: the error form of OTLP.

use std::time::Duration;

use prost::Message;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<AnyDetail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyDetail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

const RETRY_INFO: &str = "google.rpc.RetryInfo";

impl RpcStatus {
    /// A status that says how long to wait.
    pub(crate) fn with_retry(code: i32, message: &str, delay: Duration) -> Self {
        let info = RetryInfo {
            retry_delay: Some(ProtoDuration {
                seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(delay.subsec_nanos()).unwrap_or(0),
            }),
        };
        Self {
            code,
            message: message.to_owned(),
            details: vec![AnyDetail {
                type_url: format!("type.googleapis.com/{RETRY_INFO}"),
                value: info.encode_to_vec(),
            }],
        }
    }

    /// The waiting time of a RetryInfo detail.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        let detail = self
            .details
            .iter()
            .find(|d| d.type_url.ends_with(RETRY_INFO))?;
        let delay = RetryInfo::decode(detail.value.as_slice())
            .ok()?
            .retry_delay?;
        let seconds = u64::try_from(delay.seconds).ok()?;
        Some(Duration::new(
            seconds,
            u32::try_from(delay.nanos).unwrap_or(0),
        ))
    }
}
