//! OTLP/JSON, in both directions, as a transcoding of bytes driven by the [`crate::schema`].
//!
//! Rules of the encoding (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding"):
//! names in lowerCamelCase, unknown names ignored, ids in hexadecimal of any case, other bytes in
//! base64, enums as integers, 64-bit integers as decimal strings (numbers are read too), `NaN`,
//! `Infinity` and `-Infinity` as strings, `null` like an absent field.
//!
//! Read, but never written, is what general protobuf libraries make and the official collector takes
//! as well: names in snake_case, and enums by name. Ignored as unknown, such data would be lost
//! behind an answer of success.

mod decode;
mod encode;
mod text;

#[cfg(test)]
mod tests;

pub use decode::{JsonError, to_protobuf};
pub use encode::to_json;
pub(crate) use text::{base64_decode, base64_encode, hex_decode, hex_encode, write_json_string};
