//! The parser.

use std::collections::BTreeMap;

use crate::builtin;
use crate::host::Host;
use crate::lex::{Keyword, Kind, Token, lex};
use crate::node::{Branch, Call, Command, Node, Operand, OperandKind, Pipe};
use crate::number;

/// Deepest nesting of parentheses and of branches; the executor recurses over both.
const MAX_NESTING: usize = 60;

/// Why a text is no template, as Go says it: `template: NAME:LINE: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub(crate) String);

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// A parsed template and those that it defines.
#[derive(Clone, Debug)]
pub struct Template {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) trees: BTreeMap<String, Vec<Node>>,
}

impl Template {
    /// Parses a text. `host` says which functions exist besides the language's own.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(name: &str, text: &str, host: &dyn Host) -> Result<Self, ParseError> {
        let mut parser = Parser {
            name,
            host,
            tokens: lex(text),
            next: 0,
            furthest: 0,
            variables: vec!["$".to_owned()],
            trees: BTreeMap::new(),
            range_depth: 0,
            nesting: 0,
            action_line: 0,
        };
        let root = parser.top()?;
        parser.add(name, root)?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            trees: parser.trees,
        })
    }
}

struct Parser<'a> {
    name: &'a str,
    host: &'a dyn Host,
    tokens: Vec<Token>,
    next: usize,
    /// The last token that was looked at: messages name its line.
    furthest: usize,
    variables: Vec<String>,
    trees: BTreeMap<String, Vec<Node>>,
    range_depth: usize,
    nesting: usize,
    /// Line of the action's opening; 0 outside.
    action_line: usize,
}

type Parsed<T> = Result<T, ParseError>;

/// What ended a list of nodes.
enum Stop {
    End,
    Else,
}

