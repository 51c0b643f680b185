//! Tokens of PromQL.
//!
//! The lexer has three modes, as the meaning of a word depends on where it stands: statements, the inside of
//! braces (where keywords are plain label names) and the start of brackets (duration arithmetic). It is pulled
//! one token at a time, so that an error late in the text never hides one found earlier by the parser.

use bellwether_model::labels::quote;

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Eof,
    Comma,
    Colon,
    Duration,
    Number,
    String,
    Identifier,
    /// A name with a colon: never a function or a label of a matcher.
    MetricIdentifier,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    LeftParen,
    RightParen,
    /// `=`: only inside braces it means something.
    Assign,
    // operators
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    TrimUpper,
    TrimLower,
    RegexMatch,
    RegexNoMatch,
    And,
    Or,
    Unless,
    Atan2,
    At,
    // aggregations
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
    Limitk,
    LimitRatio,
    // keywords
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Ignoring,
    Offset,
    Smoothed,
    Anchored,
    On,
    Without,
    // words that are functions too
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Kind {
    pub(crate) fn is_operator(self) -> bool {
        (Kind::Add as u8..=Kind::At as u8).contains(&(self as u8))
    }

    pub(crate) fn is_aggregator(self) -> bool {
        (Kind::Avg as u8..=Kind::LimitRatio as u8).contains(&(self as u8))
    }

    pub(crate) fn is_keyword(self) -> bool {
        (Kind::Bool as u8..=Kind::Without as u8).contains(&(self as u8))
    }

    /// Words with a call form besides their other meaning.
    pub(crate) fn is_preprocessor(self) -> bool {
        (Kind::Start as u8..=Kind::MinOf as u8).contains(&(self as u8))
    }
}

/// Keywords are recognised in any letter case.
fn keyword(word: &str) -> Option<Kind> {
    // The longest keyword has 12 letters.
    if word.len() > 12 {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => Kind::And,
        "or" => Kind::Or,
        "unless" => Kind::Unless,
        "atan2" => Kind::Atan2,
        "sum" => Kind::Sum,
        "avg" => Kind::Avg,
        "count" => Kind::Count,
        "min" => Kind::Min,
        "max" => Kind::Max,
        "group" => Kind::Group,
        "stddev" => Kind::Stddev,
        "stdvar" => Kind::Stdvar,
        "topk" => Kind::Topk,
        "bottomk" => Kind::Bottomk,
        "count_values" => Kind::CountValues,
        "quantile" => Kind::Quantile,
        "limitk" => Kind::Limitk,
        "limit_ratio" => Kind::LimitRatio,
        "offset" => Kind::Offset,
        "smoothed" => Kind::Smoothed,
        "anchored" => Kind::Anchored,
        "by" => Kind::By,
        "without" => Kind::Without,
        "on" => Kind::On,
        "ignoring" => Kind::Ignoring,
        "group_left" => Kind::GroupLeft,
        "group_right" => Kind::GroupRight,
        "fill" => Kind::Fill,
        "fill_left" => Kind::FillLeft,
        "fill_right" => Kind::FillRight,
        "bool" => Kind::Bool,
        "inf" | "nan" => Kind::Number,
        _ => return preprocessor(word),
    })
}

fn preprocessor(word: &str) -> Option<Kind> {
    match word.to_ascii_lowercase().as_str() {
        "start" => Some(Kind::Start),
        "end" => Some(Kind::End),
        _ => duration_keyword(word),
    }
}

fn duration_keyword(word: &str) -> Option<Kind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "step" => Kind::Step,
        "range" => Kind::Range,
        "max_of" => Kind::MaxOf,
        "min_of" => Kind::MinOf,
        _ => return None,
    })
}

/// A token and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start..self.end]
    }

    /// The token as "unexpected ..." messages name it.
    pub(crate) fn describe(&self, source: &str) -> String {
        let text = self.text(source);
        match self.kind {
            Kind::Eof => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quote(text)),
            Kind::MetricIdentifier => format!("metric identifier {}", quote(text)),
            Kind::String => format!("string {}", abbreviate(text)),
            Kind::Number => format!("number {}", abbreviate(text)),
            Kind::Duration => format!("duration {}", abbreviate(text)),
            kind if kind.is_keyword() => format!("<{text}>"),
            kind if kind.is_operator() => format!("<op:{text}>"),
            kind if kind.is_aggregator() => format!("<aggr:{text}>"),
            _ => abbreviate(text),
        }
    }
}

