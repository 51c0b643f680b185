//! Tokens.
//!
//! The whole text is read at once; a mistake becomes an error token, the last of the list, so that the parser can
//! report what it finds before it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// Words that begin an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A token: where it begins, its text (of an error: the message), the line of its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    /// As messages name it.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Dot | Kind::Nil | Kind::Keyword(_) => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                format!("{}...", crate::print::quote(&start))
            }
            _ => crate::print::quote(&self.text),
        }
    }
}

/// Reads a text into tokens; the last one is the end or an error.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        at: 0,
        start: 0,
        line: 1,
        start_line: 1,
        parens: 0,
        tokens: Vec::new(),
    };
    if let Err(message) = lexer.run() {
        lexer.tokens.push(Token {
            kind: Kind::Error,
            at: lexer.start,
            text: message,
            line: lexer.start_line,
        });
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    start: usize,
    line: usize,
    start_line: usize,
    parens: usize,
    tokens: Vec<Token>,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: &[char] = &[' ', '\t', '\r', '\n'];

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.text[self.at..self.at + bytes].matches('\n').count();
        self.at += bytes;
    }

    fn ignore(&mut self) {
        self.start = self.at;
        self.start_line = self.line;
    }

    fn emit(&mut self, kind: Kind) {
        self.tokens.push(Token {
            kind,
            at: self.start,
            text: self.text[self.start..self.at].to_owned(),
            line: self.start_line,
        });
        self.ignore();
    }

    fn run(&mut self) -> Result<(), String> {
        while self.plain_text() {
            self.left_delimiter()?;
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    /// Text up to an action; false at the end.
    fn plain_text(&mut self) -> bool {
        let found = self.rest().find(LEFT);
        let mut end = found.unwrap_or(self.rest().len());
        let full = end;
        if found.is_some() && trims_left(&self.rest()[end + LEFT.len()..]) {
            end = self.rest()[..end].trim_end_matches(SPACES).len();
        }
        self.skip(end);
        if self.at > self.start {
            self.emit(Kind::Text);
        }
        self.skip(full - end);
        self.ignore();
        found.is_some()
    }

    /// The opening of an action or a comment.
    fn left_delimiter(&mut self) -> Result<(), String> {
        let marker = if trims_left(&self.rest()[LEFT.len()..]) {
            2
        } else {
            0
        };
        if self.rest()[LEFT.len() + marker..].starts_with("/*") {
            self.skip(LEFT.len() + marker);
            return self.comment();
        }
        self.skip(LEFT.len());
        self.emit(Kind::LeftDelim);
        self.skip(marker);
        self.ignore();
        self.parens = 0;
        self.action()
    }

    fn comment(&mut self) -> Result<(), String> {
        // What was trimmed before it belongs to no token.
        self.ignore();
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.skip(end + 2);
        let (closes, trims) = self.at_right_delimiter();
        if !closes {
            return Err("comment ends before closing delimiter".to_owned());
        }
        self.after_right_delimiter(trims);
        Ok(())
    }

    /// Whether an action ends here, and whether it trims what follows.
    fn at_right_delimiter(&self) -> (bool, bool) {
        let rest = self.rest();
        let mut chars = rest.chars();
        let spaced = chars.next().is_some_and(is_space) && chars.next() == Some('-');
        if spaced && rest[2..].starts_with(RIGHT) {
            return (true, true);
        }
        (rest.starts_with(RIGHT), false)
    }

    fn after_right_delimiter(&mut self, trims: bool) {
        if trims {
            self.skip(2);
        }
        self.skip(RIGHT.len());
        if trims {
            let rest = self.rest();
            self.skip(rest.len() - rest.trim_start_matches(SPACES).len());
        }
        self.ignore();
    }

    /// The inside of an action and its end.
    fn action(&mut self) -> Result<(), String> {
        loop {
            let (closes, trims) = self.at_right_delimiter();
            if closes {
                if self.parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                if trims {
                    self.skip(2);
                    self.ignore();
                }
                self.skip(RIGHT.len());
                self.emit(Kind::RightDelim);
                if trims {
                    let rest = self.rest();
                    self.skip(rest.len() - rest.trim_start_matches(SPACES).len());
                    self.ignore();
                }
                return Ok(());
            }
            self.inside()?;
        }
    }

    fn inside(&mut self) -> Result<(), String> {
        let Some(c) = self.next() else {
            return Err("unclosed action".to_owned());
        };
        match c {
            _ if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return Err("expected :=".to_owned());
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', "unterminated quoted string", Kind::String)?,
            '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant)?,
            '`' => {
                let end = self
                    .rest()
                    .find('`')
                    .ok_or("unterminated raw quoted string")?;
                self.skip(end + 1);
                self.emit(Kind::RawString);
            }
            '$' => self.field_or_variable(Kind::Variable)?,
            // At the very end a dot counts as the beginning of a number.
            '.' if self.peek().is_some_and(|c| !c.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()?;
            }
            _ if is_word(c) => self.word()?,
            '(' => {
                self.emit(Kind::LeftParen);
                self.parens += 1;
            }
            ')' => {
                if self.parens == 0 {
                    return Err("unexpected right paren".to_owned());
                }
                self.parens -= 1;
                self.emit(Kind::RightParen);
            }
            _ if c.is_ascii_graphic() => self.emit(Kind::Char),
            _ => return Err(format!("unrecognized character in action: {}", unicode(c))),
        }
        Ok(())
    }

    /// A run of white space, without a blank that belongs to the end of the action.
    fn space(&mut self) {
        self.at = self.start;
        self.line = self.start_line;
        while self.peek().is_some_and(is_space) && !self.at_right_delimiter().1 {
            self.next();
        }
        if self.at > self.start {
            self.emit(Kind::Space);
        }
    }

    fn quoted(&mut self, quote: char, unclosed: &str, kind: Kind) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') => {
                    if matches!(self.next(), None | Some('\n')) {
                        return Err(unclosed.to_owned());
                    }
                }
                None | Some('\n') => return Err(unclosed.to_owned()),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        let word = &self.text[self.start..self.at];
        self.check_terminator()?;
        let kind = match word {
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(if kind == Kind::Variable {
                kind
            } else {
                Kind::Dot
            });
            return Ok(());
        }
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        self.check_terminator()?;
        self.emit(kind);
        Ok(())
    }

    /// Whether what comes may follow a name.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => is_space(c) || ".,|:)(".contains(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn check_terminator(&self) -> Result<(), String> {
        if self.at_terminator() {
            return Ok(());
        }
        let c = self.peek().unwrap_or(' ');
        Err(format!("bad character {}", unicode(c)))
    }

    /// The text of a number; the parser looks at it closely.
    fn number(&mut self) -> Result<(), String> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let accept = |at: &mut usize, set: &str| {
            let ok = bytes.get(*at).is_some_and(|b| set.contains(char::from(*b)));
            *at += usize::from(ok);
            ok
        };
        accept(&mut at, "+-");
        let mut digits = "0123456789_";
        let mut exponent = "eE";
        if accept(&mut at, "0") {
            if accept(&mut at, "xX") {
                (digits, exponent) = ("0123456789abcdefABCDEF_", "pP");
            } else if accept(&mut at, "oO") {
                digits = "01234567_";
            } else if accept(&mut at, "bB") {
                digits = "01_";
            }
        }
        while accept(&mut at, digits) {}
        if accept(&mut at, ".") {
            while accept(&mut at, digits) {}
        }
        if accept(&mut at, exponent) {
            accept(&mut at, "+-");
            while accept(&mut at, "0123456789_") {}
        }
        self.at = at;
        if self.peek().is_some_and(is_word) {
            self.next();
            let text = &self.text[self.start..self.at];
            return Err(format!("bad number syntax: {}", crate::print::quote(text)));
        }
        self.emit(Kind::Number);
        Ok(())
    }
}

/// Whether the text behind an opening begins with a trim marker: a minus and white space.
fn trims_left(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

/// Go's `%#U`.
fn unicode(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}
