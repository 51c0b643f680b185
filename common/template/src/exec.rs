//! Running a tree.

use std::fmt;

use crate::builtin;
use crate::host::{Host, Signature, Type};
use crate::node::{Branch, Call, Command, Node, Operand, OperandKind, Pipe};
use crate::parse::Template;
use crate::print::{plain, quote};
use crate::value::Value;

/// Deepest nesting of running branches, pipelines and called templates; each costs stack.
pub const MAX_DEPTH: usize = 200;
/// Most nodes and operands that an execution visits.
pub const MAX_STEPS: usize = 1_000_000;
/// Longest output, and longest text on the way.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// Why a template could not be run, as Go says it:
/// `template: NAME:LINE:COLUMN: executing "NAME" at <WHAT>: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecError(String);

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExecError {}

impl Template {
    /// Runs the template on its data (`.` and `$`).
    ///
    /// # Errors
    /// The first mistake or limit.
    pub fn execute(&self, data: &Value, host: &dyn Host) -> Result<String, ExecError> {
        let mut run = Run {
            template: self,
            host,
            out: String::new(),
            current: self.name.clone(),
            variables: vec![("$".to_owned(), data.clone())],
            depth: 0,
            steps: 0,
        };
        let root = self.trees.get(&self.name).map_or(&[][..], Vec::as_slice);
        run.list(data, root)?;
        Ok(run.out)
    }
}

struct Run<'a> {
    template: &'a Template,
    host: &'a dyn Host,
    out: String,
    /// Name of the template under execution.
    current: String,
    variables: Vec<(String, Value)>,
    depth: usize,
    steps: usize,
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Done<T> = Result<T, ExecError>;

/// Arguments of a call: those written, and the value that a pipe brings.
struct Args<'a> {
    written: &'a [Operand],
    last: Option<Value>,
}

impl Args<'_> {
    const NONE: Args<'static> = Args {
        written: &[],
        last: None,
    };

    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.last.is_none()
    }
}

