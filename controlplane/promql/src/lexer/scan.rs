//! Strings, numbers and durations: only their shape is checked here, their value is made by the parser.

use bellwether_model::labels::quote;

use super::{DIGITS, Kind, LexError, Lexed, Lexer, is_alphanumeric};

impl Lexer<'_> {
    /// A quoted text; the opening quote has been read. Only its shape is checked here.
    pub(super) fn string(&mut self, quote: char) -> Lexed {
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
                return self.fail(format!(
                    "illegal character {} in escape sequence",
                    code_point(ch)
                ));
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
    pub(super) fn number_or_duration(&mut self) -> Lexed {
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

/// Go's `%#U`: `U+0063 'c'`.
fn code_point(c: char) -> String {
    let quoted = quote(c.encode_utf8(&mut [0; 4])).into_owned();
    let printable = c == '"' || c == '\\' || !quoted.contains('\\');
    let number = format!("U+{:04X}", u32::from(c));
    if printable {
        format!("{number} '{c}'")
    } else {
        number
    }
}
