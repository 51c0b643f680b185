//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;

use crate::value::Value;

const BAD_TYPE: &str = "invalid type for comparison";

/// Whether the first equals any of the others.
pub(crate) fn equal(args: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = args else {
        return Err("missing argument for comparison".to_owned());
    };
    check_comparable(first)?;
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        check_comparable(other)?;
        let same = match (first, other) {
            (Value::Nil, other) | (other, Value::Nil) => matches!(other, Value::Nil),
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Struct(a), Value::Struct(b)) => std::sync::Arc::ptr_eq(a, b),
            (Value::Object(a), Value::Object(b)) => {
                a.number() == b.number() && a.text() == b.text()
            }
            _ => return Err(incompatible(first, other)),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn incompatible(a: &Value, b: &Value) -> String {
    let (a, b) = (a.type_name(), b.type_name());
    format!("incompatible types for comparison: {a} and {b}")
}

fn check_comparable(value: &Value) -> Result<(), String> {
    match value {
        Value::List(_) | Value::Map(_) => Err(format!(
            "non-comparable type {}: {}",
            crate::print::plain(value),
            value.type_name()
        )),
        _ => Ok(()),
    }
}

/// The order of two values; `None` where one is not a number.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    let basic = |v: &Value| {
        !matches!(
            v,
            Value::Nil | Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Object(_)
        )
    };
    if !basic(a) || !basic(b) {
        return Err(BAD_TYPE.to_owned());
    }
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(_), Value::Bool(_)) => Err(BAD_TYPE.to_owned()),
        _ => Err(incompatible(a, b)),
    }
}

/// Calls one of the ordering functions. As in Go, `gt` is the inverse of `le`, also for values without an order.
pub(crate) fn ordered(name: &str, a: &Value, b: &Value) -> Result<bool, String> {
    let less = order(a, b)? == Some(Ordering::Less);
    Ok(match name {
        "lt" => less,
        "ge" => !less,
        "le" => less || equal(&[a.clone(), b.clone()])?,
        _ => !(less || equal(&[a.clone(), b.clone()])?),
    })
}
