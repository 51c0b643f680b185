//! Operations on export requests that stay bytes.
//!
//! All three requests have one repeated field 1 (`resource_metrics`, `resource_spans`,
//! `resource_logs`), and in each of these the resource is field 1. Two facts of protobuf make the
//! rest: the concatenation of two messages is the message with both lists, and an unknown part can
//! be copied as it is.

use prost::Message as _;

use crate::error::DecodeError;
use crate::signal::Signal;
use crate::wire::{WireReader, WireValue, put_bytes, put_key, put_varint};

pub use opentelemetry_proto::tonic::resource::v1::Resource;

/// Rewrites the resource of every entry of a validated request and leaves everything else as it is.
///
/// `edit` gets the decoded resource (an empty one where the request has none) and says whether it
/// changed it. Returns `None` when nothing changed.
///
/// # Errors
/// The request is not valid protobuf.
pub fn edit_resources(
    signal: Signal,
    request: &[u8],
    mut edit: impl FnMut(&mut Resource) -> bool,
) -> Result<Option<Vec<u8>>, DecodeError> {
    signal.validate(request)?;
    let mut out = Vec::with_capacity(request.len() + 128);
    let mut entry_out = Vec::new();
    let mut changed = false;
    let mut reader = WireReader::new(request);
    loop {
        let start = reader.position();
        let Some(field) = reader.next_valid() else {
            break;
        };
        let (1, WireValue::Bytes(entry)) = (field.number, field.value) else {
            out.extend_from_slice(&request[start..reader.position()]);
            continue;
        };
        let (mut resource, rest) = split_resource(entry);
        if !edit(&mut resource) {
            put_bytes(&mut out, 1, entry);
            continue;
        }
        changed = true;
        entry_out.clear();
        put_key(&mut entry_out, 1, 2);
        put_varint(&mut entry_out, resource.encoded_len() as u64);
        entry_out.extend_from_slice(&resource.encode_to_vec());
        for part in rest {
            entry_out.extend_from_slice(part);
        }
        put_bytes(&mut out, 1, &entry_out);
    }
    Ok(changed.then_some(out))
}

/// The resource of an entry, and the byte ranges of all its other fields.
fn split_resource(entry: &[u8]) -> (Resource, Vec<&[u8]>) {
    let mut resource = Resource::default();
    let mut rest = Vec::new();
    let mut reader = WireReader::new(entry);
    loop {
        let start = reader.position();
        let Some(field) = reader.next_valid() else {
            return (resource, rest);
        };
        if let (1, WireValue::Bytes(body)) = (field.number, field.value) {
            // Validated above; repeated occurrences merge, as protobuf wants it.
            let _ = resource.merge(body);
        } else {
            rest.push(&entry[start..reader.position()]);
        }
    }
}

/// Splits a validated request at most every `items_max` items, in order.
///
/// Resources and scopes are repeated in each part. A metric is split between its data points.
/// `items_max` of 0 means no limit.
///
/// # Errors
/// The request is not valid protobuf.
pub fn split(
    signal: Signal,
    request: &[u8],
    items_max: usize,
) -> Result<Vec<(Vec<u8>, usize)>, DecodeError> {
    let total = signal.validate(request)?;
    if items_max == 0 || total <= items_max {
        return Ok(vec![(request.to_vec(), total)]);
    }
    let mut parts = Vec::with_capacity(total.div_ceil(items_max));
    let mut skip = 0;
    while skip < total {
        let take = items_max.min(total - skip);
        let mut window = Window { skip, take };
        let mut out = Vec::new();
        copy_window(signal.request(), request, &mut window, &mut out);
        parts.push((out, take));
        skip += take;
    }
    Ok(parts)
}

/// Which items of the walk to keep.
struct Window {
    skip: usize,
    take: usize,
}

/// Copies a message with only the items inside the window; entries left without items are dropped.
/// Returns whether any item was kept.
fn copy_window(
    message: &'static crate::schema::Message,
    body: &[u8],
    window: &mut Window,
    out: &mut Vec<u8>,
) -> bool {
    let mut kept = false;
    let mut reader = WireReader::new(body);
    loop {
        let start = reader.position();
        let Some(wire) = reader.next_valid() else {
            return kept;
        };
        let raw = &body[start..reader.position()];
        let field = message.field(wire.number);
        let nested = match (field.map(|f| f.kind), wire.value) {
            (Some(crate::schema::Kind::Message(m)), WireValue::Bytes(bytes)) => Some((m, bytes)),
            _ => None,
        };
        if field.is_some_and(|f| f.item) {
            if window.skip > 0 {
                window.skip -= 1;
            } else if window.take > 0 {
                window.take -= 1;
                kept = true;
                out.extend_from_slice(raw);
            }
        } else if let Some((inner, bytes)) = nested
            && holds_items(inner)
        {
            let mut child = Vec::new();
            if copy_window(inner, bytes, window, &mut child) {
                kept = true;
                put_bytes(out, wire.number, &child);
            }
        } else {
            out.extend_from_slice(raw);
        }
    }
}

/// True for messages on the path to the items.
fn holds_items(message: &crate::schema::Message) -> bool {
    message.fields.iter().any(|f| {
        f.item
            || match f.kind {
                // Attributes nest without end and never hold items; the names on the path are few.
                crate::schema::Kind::Message(m) => {
                    matches!(
                        m.name,
                        "ScopeMetrics"
                            | "Metric"
                            | "Gauge"
                            | "Sum"
                            | "Histogram"
                            | "ExponentialHistogram"
                            | "Summary"
                            | "ScopeSpans"
                            | "ScopeLogs"
                    )
                }
                _ => false,
            }
    })
}
