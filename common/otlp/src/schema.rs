//! The OTLP messages as tables (opentelemetry-proto, v1), and validation against them.
//!
//! One table serves three readers: the validator here and the two directions of [`crate::json`].
//! The metrics views know the same field numbers in code, where speed asks for it.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::wire::{WireReader, WireValue};

/// Messages nested deeper than this are refused (the limit of generated decoders).
pub const MAX_DEPTH: usize = 100;

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// Name without package.
    pub name: &'static str,
    /// Known fields.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Field number.
    pub number: u32,
    /// Name in OTLP/JSON (lowerCamelCase).
    pub json: &'static str,
    /// Type.
    pub kind: Kind,
    /// True for `repeated`.
    pub repeated: bool,
    /// True when every occurrence is one data point, span or log record.
    pub item: bool,
}

/// Type of a field.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// 64-bit float.
    Double,
    /// Eight bytes, unsigned; a decimal string in JSON.
    Fixed64,
    /// Eight bytes, signed; a decimal string in JSON.
    Sfixed64,
    /// Four bytes.
    Fixed32,
    /// Varint.
    Uint32,
    /// Varint; a decimal string in JSON.
    Uint64,
    /// Varint; a decimal string in JSON.
    Int64,
    /// Varint.
    Int32,
    /// Zigzag varint.
    Sint32,
    /// Varint 0 or 1.
    Bool,
    /// Varint; an integer in JSON.
    Enum,
    /// UTF-8.
    String,
    /// Bytes; base64 in JSON.
    Bytes,
    /// Trace or span id of this many bytes, or empty; hexadecimal in JSON.
    Id(usize),
    /// Nested message.
    Message(&'static Message),
}

impl Kind {
    /// Wire type of a single value.
    pub fn wire_type(self) -> u8 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::Fixed32 => 5,
            Self::Uint32
            | Self::Uint64
            | Self::Int64
            | Self::Int32
            | Self::Sint32
            | Self::Bool
            | Self::Enum => 0,
            Self::String | Self::Bytes | Self::Id(_) | Self::Message(_) => 2,
        }
    }
}

impl Message {
    /// The field with this number.
    #[inline]
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.number == number)
    }

    /// The field with this JSON name.
    pub fn json_field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.json == name)
    }

    /// Checks `buf` as a message of this type and counts its items.
    ///
    /// # Errors
    /// The first place where the bytes are not such a message.
    pub fn validate(&self, buf: &[u8]) -> Result<usize, DecodeError> {
        self.validate_at(buf, 0, 0)
    }

    fn validate_at(&self, buf: &[u8], base: usize, depth: usize) -> Result<usize, DecodeError> {
        let mut reader = WireReader::new(buf);
        let mut items = 0;
        let error = |field: Option<&'static str>, offset: usize, kind| DecodeError {
            message: self.name,
            field,
            offset: base + offset,
            kind,
        };
        if depth > MAX_DEPTH {
            return Err(error(None, 0, DecodeErrorKind::TooDeep));
        }
        loop {
            let start = reader.position();
            let Some(wire) = reader
                .next_field()
                .map_err(|kind| error(None, start, kind))?
            else {
                return Ok(items);
            };
            let Some(field) = self.field(wire.number) else {
                continue; // Unknown fields are ignored: newer clients may send them.
            };
            match (field.kind, wire.value) {
                (Kind::Message(message), WireValue::Bytes(body)) => {
                    let body_at = base + reader.position() - body.len();
                    items += message.validate_at(body, body_at, depth + 1)?;
                }
                (kind, value) => check_scalar(field, kind, value)
                    .map_err(|kind| error(Some(field.json), start, kind))?,
            }
            items += usize::from(field.item);
        }
    }
}

