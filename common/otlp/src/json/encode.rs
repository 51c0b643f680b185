//! Protobuf to OTLP/JSON.

use std::fmt::Write as _;

use super::{base64_encode, hex_encode, write_json_string};
use crate::error::DecodeError;
use crate::schema::{Field, Kind, Message};
use crate::value::text;
use crate::wire::{WireReader, WireValue, fixed64, zigzag32};

/// Turns a protobuf message into OTLP/JSON, without spaces or line breaks.
///
/// # Errors
/// The bytes are not a message of this type.
pub fn to_json(message: &'static Message, protobuf: &[u8]) -> Result<String, DecodeError> {
    message.validate(protobuf)?;
    let mut out = String::with_capacity(protobuf.len() * 3);
    write_message(message, protobuf, &mut out);
    Ok(out)
}

fn write_message(message: &'static Message, body: &[u8], out: &mut String) {
    out.push('{');
    let mut first = true;
    // Fields in the order of the table, so that repeated ones come together and the text is stable.
    for field in message.fields {
        if !is_present(field, body) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        let _ = write!(out, "\"{}\":", field.json);
        write_field(field, body, out);
    }
    out.push('}');
}

fn is_present(field: &Field, body: &[u8]) -> bool {
    let mut reader = WireReader::new(body);
    while let Some(wire) = reader.next_valid() {
        if wire.number == field.number {
            return true;
        }
    }
    false
}

fn write_field(field: &'static Field, body: &[u8], out: &mut String) {
    let mut reader = WireReader::new(body);
    if field.repeated {
        out.push('[');
    }
    let start = out.len();
    while let Some(wire) = reader.next_valid() {
        if wire.number != field.number {
            continue;
        }
        match wire.value {
            WireValue::Bytes(packed) if field.kind.wire_type() != 2 => {
                write_packed(field.kind, packed, start, out);
            }
            value => {
                if field.repeated {
                    comma(start, out);
                } else {
                    out.truncate(start); // The last occurrence of a single field counts.
                }
                write_value(field.kind, value, out);
            }
        }
    }
    if field.repeated {
        out.push(']');
    }
}

fn comma(start: usize, out: &mut String) {
    if out.len() > start {
        out.push(',');
    }
}

fn write_packed(kind: Kind, packed: &[u8], start: usize, out: &mut String) {
    if kind.wire_type() == 1 {
        for chunk in packed.chunks_exact(8) {
            comma(start, out);
            write_value(kind, WireValue::Fixed64(fixed64(chunk)), out);
        }
        return;
    }
    let mut reader = WireReader::new(packed);
    while !reader.is_empty() {
        let Ok(value) = reader.varint() else { return };
        comma(start, out);
        write_value(kind, WireValue::Varint(value), out);
    }
}

fn write_value(kind: Kind, value: WireValue<'_>, out: &mut String) {
    let _ = match (kind, value) {
        (Kind::Double, WireValue::Fixed64(bits)) => {
            crate::value::Value::Double(f64::from_bits(bits)).write_json(out);
            Ok(())
        }
        (Kind::Fixed64, WireValue::Fixed64(v)) | (Kind::Uint64, WireValue::Varint(v)) => {
            write!(out, "\"{v}\"")
        }
        (Kind::Sfixed64, WireValue::Fixed64(v)) | (Kind::Int64, WireValue::Varint(v)) => {
            write!(out, "\"{}\"", v as i64)
        }
        (Kind::Fixed32, WireValue::Fixed32(v)) => write!(out, "{v}"),
        (Kind::Uint32, WireValue::Varint(v)) => write!(out, "{}", v as u32),
        (Kind::Int32 | Kind::Enum, WireValue::Varint(v)) => write!(out, "{}", v as i32),
        (Kind::Sint32, WireValue::Varint(v)) => write!(out, "{}", zigzag32(v)),
        (Kind::Bool, WireValue::Varint(v)) => write!(out, "{}", v != 0),
        (Kind::String, WireValue::Bytes(bytes)) => {
            write_json_string(text(bytes), out);
            Ok(())
        }
        (Kind::Bytes, WireValue::Bytes(bytes)) => {
            out.push('"');
            base64_encode(bytes, out);
            out.push('"');
            Ok(())
        }
        (Kind::Id(_), WireValue::Bytes(bytes)) => {
            out.push('"');
            hex_encode(bytes, out);
            out.push('"');
            Ok(())
        }
        (Kind::Message(message), WireValue::Bytes(body)) => {
            write_message(message, body, out);
            Ok(())
        }
        // Validation leaves no other pair.
        _ => Ok(()),
    };
}
