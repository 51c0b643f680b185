//! OTLP/gRPC: the `Export` methods of the three services.
//!
//! The services are written on raw bytes rather than on generated messages: the pipeline wants the
//! request as it came. Framing, compression and limits are tonic's.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bellwether_otlp::Signal;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tonic::codec::CompressionEncoding;
use tonic::server::UnaryService;
use tonic::{Code, Status};
use tower::Service;

use super::Intake;
use super::status;
use crate::grpc_codec::BytesCodec;

/// Routes of the three services; other methods answer UNIMPLEMENTED.
pub(super) fn router(intake: &Arc<Intake>, message_bytes_max: usize) -> Router {
    let mut router = Router::new();
    for signal in Signal::ALL {
        let service = ExportService {
            intake: Arc::clone(intake),
            signal,
            message_bytes_max,
        };
        router = router.route_service(signal.grpc_path(), service);
    }
    router.fallback(|| async {
        Status::unimplemented("unknown service or method").into_http::<Body>()
    })
}

/// One method.
#[derive(Clone)]
struct ExportService {
    intake: Arc<Intake>,
    signal: Signal,
    message_bytes_max: usize,
}

impl Service<Request> for ExportService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let called = Arc::new(AtomicBool::new(false));
        let method = Export {
            intake: Arc::clone(&self.intake),
            signal: self.signal,
            called: Arc::clone(&called),
        };
        let limit = self.message_bytes_max;
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(BytesCodec)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(limit);
            let response = grpc.unary(method, request).await.map(Body::new);
            let is_code = |code: Code| {
                response
                    .headers()
                    .get("grpc-status")
                    .is_some_and(|v| v.as_bytes() == (code as i32).to_string().as_bytes())
            };
            if !called.load(Ordering::Relaxed) && is_code(Code::OutOfRange) {
                // tonic says OUT_OF_RANGE for a message over the limit, which clients retry;
                // OTLP wants a status that they do not.
                let status = Status::resource_exhausted(format!(
                    "the message is larger than max_recv_msg_size_mib allows ({limit} bytes)"
                ));
                return Ok(status.into_http::<Body>().into_response());
            }
            Ok(response)
        })
    }
}

/// The handler behind the codec.
struct Export {
    intake: Arc<Intake>,
    signal: Signal,
    called: Arc<AtomicBool>,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        self.called.store(true, Ordering::Relaxed);
        let (intake, signal) = (Arc::clone(&self.intake), self.signal);
        Box::pin(async move {
            match intake.take(signal, request.into_inner()).await {
                // An export response without partial success is the empty message.
                Ok(()) => Ok(tonic::Response::new(Bytes::new())),
                Err(refusal) => Err(status::grpc(&refusal)),
            }
        })
    }
}