fn check_scalar(field: &Field, kind: Kind, value: WireValue<'_>) -> Result<(), DecodeErrorKind> {
    let expected = kind.wire_type();
    match (kind, value) {
        (Kind::String, WireValue::Bytes(bytes)) => std::str::from_utf8(bytes)
            .map(|_| ())
            .map_err(|_| DecodeErrorKind::InvalidUtf8),
        (Kind::Bytes, WireValue::Bytes(_)) => Ok(()),
        // An id of another length is invalid (proto/trace/v1). Taken here it would go on into a
        // batch with the data of others, and a strict destination would refuse all of it.
        (Kind::Id(length), WireValue::Bytes(id)) if id.is_empty() || id.len() == length => Ok(()),
        (Kind::Id(expected), WireValue::Bytes(id)) => Err(DecodeErrorKind::IdLength {
            found: id.len(),
            expected,
        }),
        (_, WireValue::Bytes(packed)) if field.repeated && expected != 2 => {
            check_packed(expected, packed)
        }
        (_, value) if value.wire_type() == expected => Ok(()),
        (_, value) => Err(DecodeErrorKind::UnexpectedWireType {
            found: value.wire_type(),
            expected,
        }),
    }
}

fn check_packed(wire_type: u8, packed: &[u8]) -> Result<(), DecodeErrorKind> {
    if wire_type == 1 {
        return if packed.len().is_multiple_of(8) {
            Ok(())
        } else {
            Err(DecodeErrorKind::PackedLength)
        };
    }
    let mut reader = WireReader::new(packed);
    while !reader.is_empty() {
        reader.varint()?;
    }
    Ok(())
}

const fn one(number: u32, json: &'static str, kind: Kind) -> Field {
    Field {
        number,
        json,
        kind,
        repeated: false,
        item: false,
    }
}

const fn many(number: u32, json: &'static str, kind: Kind) -> Field {
    Field {
        number,
        json,
        kind,
        repeated: true,
        item: false,
    }
}

const fn items(number: u32, json: &'static str, message: &'static Message) -> Field {
    Field {
        number,
        json,
        kind: Kind::Message(message),
        repeated: true,
        item: true,
    }
}