impl Run<'_> {
    fn error<T>(&self, pos: usize, at: &dyn fmt::Display, message: impl fmt::Display) -> Done<T> {
        let before = &self.template.text[..pos];
        let line = 1 + before.matches('\n').count();
        let column = pos - before.rfind('\n').map_or(0, |n| n + 1);
        Err(ExecError(format!(
            "template: {}:{line}:{column}: executing {} at <{at}>: {message}",
            self.template.name,
            quote(&self.current)
        )))
    }

    fn step(&mut self, pos: usize, at: &dyn fmt::Display) -> Done<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.error(pos, at, format!("exceeded {MAX_STEPS} steps"));
        }
        if self.out.len() > MAX_OUTPUT_BYTES {
            return self.error(pos, at, format!("output exceeds {MAX_OUTPUT_BYTES} bytes"));
        }
        Ok(())
    }

    fn deeper<T>(
        &mut self,
        pos: usize,
        at: &dyn fmt::Display,
        run: impl FnOnce(&mut Self) -> Done<T>,
    ) -> Done<T> {
        if self.depth == MAX_DEPTH {
            return self.error(
                pos,
                at,
                format!("exceeded maximum template depth ({MAX_DEPTH})"),
            );
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self, dot: &Value, list: &[Node]) -> Done<Flow> {
        for node in list {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Value, node: &Node) -> Done<Flow> {
        match node {
            Node::Text(text) => {
                self.step(0, node)?;
                self.out.push_str(text);
            }
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    match value {
                        Value::Nil => self.out.push_str("<no value>"),
                        value => self.out.push_str(&plain(&value)),
                    }
                }
                self.step(pipe.pos, node)?;
            }
            Node::If(branch) => return self.branch(dot, branch, node, false),
            Node::With(branch) => return self.branch(dot, branch, node, true),
            Node::Range(branch) => {
                return self.deeper(branch.pos, node, |run| run.range(dot, branch, node));
            }
            Node::Template(call) => self.call_template(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, dot: &Value, branch: &Branch, node: &Node, sets_dot: bool) -> Done<Flow> {
        self.deeper(branch.pos, node, |run| {
            let scope = run.variables.len();
            let value = run.pipeline(dot, &branch.pipe)?;
            let flow = if value.truth() {
                run.list(if sets_dot { &value } else { dot }, &branch.list)
            } else {
                run.list(dot, branch.otherwise.as_deref().unwrap_or_default())
            };
            run.variables.truncate(scope);
            flow
        })
    }

    fn range(&mut self, dot: &Value, branch: &Branch, node: &Node) -> Done<Flow> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let inner = self.variables.len();
        let mut is_empty = true;
        let mut round = |run: &mut Self, key: Value, item: Value| -> Done<Flow> {
            is_empty = false;
            run.step(branch.pos, &branch.pipe)?;
            run.set_range_variables(&branch.pipe, inner, key, &item);
            let flow = run.list(&item, &branch.list)?;
            run.variables.truncate(inner);
            Ok(flow)
        };
        match &value {
            Value::List(list) => {
                for (i, item) in list.items.iter().enumerate() {
                    let key = Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
                    if round(self, key, item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    if round(self, Value::string(key), item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(n) if branch.pipe.variables.len() < 2 => {
                for i in 0..*n {
                    if round(self, Value::Int(i), Value::Int(i))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(_) => {
                return self.error(
                    branch.pos,
                    node,
                    "can't use value to iterate over more than one variable",
                );
            }
            Value::Nil => {}
            other => {
                let message = format!("range can't iterate over {}", plain(other));
                return self.error(branch.pos, &branch.pipe, message);
            }
        }
        self.variables.truncate(inner);
        let flow = match &branch.otherwise {
            Some(otherwise) if is_empty => self.list(dot, otherwise),
            _ => Ok(Flow::Next),
        };
        self.variables.truncate(scope);
        flow
    }

    /// One variable takes the item, two take key and item. With `=` they are those of outside.
    fn set_range_variables(&mut self, pipe: &Pipe, inner: usize, key: Value, item: &Value) {
        let values = match pipe.variables.len() {
            0 => return,
            1 => vec![item.clone()],
            _ => vec![key, item.clone()],
        };
        for (i, (name, value)) in pipe.variables.iter().zip(values).enumerate() {
            let slot = if pipe.is_assignment {
                self.variables.iter_mut().rev().find(|(n, _)| n == name)
            } else {
                self.variables.get_mut(inner - pipe.variables.len() + i)
            };
            if let Some((_, slot)) = slot {
                *slot = value;
            }
        }
    }

    fn call_template(&mut self, dot: &Value, call: &Call) -> Done<()> {
        self.step(call.pos, call)?;
        let template = self.template;
        let Some(tree) = template.trees.get(&call.name) else {
            let message = format!("template {} not defined", quote(&call.name));
            return self.error(call.pos, call, message);
        };
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        self.deeper(call.pos, call, |run| {
            // A template sees none of its caller's variables.
            let variables = vec![("$".to_owned(), dot.clone())];
            let variables = std::mem::replace(&mut run.variables, variables);
            let current = std::mem::replace(&mut run.current, call.name.clone());
            run.list(&dot, tree)?;
            run.variables = variables;
            run.current = current;
            Ok(())
        })
    }

    fn pipeline(&mut self, dot: &Value, pipe: &Pipe) -> Done<Value> {
        self.step(pipe.pos, pipe)?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.variables {
            if pipe.is_assignment {
                match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                    Some((_, slot)) => *slot = value.clone(),
                    None => {
                        return self.error(pipe.pos, pipe, format!("undefined variable: {name}"));
                    }
                }
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Done<Value> {
        let [first, written @ ..] = command.args.as_slice() else {
            return Ok(Value::Nil);
        };
        self.step(first.pos, first)?;
        let args = Args { written, last };
        match &first.kind {
            OperandKind::Nil => self.error(first.pos, first, "nil is not a command"),
            OperandKind::Field(_) | OperandKind::Chain(..) | OperandKind::Function(_) => {
                self.operand(dot, first, command, args)
            }
            OperandKind::Variable(names) if names.len() > 1 => {
                self.operand(dot, first, command, args)
            }
            _ if !args.is_empty() => {
                let message = format!("can't give argument to non-function {first}");
                self.error(first.pos, first, message)
            }
            _ => self.operand(dot, first, command, args),
        }
    }

    /// An operand's value; functions and methods get the arguments.
    fn operand(
        &mut self,
        dot: &Value,
        operand: &Operand,
        whole: &dyn fmt::Display,
        args: Args<'_>,
    ) -> Done<Value> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(b) => Ok(Value::Bool(*b)),
            OperandKind::String(_, text) => Ok(Value::string(text)),
            OperandKind::Number(number) => Ok(match (number.is_float, number.int, number.float) {
                (false, Some(int), _) => Value::Int(int),
                (_, _, float) => Value::Float(float.unwrap_or(f64::NAN)),
            }),
            OperandKind::Field(names) => self.fields(dot, dot.clone(), operand, names, args),
            OperandKind::Variable(names) => {
                let found = self.variables.iter().rev().find(|(n, _)| *n == names[0]);
                let Some((_, value)) = found else {
                    let message = format!("undefined variable: {}", names[0]);
                    return self.error(operand.pos, operand, message);
                };
                let value = value.clone();
                self.fields(dot, value, operand, &names[1..], args)
            }
            OperandKind::Chain(inner, names) => {
                if matches!(inner.kind, OperandKind::Nil) {
                    let message = format!("indirection through explicit nil in {operand}");
                    return self.error(operand.pos, operand, message);
                }
                let value = self.deeper(operand.pos, operand, |run| {
                    run.operand(dot, inner, inner, Args::NONE)
                })?;
                self.fields(dot, value, operand, names, args)
            }
            OperandKind::Function(name) => self.deeper(operand.pos, operand, |run| {
                run.function(dot, operand, name, whole, args)
            }),
            OperandKind::Pipe(pipe) => self.deeper(pipe.pos, pipe, |run| run.pipeline(dot, pipe)),
        }
    }

    /// `.A.B` of a value; the last name may be a method with arguments.
    fn fields(
        &mut self,
        dot: &Value,
        mut value: Value,
        operand: &Operand,
        names: &[String],
        mut args: Args<'_>,
    ) -> Done<Value> {
        for (i, name) in names.iter().enumerate() {
            let args = if i + 1 == names.len() {
                std::mem::replace(&mut args, Args::NONE)
            } else {
                Args::NONE
            };
            value = self.field(dot, &value, operand, name, args)?;
        }
        Ok(value)
    }

    fn field(
        &mut self,
        dot: &Value,
        value: &Value,
        operand: &Operand,
        name: &str,
        args: Args<'_>,
    ) -> Done<Value> {
        let pos = operand.pos;
        match value {
            Value::Nil => Ok(Value::Nil),
            Value::Struct(s) => match s.fields.iter().find(|(n, _)| *n == name) {
                Some(_) if !args.is_empty() => self.error(
                    pos,
                    operand,
                    format!("{name} has arguments but cannot be invoked as function"),
                ),
                Some((_, field)) => Ok(field.clone()),
                None => self.no_field(pos, operand, name, value),
            },
            Value::Map(map) => {
                if !args.is_empty() {
                    let message = format!("{name} is not a method but has arguments");
                    return self.error(pos, operand, message);
                }
                Ok(map.entries.get(name).unwrap_or(&map.zero).clone())
            }
            Value::Object(object) => {
                let mut values = Vec::new();
                for arg in args.written {
                    values.push(self.argument(dot, arg, Type::Any)?);
                }
                values.extend(args.last);
                match object.method(name, &values) {
                    Some(Ok(result)) => Ok(result),
                    Some(Err(message)) => {
                        self.error(pos, operand, format!("error calling {name}: {message}"))
                    }
                    None => self.no_field(pos, operand, name, value),
                }
            }
            _ => self.no_field(pos, operand, name, value),
        }
    }

    fn no_field<T>(&self, pos: usize, operand: &Operand, name: &str, value: &Value) -> Done<T> {
        let message = format!("can't evaluate field {name} in type {}", value.type_name());
        self.error(pos, operand, message)
    }

    fn function(
        &mut self,
        dot: &Value,
        operand: &Operand,
        name: &str,
        whole: &dyn fmt::Display,
        args: Args<'_>,
    ) -> Done<Value> {
        let own = builtin::signature(name);
        let Some(signature) = own.or_else(|| self.host.signature(name)) else {
            let message = format!("{} is not a defined function", quote(name));
            return self.error(operand.pos, operand, message);
        };
        self.check_count(operand, name, signature, &args)?;
        if matches!(name, "and" | "or") {
            return self.logic(dot, operand, name == "or", args);
        }
        let args_text = args
            .written
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut values = Vec::with_capacity(args.written.len() + 1);
        for arg in args.written {
            let wanted = parameter(signature, values.len());
            values.push(self.argument(dot, arg, wanted)?);
        }
        if let Some(last) = args.last {
            let wanted = parameter(signature, values.len());
            values.push(self.fit(operand, last, wanted)?);
        }
        let result = if name == "call" {
            let (arg, value) = (&args_text, values.first().map_or("<nil>", Value::type_name));
            Err(format!("non-function {arg} of type {value}"))
        } else if own.is_some() {
            builtin::call(name, &values)
        } else {
            self.host.call(name, &values)
        };
        match result {
            Ok(Value::String(text)) if text.len() > MAX_OUTPUT_BYTES => {
                let message = format!("text exceeds {MAX_OUTPUT_BYTES} bytes");
                self.error(operand.pos, whole, message)
            }
            Ok(value) => Ok(value),
            Err(message) => self.error(
                operand.pos,
                whole,
                format!("error calling {name}: {message}"),
            ),
        }
    }

    fn check_count(
        &self,
        operand: &Operand,
        name: &str,
        signature: Signature,
        args: &Args<'_>,
    ) -> Done<()> {
        let given = args.written.len() + usize::from(args.last.is_some());
        let wanted = signature.params.len();
        let message = if signature.variadic && given + 1 < wanted {
            let written = args.written.len();
            format!(
                "wrong number of args for {name}: want at least {} got {written}",
                wanted - 1
            )
        } else if !signature.variadic && given != wanted {
            format!("wrong number of args for {name}: want {wanted} got {given}")
        } else {
            return Ok(());
        };
        self.error(operand.pos, operand, message)
    }

    /// `and` and `or`: the first argument that decides; those behind it are not evaluated.
    fn logic(
        &mut self,
        dot: &Value,
        operand: &Operand,
        wanted: bool,
        args: Args<'_>,
    ) -> Done<Value> {
        let mut value = Value::Nil;
        for arg in args.written {
            value = self.argument(dot, arg, Type::Any)?;
            if value.truth() == wanted {
                return Ok(value);
            }
        }
        match args.last {
            Some(last) => self.fit(operand, last, Type::Any),
            None => Ok(value),
        }
    }

    /// An argument's value, which has to fit the parameter.
    fn argument(&mut self, dot: &Value, arg: &Operand, wanted: Type) -> Done<Value> {
        self.step(arg.pos, arg)?;
        let mismatch = |expected: &str| format!("expected {expected}; found {arg}");
        match (&arg.kind, wanted) {
            (OperandKind::Nil, Type::Any | Type::Named(_)) => Ok(Value::Nil),
            (OperandKind::Nil, _) => {
                let message = format!("cannot assign nil to {}", wanted.name());
                self.error(arg.pos, arg, message)
            }
            (OperandKind::Number(number), Type::Float) => match number.float {
                Some(float) => Ok(Value::Float(float)),
                None => self.error(arg.pos, arg, mismatch("float")),
            },
            (OperandKind::Number(number), Type::Int) => match number.int {
                Some(int) => Ok(Value::Int(int)),
                None => self.error(arg.pos, arg, mismatch("integer")),
            },
            (OperandKind::Bool(_), Type::Bool) | (OperandKind::String(..), Type::String) => {
                self.operand(dot, arg, arg, Args::NONE)
            }
            (OperandKind::Bool(_) | OperandKind::String(..) | OperandKind::Number(_), _) => {
                let expected = match wanted {
                    Type::Any => return self.operand(dot, arg, arg, Args::NONE),
                    Type::Bool => "bool",
                    Type::Int => "integer",
                    Type::Float => "float",
                    Type::String => "string",
                    Type::Named(name) => {
                        let message = format!("can't handle {arg} for arg of type {name}");
                        return self.error(arg.pos, arg, message);
                    }
                };
                self.error(arg.pos, arg, mismatch(expected))
            }
            _ => {
                let value = self.operand(dot, arg, arg, Args::NONE)?;
                self.fit(arg, value, wanted)
            }
        }
    }

    /// Checks that a value can be given for a parameter.
    fn fit(&self, at: &Operand, value: Value, wanted: Type) -> Done<Value> {
        let fits = match (&value, wanted) {
            (_, Type::Any)
            | (Value::Nil, Type::Named(_))
            | (Value::Bool(_), Type::Bool)
            | (Value::Int(_), Type::Int)
            | (Value::Float(_), Type::Float)
            | (Value::String(_), Type::String) => true,
            (Value::Nil, wanted) => {
                let message = format!("invalid value; expected {}", wanted.name());
                return self.error(at.pos, at, message);
            }
            (value, wanted) => value.type_name() == wanted.name(),
        };
        if fits {
            return Ok(value);
        }
        let message = format!(
            "wrong type for value; expected {}; got {}",
            wanted.name(),
            value.type_name()
        );
        self.error(at.pos, at, message)
    }
}

/// The type of the parameter at a position.
fn parameter(signature: Signature, at: usize) -> Type {
    let params = signature.params;
    params
        .get(at)
        .or(params.last())
        .copied()
        .unwrap_or(Type::Any)
}
