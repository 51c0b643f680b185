//! A batch: one OTLP export request, kept as bytes for as long as nobody has to look inside.

use std::sync::{Arc, OnceLock};

use bellwether_otlp::{DecodeError, Signal, raw};
use bytes::{Bytes, BytesMut};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// A batch of one signal. Cloning shares it; a component that changes data makes a new batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    signal: Signal,
    items: usize,
    bytes: Bytes,
    decoded: Arc<OnceLock<Decoded>>,
}

/// The generated form of a request.
#[derive(Debug, Clone)]
pub(crate) enum Decoded {
    Metrics(ExportMetricsServiceRequest),
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Batch {
    /// Checks an export request and counts its items.
    pub(crate) fn from_protobuf(signal: Signal, bytes: Bytes) -> Result<Self, DecodeError> {
        let items = signal.validate(&bytes)?;
        Ok(Self::validated(signal, bytes, items))
    }

    /// A batch of bytes that were checked before.
    pub(crate) fn validated(signal: Signal, bytes: Bytes, items: usize) -> Self {
        Self {
            signal,
            items,
            bytes,
            decoded: Arc::default(),
        }
    }

    /// A batch of changed data.
    pub(crate) fn from_decoded(decoded: &Decoded) -> Self {
        let (signal, bytes) = match decoded {
            Decoded::Metrics(request) => (Signal::Metrics, request.encode_to_vec()),
            Decoded::Traces(request) => (Signal::Traces, request.encode_to_vec()),
            Decoded::Logs(request) => (Signal::Logs, request.encode_to_vec()),
        };
        let items = signal.validate(&bytes).unwrap_or(0);
        Self::validated(signal, bytes.into(), items)
    }

    /// One batch of several of a signal: requests join by concatenating their bytes.
    pub(crate) fn join(signal: Signal, mut parts: Vec<Bytes>, items: usize) -> Self {
        let bytes = match parts.len() {
            1 => parts.remove(0),
            _ => {
                let length = parts.iter().map(Bytes::len).sum();
                let mut joined = BytesMut::with_capacity(length);
                parts.iter().for_each(|part| joined.extend_from_slice(part));
                joined.freeze()
            }
        };
        Self::validated(signal, bytes, items)
    }

    /// Parts of at most this many items, in order; 0 cuts nothing.
    pub(crate) fn split(self, items_max: usize) -> Vec<Self> {
        if items_max == 0 || self.items <= items_max {
            return vec![self];
        }
        match raw::split(self.signal, &self.bytes, items_max) {
            Ok(parts) => parts
                .into_iter()
                .map(|(bytes, items)| Self::validated(self.signal, bytes.into(), items))
                .collect(),
            // Batches hold valid requests, and valid requests join to a valid one.
            Err(_) => vec![self],
        }
    }

    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    /// Data points, spans or log records.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// The export request in protobuf.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The generated form, decoded on first use and shared by all clones.
    pub(crate) fn decoded(&self) -> &Decoded {
        self.decoded.get_or_init(|| {
            // The bytes were validated, and the validator's verdict is prost's (property test in
            // bellwether-otlp): a failure here cannot happen and reads as an empty request.
            let bytes = self.bytes.clone();
            match self.signal {
                Signal::Metrics => {
                    Decoded::Metrics(ExportMetricsServiceRequest::decode(bytes).unwrap_or_default())
                }
                Signal::Traces => {
                    Decoded::Traces(ExportTraceServiceRequest::decode(bytes).unwrap_or_default())
                }
                Signal::Logs => {
                    Decoded::Logs(ExportLogsServiceRequest::decode(bytes).unwrap_or_default())
                }
            }
        })
    }
}