macro_rules! message {
    ($(#[$doc:meta])* $vis:vis $ident:ident, $name:literal, [$($field:expr),* $(,)?]) => {
        $(#[$doc])*
        $vis static $ident: Message = Message { name: $name, fields: &[$($field),*] };
    };
}

use Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Int32, Int64, Message as Msg, Sfixed64, Sint32,
    String as Str, Uint32, Uint64,
};

const TRACE_ID: Kind = Kind::Id(16);
const SPAN_ID: Kind = Kind::Id(8);

// Common.
message!(
    ANY_VALUE,
    "AnyValue",
    [
        one(1, "stringValue", Str),
        one(2, "boolValue", Bool),
        one(3, "intValue", Int64),
        one(4, "doubleValue", Double),
        one(5, "arrayValue", Msg(&ARRAY_VALUE)),
        one(6, "kvlistValue", Msg(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Bytes),
        one(8, "stringValueStrindex", Int32),
    ]
);
message!(
    ARRAY_VALUE,
    "ArrayValue",
    [many(1, "values", Msg(&ANY_VALUE))]
);
message!(
    KEY_VALUE_LIST,
    "KeyValueList",
    [many(1, "values", Msg(&KEY_VALUE))]
);
message!(
    KEY_VALUE,
    "KeyValue",
    [
        one(1, "key", Str),
        one(2, "value", Msg(&ANY_VALUE)),
        one(3, "keyStrindex", Int32),
    ]
);
message!(
    SCOPE,
    "InstrumentationScope",
    [
        one(1, "name", Str),
        one(2, "version", Str),
        many(3, "attributes", Msg(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ]
);
message!(
    ENTITY_REF,
    "EntityRef",
    [
        one(1, "schemaUrl", Str),
        one(2, "type", Str),
        many(3, "idKeys", Str),
        many(4, "descriptionKeys", Str),
    ]
);
message!(
    /// `opentelemetry.proto.resource.v1.Resource`.
    pub RESOURCE, "Resource", [
    many(1, "attributes", Msg(&KEY_VALUE)),
    one(2, "droppedAttributesCount", Uint32),
    many(3, "entityRefs", Msg(&ENTITY_REF)),
]);

// Metrics.
message!(
    /// `ExportMetricsServiceRequest`.
    pub METRICS_REQUEST, "ExportMetricsServiceRequest", [
    many(1, "resourceMetrics", Msg(&RESOURCE_METRICS)),
]);
message!(
    RESOURCE_METRICS,
    "ResourceMetrics",
    [
        one(1, "resource", Msg(&RESOURCE)),
        many(2, "scopeMetrics", Msg(&SCOPE_METRICS)),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    SCOPE_METRICS,
    "ScopeMetrics",
    [
        one(1, "scope", Msg(&SCOPE)),
        many(2, "metrics", Msg(&METRIC)),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    METRIC,
    "Metric",
    [
        one(1, "name", Str),
        one(2, "description", Str),
        one(3, "unit", Str),
        one(5, "gauge", Msg(&GAUGE)),
        one(7, "sum", Msg(&SUM)),
        one(9, "histogram", Msg(&HISTOGRAM)),
        one(10, "exponentialHistogram", Msg(&EXP_HISTOGRAM)),
        one(11, "summary", Msg(&SUMMARY)),
        many(12, "metadata", Msg(&KEY_VALUE)),
    ]
);
message!(GAUGE, "Gauge", [items(1, "dataPoints", &NUMBER_POINT)]);
message!(
    SUM,
    "Sum",
    [
        items(1, "dataPoints", &NUMBER_POINT),
        one(2, "aggregationTemporality", Enum),
        one(3, "isMonotonic", Bool),
    ]
);
message!(
    HISTOGRAM,
    "Histogram",
    [
        items(1, "dataPoints", &HISTOGRAM_POINT),
        one(2, "aggregationTemporality", Enum),
    ]
);
message!(
    EXP_HISTOGRAM,
    "ExponentialHistogram",
    [
        items(1, "dataPoints", &EXP_HISTOGRAM_POINT),
        one(2, "aggregationTemporality", Enum),
    ]
);
message!(SUMMARY, "Summary", [items(1, "dataPoints", &SUMMARY_POINT)]);
message!(
    NUMBER_POINT,
    "NumberDataPoint",
    [
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "asDouble", Double),
        many(5, "exemplars", Msg(&EXEMPLAR)),
        one(6, "asInt", Sfixed64),
        many(7, "attributes", Msg(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ]
);
message!(
    HISTOGRAM_POINT,
    "HistogramDataPoint",
    [
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "bucketCounts", Fixed64),
        many(7, "explicitBounds", Double),
        many(8, "exemplars", Msg(&EXEMPLAR)),
        many(9, "attributes", Msg(&KEY_VALUE)),
        one(10, "flags", Uint32),
        one(11, "min", Double),
        one(12, "max", Double),
    ]
);
message!(
    EXP_HISTOGRAM_POINT,
    "ExponentialHistogramDataPoint",
    [
        many(1, "attributes", Msg(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        one(6, "scale", Sint32),
        one(7, "zeroCount", Fixed64),
        one(8, "positive", Msg(&BUCKETS)),
        one(9, "negative", Msg(&BUCKETS)),
        one(10, "flags", Uint32),
        many(11, "exemplars", Msg(&EXEMPLAR)),
        one(12, "min", Double),
        one(13, "max", Double),
        one(14, "zeroThreshold", Double),
    ]
);
message!(
    BUCKETS,
    "Buckets",
    [one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)]
);
message!(
    SUMMARY_POINT,
    "SummaryDataPoint",
    [
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "quantileValues", Msg(&QUANTILE)),
        many(7, "attributes", Msg(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ]
);
message!(
    QUANTILE,
    "ValueAtQuantile",
    [one(1, "quantile", Double), one(2, "value", Double)]
);
message!(
    EXEMPLAR,
    "Exemplar",
    [
        one(2, "timeUnixNano", Fixed64),
        one(3, "asDouble", Double),
        one(4, "spanId", SPAN_ID),
        one(5, "traceId", TRACE_ID),
        one(6, "asInt", Sfixed64),
        many(7, "filteredAttributes", Msg(&KEY_VALUE)),
    ]
);
message!(
    /// `ExportMetricsServiceResponse`.
    pub METRICS_RESPONSE, "ExportMetricsServiceResponse", [
    one(1, "partialSuccess", Msg(&METRICS_PARTIAL)),
]);
message!(
    METRICS_PARTIAL,
    "ExportMetricsPartialSuccess",
    [
        one(1, "rejectedDataPoints", Int64),
        one(2, "errorMessage", Str),
    ]
);

// Traces.
message!(
    /// `ExportTraceServiceRequest`.
    pub TRACES_REQUEST, "ExportTraceServiceRequest", [
    many(1, "resourceSpans", Msg(&RESOURCE_SPANS)),
]);
message!(
    RESOURCE_SPANS,
    "ResourceSpans",
    [
        one(1, "resource", Msg(&RESOURCE)),
        many(2, "scopeSpans", Msg(&SCOPE_SPANS)),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    SCOPE_SPANS,
    "ScopeSpans",
    [
        one(1, "scope", Msg(&SCOPE)),
        items(2, "spans", &SPAN),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    SPAN,
    "Span",
    [
        one(1, "traceId", TRACE_ID),
        one(2, "spanId", SPAN_ID),
        one(3, "traceState", Str),
        one(4, "parentSpanId", SPAN_ID),
        one(5, "name", Str),
        one(6, "kind", Enum),
        one(7, "startTimeUnixNano", Fixed64),
        one(8, "endTimeUnixNano", Fixed64),
        many(9, "attributes", Msg(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Uint32),
        many(11, "events", Msg(&SPAN_EVENT)),
        one(12, "droppedEventsCount", Uint32),
        many(13, "links", Msg(&SPAN_LINK)),
        one(14, "droppedLinksCount", Uint32),
        one(15, "status", Msg(&SPAN_STATUS)),
        one(16, "flags", Fixed32),
    ]
);
message!(
    SPAN_EVENT,
    "Span.Event",
    [
        one(1, "timeUnixNano", Fixed64),
        one(2, "name", Str),
        many(3, "attributes", Msg(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ]
);
message!(
    SPAN_LINK,
    "Span.Link",
    [
        one(1, "traceId", TRACE_ID),
        one(2, "spanId", SPAN_ID),
        one(3, "traceState", Str),
        many(4, "attributes", Msg(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Uint32),
        one(6, "flags", Fixed32),
    ]
);
message!(
    SPAN_STATUS,
    "Status",
    [one(2, "message", Str), one(3, "code", Enum)]
);
message!(
    /// `ExportTraceServiceResponse`.
    pub TRACES_RESPONSE, "ExportTraceServiceResponse", [
    one(1, "partialSuccess", Msg(&TRACES_PARTIAL)),
]);
message!(
    TRACES_PARTIAL,
    "ExportTracePartialSuccess",
    [one(1, "rejectedSpans", Int64), one(2, "errorMessage", Str),]
);

// Logs.
message!(
    /// `ExportLogsServiceRequest`.
    pub LOGS_REQUEST, "ExportLogsServiceRequest", [
    many(1, "resourceLogs", Msg(&RESOURCE_LOGS)),
]);
message!(
    RESOURCE_LOGS,
    "ResourceLogs",
    [
        one(1, "resource", Msg(&RESOURCE)),
        many(2, "scopeLogs", Msg(&SCOPE_LOGS)),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    SCOPE_LOGS,
    "ScopeLogs",
    [
        one(1, "scope", Msg(&SCOPE)),
        items(2, "logRecords", &LOG_RECORD),
        one(3, "schemaUrl", Str),
    ]
);
message!(
    LOG_RECORD,
    "LogRecord",
    [
        one(1, "timeUnixNano", Fixed64),
        one(2, "severityNumber", Enum),
        one(3, "severityText", Str),
        one(5, "body", Msg(&ANY_VALUE)),
        many(6, "attributes", Msg(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Uint32),
        one(8, "flags", Fixed32),
        one(9, "traceId", TRACE_ID),
        one(10, "spanId", SPAN_ID),
        one(11, "observedTimeUnixNano", Fixed64),
        one(12, "eventName", Str),
    ]
);
message!(
    /// `ExportLogsServiceResponse`.
    pub LOGS_RESPONSE, "ExportLogsServiceResponse", [
    one(1, "partialSuccess", Msg(&LOGS_PARTIAL)),
]);
message!(
    LOGS_PARTIAL,
    "ExportLogsPartialSuccess",
    [
        one(1, "rejectedLogRecords", Int64),
        one(2, "errorMessage", Str),
    ]
);

// Errors of OTLP/HTTP.
message!(
    /// `google.rpc.Status`, the body of an OTLP/HTTP error (details left out).
    pub RPC_STATUS, "Status", [one(1, "code", Int32), one(2, "message", Str)]
);
