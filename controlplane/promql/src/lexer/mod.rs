//! Tokens of PromQL.
//!
//! The lexer has three modes, as the meaning of a word depends on where it stands: statements, the inside of
//! braces (where keywords are plain label names) and the start of brackets (duration arithmetic). It is pulled
//! one token at a time, so that an error late in the text never hides one found earlier by the parser.

mod scan;
mod token;

use bellwether_model::labels::quote;

pub(crate) use token::{Kind, Token};
use token::{duration_keyword, keyword};

/// A text that is not a token, and from where to where it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) start: usize,
    pub(crate) message: String,
}

type Lexed = Result<Token, LexError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Statements,
    /// After `[`, until the first number.
    Duration,
}

/// The scanner.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    start: usize,
    mode: Mode,
    /// Open `(`. Negative after an error only.
    parens: i64,
    brace_open: bool,
    bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
    /// An error to be reported in place of the token just scanned.
    pending: Option<String>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            pos: 0,
            start: 0,
            mode: Mode::Statements,
            parens: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
            pending: None,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, set: &str) -> bool {
        let hit = self.peek().is_some_and(|c| set.contains(c));
        if hit {
            self.pos += 1;
        }
        hit
    }

    fn at(&self, set: &str) -> bool {
        self.peek().is_some_and(|c| set.contains(c))
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn emit(&mut self, kind: Kind) -> Lexed {
        let token = Token {
            kind,
            start: self.start,
            end: self.pos,
        };
        self.start = self.pos;
        match self.pending.take() {
            Some(message) => self.fail(message),
            None => Ok(token),
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, LexError> {
        Err(LexError {
            start: self.start,
            message: message.into(),
        })
    }

    /// The next token; `Eof` again and again at the end. White space and comments are skipped.
    pub(crate) fn next_token(&mut self) -> Lexed {
        loop {
            self.start = self.pos;
            let comments = self.mode == Mode::Statements;
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.pos += 1,
                Some('#') if comments => self.skip_comment(),
                _ => break,
            }
        }
        match self.mode {
            Mode::Duration => self.duration_expression(),
            Mode::Statements if self.brace_open => self.braces(),
            Mode::Statements => self.statement(),
        }
    }

    fn skip_comment(&mut self) {
        let rest = &self.text.as_bytes()[self.pos..];
        self.pos += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    }

    fn statement(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            if self.parens != 0 {
                return self.fail("unclosed left parenthesis");
            }
            if self.bracket_open {
                return self.fail("unclosed left bracket");
            }
            return self.emit(Kind::Eof);
        };
        match c {
            ',' => self.emit(Kind::Comma),
            '*' => self.emit(Kind::Mul),
            '/' => self.emit(Kind::Div),
            '%' => self.emit(Kind::Mod),
            '+' => self.emit(Kind::Add),
            '-' => self.emit(Kind::Sub),
            '^' => self.emit(Kind::Pow),
            '@' => self.emit(Kind::At),
            '=' | '!' | '<' | '>' => self.comparison(c),
            '0'..='9' => self.number_or_duration(),
            '.' if self.at(DIGITS) => self.number_or_duration(),
            '"' | '\'' | '`' => self.string(c),
            c if is_alpha(c) || c == ':' => {
                if self.bracket_open {
                    self.bracket_word(c)
                } else {
                    self.word()
                }
            }
            '(' => self.open_paren(),
            ')' => self.close_paren(),
            '{' => {
                self.brace_open = true;
                self.emit(Kind::LeftBrace)
            }
            '[' => self.open_bracket(),
            ']' => {
                if !self.bracket_open {
                    return self.fail("unexpected right bracket ']'");
                }
                self.bracket_open = false;
                self.emit(Kind::RightBracket)
            }
            c => self.fail(format!("unexpected character: {}", quote_char(Some(c)))),
        }
    }

    fn comparison(&mut self, c: char) -> Lexed {
        let next = self.peek();
        match (c, next) {
            ('=', Some('=')) => self.emit_wider(Kind::Eq),
            ('=', Some('~')) => self.fail("unexpected character after '=': '~'"),
            ('=', _) => self.emit(Kind::Assign),
            ('!', Some('=')) => self.emit_wider(Kind::Ne),
            ('!', other) => self.fail(format!(
                "unexpected character after '!': {}",
                quote_char(other)
            )),
            ('<', Some('=')) => self.emit_wider(Kind::Le),
            ('<', Some('/')) => self.emit_wider(Kind::TrimUpper),
            ('<', _) => self.emit(Kind::Lt),
            (_, Some('=')) => self.emit_wider(Kind::Ge),
            (_, Some('/')) => self.emit_wider(Kind::TrimLower),
            _ => self.emit(Kind::Gt),
        }
    }

    /// With one more (ASCII) character.
    fn emit_wider(&mut self, kind: Kind) -> Lexed {
        self.pos += 1;
        self.emit(kind)
    }

    fn open_paren(&mut self) -> Lexed {
        self.parens += 1;
        self.emit(Kind::LeftParen)
    }

    fn close_paren(&mut self) -> Lexed {
        self.parens -= 1;
        if self.parens < 0 {
            self.pending = Some("unexpected right parenthesis ')'".to_owned());
        }
        self.emit(Kind::RightParen)
    }

    fn open_bracket(&mut self) -> Lexed {
        if self.bracket_open {
            return self.fail("unexpected left bracket '['");
        }
        self.got_colon = false;
        self.bracket_open = true;
        self.mode = Mode::Duration;
        self.emit(Kind::LeftBracket)
    }

    /// A letter or a colon after the first number in brackets.
    fn bracket_word(&mut self, first: char) -> Lexed {
        if first == ':' {
            if self.got_colon {
                return self.fail("unexpected colon ':'");
            }
            self.got_colon = true;
            return self.emit(Kind::Colon);
        }
        if let Some(kind) = self.scan_duration_keyword(first) {
            return self.emit(kind);
        }
        self.fail(format!(
            "unexpected character: {}, expected ':'",
            quote_char(Some(first))
        ))
    }

    fn scan_duration_keyword(&mut self, first: char) -> Option<Kind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        while self.peek().is_some_and(is_alpha) {
            self.pos += 1;
        }
        duration_keyword(&self.text[self.start..self.pos])
    }

    /// The inside of brackets, until a number was seen.
    fn duration_expression(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return self.fail("unexpected end of input in duration expression");
        };
        match c {
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.mode = Mode::Statements;
                self.emit(Kind::RightBracket)
            }
            ':' => {
                if !self.got_duration {
                    self.pending =
                        Some("unexpected colon before duration in duration expression".to_owned());
                } else if self.got_colon {
                    self.pending =
                        Some("unexpected repeated colon in duration expression".to_owned());
                }
                self.got_colon = true;
                self.emit(Kind::Colon)
            }
            '(' => self.open_paren(),
            ')' => self.close_paren(),
            '+' => self.emit(Kind::Add),
            '-' => self.emit(Kind::Sub),
            '*' => self.emit(Kind::Mul),
            '/' => self.emit(Kind::Div),
            '%' => self.emit(Kind::Mod),
            '^' => self.emit(Kind::Pow),
            ',' => self.emit(Kind::Comma),
            '0'..='9' => self.bracket_number(),
            '.' if self.at(DIGITS) => self.bracket_number(),
            c => match self.scan_duration_keyword(c) {
                Some(kind) => self.emit(kind),
                None => self.fail(format!(
                    "unexpected character in duration expression: {}",
                    quote_char(Some(c))
                )),
            },
        }
    }

    fn bracket_number(&mut self) -> Lexed {
        self.got_duration = true;
        self.mode = Mode::Statements;
        self.number_or_duration()
    }

    fn braces(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return self.fail("unexpected end of input inside braces");
        };
        match c {
            c if is_alpha(c) => {
                while self.peek().is_some_and(is_alphanumeric) {
                    self.pos += 1;
                }
                self.emit(Kind::Identifier)
            }
            ',' => self.emit(Kind::Comma),
            '"' | '\'' | '`' => self.string(c),
            '=' if self.peek() == Some('~') => self.emit_wider(Kind::RegexMatch),
            '=' => self.emit(Kind::Assign),
            '!' => match self.peek() {
                Some('~') => self.emit_wider(Kind::RegexNoMatch),
                Some('=') => self.emit_wider(Kind::Ne),
                other => self.fail(format!(
                    "unexpected character after '!' inside braces: {}",
                    quote_char(other)
                )),
            },
            '{' => self.fail("unexpected left brace '{'"),
            '}' => {
                self.brace_open = false;
                self.emit(Kind::RightBrace)
            }
            c => self.fail(format!(
                "unexpected character inside braces: {}",
                quote_char(Some(c))
            )),
        }
    }

    fn word(&mut self) -> Lexed {
        while self.peek().is_some_and(|c| is_alphanumeric(c) || c == ':') {
            self.pos += 1;
        }
        let word = &self.text[self.start..self.pos];
        match keyword(word) {
            // These three came late: without a parenthesis they stay names, so that old queries keep working.
            Some(Kind::Fill | Kind::FillLeft | Kind::FillRight) if !self.paren_follows() => {
                self.emit(Kind::Identifier)
            }
            Some(kind) => self.emit(kind),
            None if word.contains(':') => self.emit(Kind::MetricIdentifier),
            None => self.emit(Kind::Identifier),
        }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.pos..]
            .trim_start_matches([' ', '\t', '\n', '\r'])
            .starts_with('(')
    }
}

const DIGITS: &str = "0123456789";

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

/// Go's `%q` of a rune; the end of input shows as the replacement character.
fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_owned(),
        Some('\'') => "'\\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = quote(c.encode_utf8(&mut [0; 4])).into_owned();
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}
