//! The kinds of tokens, keywords, and how errors name a token.

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
pub(super) fn keyword(word: &str) -> Option<Kind> {
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

pub(super) fn duration_keyword(word: &str) -> Option<Kind> {
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