/// Quoted; longer texts are cut to ten characters.
fn abbreviate(text: &str) -> String {
    if text.len() > 10 {
        let cut: String = text.chars().take(10).collect();
        format!("{}...", quote(&cut))
    } else {
        quote(text).into_owned()
    }
}

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
            ('!', other) => self.fail(format!("unexpected character after '!': {}", quote_char(other))),
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
                    self.pending = Some("unexpected colon before duration in duration expression".to_owned());
                } else if self.got_colon {
                    self.pending = Some("unexpected repeated colon in duration expression".to_owned());
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

    /// A quoted text; the opening quote has been read. Only its shape is checked here.
    fn string(&mut self, quote: char) -> Lexed {
        loop {
            match self.bump() {
                Some(c) if c == quote => return self.emit(Kind::String),
                Some('\u{fffd}') => return self.fail("invalid UTF-8 rune"),
                Some('\\') if quote != '`' => self.escape(quote)?,
                Some('\n') if quote != '`' => return self.fail("unterminated quoted string"),
                Some(_) => {}
                None if quote == '`' => return self.fail("unterminated raw string"),
                None => return self.fail("unterminated quoted string"),
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<(), LexError> {
        let (digits, base, max, mut c) = match self.bump() {
            None => return self.fail("escape sequence not terminated"),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some(c @ '0'..='7') => (3, 8, 255, Some(c)),
            Some('x') => (2, 16, 255, self.bump()),
            Some('u') => (4, 16, char::MAX as u32, self.bump()),
            Some('U') => (8, 16, char::MAX as u32, self.bump()),
            Some(c) => return self.fail(format!("unknown escape sequence {}", code_point(c))),
        };
        let mut value: u32 = 0;
        for left in (0..digits).rev() {
            let Some(ch) = c else {
                return self.fail("escape sequence not terminated");
            };
            let Some(digit) = ch.to_digit(base) else {
                return self.fail(format!("illegal character {} in escape sequence", code_point(ch)));
            };
            value = value.wrapping_mul(base).wrapping_add(digit);
            if left > 0 {
                c = self.bump();
            }
        }
        if value > max || (0xD800..0xE000).contains(&value) {
            return self.fail("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    /// The first character was read.
    fn number_or_duration(&mut self) -> Lexed {
        self.pos = self.start;
        if self.scan_number() {
            return self.emit(Kind::Number);
        }
        if self.scan_rest_of_duration() {
            return self.emit(Kind::Duration);
        }
        self.fail(format!(
            "bad number or duration syntax: {}",
            quote(&self.text[self.start..self.pos])
        ))
    }

    /// Units and more numbers after the first number. Order and spelling of the units are checked later.
    fn scan_rest_of_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept(DIGITS) {
            self.accept_run(DIGITS);
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        match self.peek() {
            Some(c) if is_alphanumeric(c) => {
                // Reported as part of the bad text.
                self.pos += 1;
                false
            }
            _ => true,
        }
    }

    /// A number's shape: decimal, octal, hexadecimal, float, with underscores. Whether it is one is decided
    /// when it is converted.
    fn scan_number(&mut self) -> bool {
        let mut digits = DIGITS;
        if self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = "0123456789abcdefABCDEF";
        }
        let hexadecimal = digits.len() > 10;
        self.accept(".");
        self.accept(digits);
        let (mut dot, mut exponent) = (false, false);
        loop {
            if self.at(".") && dot || self.at("eE") && exponent {
                self.pos += 1;
                return false;
            }
            if self.accept(".") {
                dot = true;
                if self.accept("_.") || hexadecimal {
                    return false;
                }
            } else if self.accept("eE") {
                exponent = true;
                self.accept("+-");
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            } else if self.accept("_") {
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            } else if self.at(digits) {
                self.accept_run(digits);
            } else {
                break;
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
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

/// Go's `%#U`: `U+0063 'c'`.
fn code_point(c: char) -> String {
    let quoted = quote(c.encode_utf8(&mut [0; 4])).into_owned();
    let printable = c == '"' || c == '\\' || !quoted.contains('\\');
    let number = format!("U+{:04X}", u32::from(c));
    if printable { format!("{number} '{c}'") } else { number }
}
