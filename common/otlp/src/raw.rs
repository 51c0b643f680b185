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
    let mut splitter = Splitter {
        items_max,
        items: 0,
        levels: Vec::new(),
        parts: Vec::with_capacity(total.div_ceil(items_max)),
    };
    splitter.walk(signal.request(), request, 0);
    Ok(splitter.finish())
}

/// One walk over a request that hands out a part whenever enough items came by.
struct Splitter {
    items_max: usize,
    /// Items of the part being filled.
    items: usize,
    /// The messages around the current place, outermost first.
    levels: Vec<Level>,
    parts: Vec<(Vec<u8>, usize)>,
}

/// A message that the walk is inside of.
struct Level {
    /// Its field number in the message around it.
    number: u32,
    /// Its fields that are neither items nor hold any: every part repeats them.
    shell: Vec<u8>,
    /// Its items, and closed messages with items, that belong to the part being filled.
    content: Vec<u8>,
}

/// What a field is to the splitter.
enum Role<'a> {
    Item,
    HoldsItems(&'static crate::schema::Message, &'a [u8]),
    Other,
}

fn role<'a>(message: &crate::schema::Message, number: u32, value: WireValue<'a>) -> Role<'a> {
    match message.field(number) {
        Some(field) if field.item => Role::Item,
        Some(field) => match (field.kind, value) {
            (crate::schema::Kind::Message(inner), WireValue::Bytes(bytes))
                if holds_items(inner) =>
            {
                Role::HoldsItems(inner, bytes)
            }
            _ => Role::Other,
        },
        None => Role::Other,
    }
}

/// Calls `visit` with the role and the raw bytes of every field.
fn fields<'a>(
    message: &crate::schema::Message,
    body: &'a [u8],
    mut visit: impl FnMut(u32, Role<'a>, &'a [u8]),
) {
    let mut reader = WireReader::new(body);
    loop {
        let start = reader.position();
        let Some(wire) = reader.next_valid() else {
            return;
        };
        let raw = &body[start..reader.position()];
        visit(wire.number, role(message, wire.number, wire.value), raw);
    }
}

impl Splitter {
    fn walk(&mut self, message: &'static crate::schema::Message, body: &[u8], number: u32) {
        // Fields may stand behind the items, so the shell is collected first.
        let mut shell = Vec::new();
        fields(message, body, |_, role, raw| {
            if matches!(role, Role::Other) {
                shell.extend_from_slice(raw);
            }
        });
        self.levels.push(Level {
            number,
            shell,
            content: Vec::new(),
        });
        fields(message, body, |number, role, raw| match role {
            Role::Item => self.item(raw),
            Role::HoldsItems(inner, bytes) => self.walk(inner, bytes, number),
            Role::Other => {}
        });
        // The outermost level stays for `finish`.
        if self.levels.len() > 1
            && let Some(level) = self.levels.pop()
            && let Some(outer) = self.levels.last_mut()
            && !level.content.is_empty()
        {
            put_bytes(&mut outer.content, level.number, &level.close());
        }
    }

    fn item(&mut self, raw: &[u8]) {
        if let Some(level) = self.levels.last_mut() {
            level.content.extend_from_slice(raw);
        }
        self.items += 1;
        if self.items == self.items_max {
            self.emit();
        }
    }

    /// Closes all messages around the current place, with what they hold, and opens them again.
    fn emit(&mut self) {
        let mut inner: Option<(u32, Vec<u8>)> = None;
        for level in self.levels.iter_mut().rev() {
            let mut body = level.shell.clone();
            body.append(&mut level.content);
            if let Some((number, bytes)) = inner {
                put_bytes(&mut body, number, &bytes);
            }
            inner = Some((level.number, body));
        }
        if let Some((_, part)) = inner {
            self.parts.push((part, self.items));
        }
        self.items = 0;
    }

    fn finish(mut self) -> Vec<(Vec<u8>, usize)> {
        if self.items > 0 {
            self.emit();
        }
        self.parts
    }
}

impl Level {
    fn close(mut self) -> Vec<u8> {
        self.shell.append(&mut self.content);
        self.shell
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
