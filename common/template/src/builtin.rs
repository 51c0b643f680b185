//! The language's own functions. `and` and `or` are the executor's: they stop early.

use crate::compare;
use crate::escape;
use crate::host::{Signature, Type};
use crate::print::{plain, sprint, sprintf, sprintln};
use crate::value::Value;

const ANY: &[Type] = &[Type::Any];
const TWO: &[Type] = &[Type::Any, Type::Any];

/// Whether the language has a function of that name.
pub(crate) fn exists(name: &str) -> bool {
    signature(name).is_some()
}

/// What a function takes.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    let (params, variadic) = match name {
        "html" | "js" | "print" | "println" | "urlquery" => (ANY, true),
        "and" | "call" | "eq" | "index" | "or" | "slice" => (TWO, true),
        "printf" => (&[Type::String, Type::Any][..], true),
        "len" | "not" => (ANY, false),
        "ge" | "gt" | "le" | "lt" | "ne" => (TWO, false),
        _ => return None,
    };
    Some(Signature { params, variadic })
}

/// Calls a function with arguments that fit its signature.
pub(crate) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let first = args.first().unwrap_or(&Value::Nil);
    Ok(match name {
        "html" => escape::html(&evaluated(args)).into(),
        "js" => escape::javascript(&evaluated(args)).into(),
        "urlquery" => escape::query_escape(&evaluated(args)).into(),
        "print" => sprint(args).into(),
        "println" => sprintln(args).into(),
        "printf" => match first {
            Value::String(format) => sprintf(format, &args[1..]).into(),
            _ => return Err("printf wants a format".to_owned()),
        },
        "index" => index(first, &args[1..])?,
        "slice" => slice(first, &args[1..])?,
        "len" => Value::Int(length(first)?),
        "not" => Value::Bool(!first.truth()),
        "eq" => Value::Bool(compare::equal(args)?),
        "ne" => Value::Bool(!compare::equal(args)?),
        name => Value::Bool(compare::ordered(name, first, &args[1])?),
    })
}

/// The arguments as one text, missing values as templates print them.
fn evaluated(args: &[Value]) -> String {
    let shown: Vec<Value> = args
        .iter()
        .map(|arg| match arg {
            Value::Nil => Value::string("<no value>"),
            arg => arg.clone(),
        })
        .collect();
    sprint(&shown)
}

fn index(item: &Value, indices: &[Value]) -> Result<Value, String> {
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = item.clone();
    for i in indices {
        item = match (&item, i) {
            (Value::List(list), i) => list.items[position(i, list.items.len())?].clone(),
            (Value::String(s), i) => Value::Int(s.as_bytes()[position(i, s.len())?].into()),
            (Value::Map(map), Value::String(key)) => {
                map.entries.get(&**key).unwrap_or(&map.zero).clone()
            }
            (Value::Map(_), Value::Nil) => {
                return Err("value is nil; should be of type string".to_owned());
            }
            (Value::Map(_), key) => {
                return Err(format!(
                    "value has type {}; should be string",
                    key.type_name()
                ));
            }
            (Value::Nil, _) => return Err("index of nil pointer".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

/// An index as a position below `len`.
fn position(index: &Value, len: usize) -> Result<usize, String> {
    match bound(index)? {
        n if n < 0 || n as usize >= len => Err(format!("index out of range: {n}")),
        n => Ok(n as usize),
    }
}

fn bound(index: &Value) -> Result<i64, String> {
    match index {
        Value::Int(n) => Ok(*n),
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!(
            "cannot index slice/array with type {}",
            other.type_name()
        )),
    }
}

fn slice(item: &Value, bounds: &[Value]) -> Result<Value, String> {
    if matches!(item, Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let len = match item {
        Value::String(_) if bounds.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::String(s) => s.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut ends = [0, len, len];
    for (end, given) in ends.iter_mut().zip(bounds) {
        *end = match bound(given)? {
            n if n < 0 || n as usize > len => return Err(format!("index out of range: {n}")),
            n => n as usize,
        };
    }
    let [from, to, most] = ends;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if bounds.len() == 3 && to > most {
        return Err(format!("invalid slice index: {to} > {most}"));
    }
    Ok(match item {
        Value::String(s) => String::from_utf8_lossy(&s.as_bytes()[from..to])
            .into_owned()
            .into(),
        Value::List(list) => Value::List(std::sync::Arc::new(crate::List {
            type_name: list.type_name,
            items: list.items[from..to].to_vec(),
        })),
        other => plain(other).into(),
    })
}

fn length(item: &Value) -> Result<i64, String> {
    let len = match item {
        Value::String(s) => s.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(i64::try_from(len).unwrap_or(i64::MAX))
}
