//! The tree, and how its nodes print in messages.

use std::fmt;

use crate::print::quote;

/// A position in the text, in bytes.
pub(crate) type Pos = usize;

/// Something that stands between the texts.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template(Call),
    Break,
    Continue,
}

/// `if`, `with` or `range`.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) pos: Pos,
    pub(crate) pipe: Pipe,
    pub(crate) list: Vec<Node>,
    pub(crate) otherwise: Option<Vec<Node>>,
}

/// `{{template "name" pipeline}}`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pos: Pos,
    pub(crate) name: String,
    pub(crate) pipe: Option<Pipe>,
}

/// Declarations and commands.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: Pos,
    /// `=` instead of `:=`.
    pub(crate) is_assignment: bool,
    /// Names with their dollar signs.
    pub(crate) variables: Vec<String>,
    /// At least one.
    pub(crate) commands: Vec<Command>,
}

/// An operand with its arguments; at least one operand.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) args: Vec<Operand>,
}

/// Where an operand stands and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) pos: Pos,
    pub(crate) kind: OperandKind,
}

#[derive(Clone, Debug)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// As written, and unquoted.
    String(String, String),
    /// `.A.B` without the first dot.
    Field(Vec<String>),
    /// `$x.A`: the name with its dollar sign, then fields.
    Variable(Vec<String>),
    /// `(pipeline).A.B`, `function.A`.
    Chain(Box<Operand>, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>),
}

/// A literal: what it can be read as.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// Without a context that says otherwise it is a float.
    pub(crate) is_float: bool,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Action(pipe) => write!(f, "{{{{{pipe}}}}}"),
            Self::If(branch) => branch.show("if", f),
            Self::With(branch) => branch.show("with", f),
            Self::Range(branch) => branch.show("range", f),
            Self::Template(call) => call.fmt(f),
            Self::Break => f.write_str("{{break}}"),
            Self::Continue => f.write_str("{{continue}}"),
        }
    }
}

impl Branch {
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{{name} {}}}}}", self.pipe)?;
        self.list.iter().try_for_each(|node| write!(f, "{node}"))?;
        if let Some(otherwise) = &self.otherwise {
            f.write_str("{{else}}")?;
            otherwise.iter().try_for_each(|node| write!(f, "{node}"))?;
        }
        f.write_str("{{end}}")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.is_assignment { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            arg.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(b) => b.fmt(f),
            OperandKind::Number(n) => f.write_str(&n.text),
            OperandKind::String(quoted, _) => f.write_str(quoted),
            OperandKind::Field(names) => names.iter().try_for_each(|n| write!(f, ".{n}")),
            OperandKind::Variable(names) => f.write_str(&names.join(".")),
            OperandKind::Chain(inner, names) => {
                inner.fmt(f)?;
                names.iter().try_for_each(|n| write!(f, ".{n}"))
            }
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}