impl Stop {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// A node, or the end of the list that it would stand in.
enum Item {
    Node(Node),
    Stop(Stop),
}

impl Parser<'_> {
    fn error<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        let line = self.tokens[self.furthest].line;
        Err(ParseError(format!(
            "template: {}:{line}: {message}",
            self.name
        )))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", token.describe()));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let in_action = if token.text.ends_with(" action") {
                ""
            } else {
                " in action"
            };
            extra = format!("{in_action} started at {}:{}", self.name, self.action_line);
        }
        self.error(format!("{}{extra}", token.text))
    }

    /// The token at hand; the last one stays for ever.
    fn peek(&mut self) -> Token {
        let at = self.next.min(self.tokens.len() - 1);
        self.furthest = self.furthest.max(at);
        self.tokens[at].clone()
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len());
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.take();
        }
    }

    fn peek_word(&mut self) -> Token {
        self.skip_space();
        self.peek()
    }

    fn take_word(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.take_word();
        if token.kind == kind {
            return Ok(token);
        }
        self.unexpected(&token, context)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == MAX_NESTING {
            return self.error(format!("nested more than {MAX_NESTING} levels deep"));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    /// Everything up to the end of the text.
    fn top(&mut self) -> Parsed<Vec<Node>> {
        let mut root = Vec::new();
        loop {
            let token = self.peek();
            if token.kind == Kind::Eof {
                return Ok(root);
            }
            if token.kind == Kind::LeftDelim {
                let back = self.next;
                self.take();
                self.action_line = token.line;
                if self.take_word().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.next = back;
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Stop(stop) => return self.error(format!("unexpected {}", stop.text())),
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.take_word();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let body = self.separate(CONTEXT)?;
        self.add(&name, body)
    }

    /// The body of a definition: it sees none of the variables and loops around it.
    fn separate(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let depth = std::mem::take(&mut self.range_depth);
        let (list, stop) = self.nested(Self::list)?;
        self.variables = variables;
        self.range_depth = depth;
        match stop {
            Stop::End => Ok(list),
            Stop::Else => self.error(format!("unexpected {} in {context}", stop.text())),
        }
    }

    fn add(&mut self, name: &str, tree: Vec<Node>) -> Parsed<()> {
        match self.trees.get(name) {
            Some(old) if !is_blank(old) => {
                if is_blank(&tree) {
                    return Ok(());
                }
                self.error(format!(
                    "template: multiple definition of template {}",
                    crate::print::quote(name)
                ))
            }
            _ => {
                self.trees.insert(name.to_owned(), tree);
                Ok(())
            }
        }
    }

    /// Nodes up to `end` or `else`.
    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut list = Vec::new();
        while self.peek_word().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Stop(stop) => return Ok((list, stop)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.take_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.peek_word();
        let Kind::Keyword(keyword) = token.kind else {
            let pipe = self.pipeline("command", Kind::RightDelim)?;
            return Ok(Item::Node(Node::Action(pipe)));
        };
        self.take();
        let node = match keyword {
            Keyword::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Keyword::Else => {
                let next = self.peek_word().kind;
                let chained = [Keyword::If, Keyword::With].map(Kind::Keyword);
                if !chained.contains(&next) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Keyword::If | Keyword::With | Keyword::Range => self.nested(|p| p.branch(keyword))?,
            Keyword::Template => self.call()?,
            Keyword::Block => self.block()?,
            Keyword::Break => self.jump("{{break}}", Node::Break)?,
            Keyword::Continue => self.jump("{{continue}}", Node::Continue)?,
            Keyword::Define => return self.unexpected(&token, "command"),
        };
        Ok(Item::Node(node))
    }

    fn jump(&mut self, text: &str, node: Node) -> Parsed<Node> {
        let token = self.take_word();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, text);
        }
        if self.range_depth == 0 {
            return self.error(format!("{text} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, keyword: Keyword) -> Parsed<Node> {
        let (context, make): (_, fn(Box<Branch>) -> Node) = match keyword {
            Keyword::If => ("if", Node::If),
            Keyword::With => ("with", Node::With),
            _ => ("range", Node::Range),
        };
        let scope = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(keyword == Keyword::Range);
        self.range_depth += in_range;
        let (list, stop) = self.list()?;
        self.range_depth -= in_range;
        let otherwise = match stop {
            Stop::End => None,
            Stop::Else => Some(self.otherwise(keyword)?),
        };
        self.variables.truncate(scope);
        Ok(make(Box::new(Branch {
            pos: pipe.pos,
            pipe,
            list,
            otherwise,
        })))
    }

    /// What follows `else`; a chained `if` or `with` ends with the branch that it belongs to.
    fn otherwise(&mut self, keyword: Keyword) -> Parsed<Vec<Node>> {
        if keyword != Keyword::Range && self.peek().kind == Kind::Keyword(keyword) {
            self.take();
            return Ok(vec![self.nested(|p| p.branch(keyword))?]);
        }
        let (list, stop) = self.list()?;
        match stop {
            Stop::End => Ok(list),
            Stop::Else => self.error(format!("expected end; found {}", stop.text())),
        }
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match number::unquote(&token.text) {
            Some(name) => Ok(name),
            None => self.error("invalid syntax"),
        }
    }

    fn call(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.take_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = if self.peek_word().kind == Kind::RightDelim {
            self.take();
            None
        } else {
            Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
        };
        Ok(Node::Template(Call {
            pos: token.at,
            name,
            pipe,
        }))
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.take_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let body = self.separate(CONTEXT)?;
        self.add(&name, body)?;
        Ok(Node::Template(Call {
            pos: token.at,
            name,
            pipe: Some(pipe),
        }))
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            pos: self.peek_word().at,
            is_assignment: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let token = self.peek_word();
            match token.kind {
                kind if kind == end => {
                    self.take();
                    break;
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => {
                    self.take();
                    return self.unexpected(&token, context);
                }
            }
        }
        self.check_pipeline(&pipe, context)?;
        Ok(pipe)
    }

    /// One variable in front of `:=`, `=` or, in a range, a comma. True when another one may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.peek_word();
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        let back = self.next;
        self.take();
        let next = self.peek_word();
        match next.kind {
            Kind::Assign | Kind::Declare => {
                self.take();
                pipe.is_assignment = next.kind == Kind::Assign;
                pipe.variables.push(variable.text.clone());
                self.variables.push(variable.text);
                Ok(false)
            }
            Kind::Char if next.text == "," => {
                self.take();
                pipe.variables.push(variable.text.clone());
                self.variables.push(variable.text);
                if context == "range" && pipe.variables.len() < 2 {
                    return match self.peek_word().kind {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                        _ => self.error("range can only initialize variables"),
                    };
                }
                self.error(format!("too many declarations in {context}"))
            }
            _ => {
                self.next = back;
                Ok(false)
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            if let OperandKind::Bool(_)
            | OperandKind::Dot
            | OperandKind::Nil
            | OperandKind::Number(_)
            | OperandKind::String(..) = command.args[0].kind
            {
                return self.error(format!(
                    "non executable command in pipeline stage {}",
                    i + 1
                ));
            }
        }
        Ok(())
    }

    /// Operands up to a pipe sign, which is taken, or the end of the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let mut args = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                args.push(operand);
            }
            let token = self.peek();
            match token.kind {
                Kind::Space => {
                    self.take();
                }
                Kind::RightDelim | Kind::RightParen => break,
                Kind::Pipe => {
                    self.take();
                    break;
                }
                _ => {
                    self.take();
                    return self.unexpected(&token, "operand");
                }
            }
        }
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { args })
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.take().text[1..].to_owned());
        }
        if names.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.kind {
            OperandKind::Field(fields) | OperandKind::Variable(fields) => {
                fields.append(&mut names);
                operand.pos = first.at;
                Ok(Some(operand))
            }
            OperandKind::Bool(_)
            | OperandKind::String(..)
            | OperandKind::Number(_)
            | OperandKind::Nil
            | OperandKind::Dot => self.error(format!(
                "unexpected . after term {}",
                crate::print::quote(&operand.to_string())
            )),
            _ => Ok(Some(Operand {
                pos: first.at,
                kind: OperandKind::Chain(Box::new(operand), names),
            })),
        }
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek_word();
        let kind = match token.kind {
            Kind::Identifier => {
                if !builtin::exists(&token.text) && self.host.signature(&token.text).is_none() {
                    let name = crate::print::quote(&token.text);
                    return self.error(format!("function {name} not defined"));
                }
                OperandKind::Function(token.text.clone())
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    let name = crate::print::quote(&token.text);
                    return self.error(format!("undefined variable {name}"));
                }
                OperandKind::Variable(vec![token.text.clone()])
            }
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Number => match number::literal(&token.text) {
                Ok(number) => OperandKind::Number(number),
                Err(message) => return self.error(message),
            },
            Kind::String | Kind::RawString => match number::unquote(&token.text) {
                Some(text) => OperandKind::String(token.text.clone(), text),
                None => return self.error("invalid syntax"),
            },
            Kind::LeftParen => {
                self.take();
                let read = |p: &mut Self| p.pipeline("parenthesized pipeline", Kind::RightParen);
                let pipe = self.nested(read)?;
                return Ok(Some(Operand {
                    pos: pipe.pos,
                    kind: OperandKind::Pipe(Box::new(pipe)),
                }));
            }
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Operand {
            pos: token.at,
            kind,
        }))
    }
}

/// Whether a tree holds nothing but white space.
fn is_blank(tree: &[Node]) -> bool {
    let blank = |node: &Node| matches!(node, Node::Text(text) if text.trim().is_empty());
    tree.iter().all(blank)
}
