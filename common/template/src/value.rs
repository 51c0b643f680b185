//! Values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a pipeline yields. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing: prints as `<no value>`.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    String(Arc<str>),
    /// A slice.
    List(Arc<List>),
    /// A map with texts as keys.
    Map(Arc<Map>),
    /// A struct or a pointer to one.
    Struct(Arc<Struct>),
    /// A value of the embedding program.
    Object(Arc<dyn Object>),
}

/// Items in order.
#[derive(Debug)]
pub struct List {
    /// The Go type.
    pub type_name: &'static str,
    /// The items.
    pub items: Vec<Value>,
}

/// A map; it prints and is ranged over in the order of its keys.
#[derive(Debug)]
pub struct Map {
    /// The Go type.
    pub type_name: &'static str,
    /// The entries.
    pub entries: BTreeMap<String, Value>,
    /// What a missing key yields.
    pub zero: Value,
}

/// Named fields in order.
#[derive(Debug)]
pub struct Struct {
    /// The Go type.
    pub type_name: &'static str,
    /// The fields.
    pub fields: Vec<(&'static str, Value)>,
}

/// A value of the embedding program: it prints itself and may have methods.
pub trait Object: fmt::Debug + Send + Sync {
    /// The Go type.
    fn type_name(&self) -> &'static str;

    /// As Go's `%v` prints it.
    fn text(&self) -> String;

    /// The value as a number, where its Go type is one.
    fn number(&self) -> Option<f64> {
        None
    }

    /// Calls a method or reads a field; `None` when there is none of that name.
    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let _ = (name, args);
        None
    }

    /// The value for downcasts by the embedding program.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl Value {
    /// A text.
    #[must_use]
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(Arc::from(text.as_ref()))
    }

    /// `map[string]string`.
    #[must_use]
    pub fn texts<N: Into<String>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let entries = pairs.into_iter().map(|(n, v)| (n.into(), Self::string(v)));
        Self::Map(Arc::new(Map {
            type_name: "map[string]string",
            entries: entries.collect(),
            zero: Self::string(""),
        }))
    }

    /// The Go type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(list) => list.type_name,
            Self::Map(map) => map.type_name,
            Self::Struct(s) => s.type_name,
            Self::Object(object) => object.type_name(),
        }
    }

    /// Whether `if` takes it for true: not zero, not empty, not nothing.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(v) => *v != 0.0,
            Self::String(s) => !s.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) | Self::Object(_) => true,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Arc::from(text))
    }
}
