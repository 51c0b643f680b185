//! Functions that the embedding program adds.

use crate::value::Value;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    Any,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A float.
    Float,
    /// A text.
    String,
    /// Values of exactly this Go type, see [`Value::type_name`].
    Named(&'static str),
}

impl Type {
    /// As Go spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::String => "string",
            Self::Named(name) => name,
        }
    }
}

/// What a function takes.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Types of the parameters.
    pub params: &'static [Type],
    /// Whether the last parameter may be given any number of times, also none.
    pub variadic: bool,
}

/// The functions of the embedding program. The language's own are there in any case and cannot be replaced.
pub trait Host {
    /// What a function takes; `None` when there is none of that name.
    fn signature(&self, name: &str) -> Option<Signature>;

    /// Calls a function with arguments that fit its signature; a typed parameter may also be [`Value::Nil`] where
    /// its type is [`Type::Named`].
    ///
    /// # Errors
    /// Ends the execution; the text follows `error calling NAME: `.
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String>;
}

/// No functions besides the language's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl Host for NoFunctions {
    fn signature(&self, _: &str) -> Option<Signature> {
        None
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, String> {
        Err(format!("{name} does not exist"))
    }
}
