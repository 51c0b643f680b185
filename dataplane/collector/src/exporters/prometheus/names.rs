//! Names on the page: as they are, or reduced to what scrapers without UTF-8 names can read.
//!
//! Rules: Prometheus, "UTF-8 in Prometheus": a name outside the legacy set is written in quotes, a
//! metric name then inside the braces. A scraper says with `escaping=allow-utf-8` that it reads that;
//! for all others every character outside the set becomes `_`.

use super::labels::Labels;
use super::text::push_label_value;

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub(super) fn is_legacy_metric(name: &str) -> bool {
    is_legacy(name, true)
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
pub(super) fn is_legacy_label(name: &str) -> bool {
    is_legacy(name, false)
}

fn is_legacy(name: &str, colon: bool) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .enumerate()
            .all(|(at, b)| fits(char::from(b), at, colon))
}

fn fits(c: char, at: usize, colon: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || (colon && c == ':') || (at > 0 && c.is_ascii_digit())
}

/// The name of a metric in the legacy set.
pub(super) fn escape_metric(name: &str) -> String {
    escape(name, true)
}

fn escape(name: &str, colon: bool) -> String {
    name.chars()
        .enumerate()
        .map(|(at, c)| if fits(c, at, colon) { c } else { '_' })
        .collect()
}

/// The labels of a series, rendered once for each kind of scraper.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LabelText {
    /// `a="x","b.c"="y"`: what tells series apart.
    pub(super) kept: Box<str>,
    /// The legacy form, where it differs.
    pub(super) escaped: Option<Box<str>>,
}

impl LabelText {
    /// Renders sorted labels. `generated` is the label that the page adds to each sample.
    pub(super) fn new(labels: &Labels, generated: Option<&str>) -> Self {
        let mut kept = String::with_capacity(labels.len() * 24);
        let mut is_legacy = true;
        for (name, value) in labels {
            if is_legacy_label(name) {
                push_pair(&mut kept, name, value);
            } else {
                is_legacy = false;
                let mut quoted = String::with_capacity(name.len() + 2);
                push_quoted(&mut quoted, name);
                push_pair(&mut kept, &quoted, value);
            }
        }
        Self {
            kept: kept.into(),
            escaped: (!is_legacy).then(|| escaped(labels, generated).into()),
        }
    }
}

/// Two names that become the same: the first stays, a scrape with a name twice would fail.
fn escaped(labels: &Labels, generated: Option<&str>) -> String {
    let mut seen: Vec<String> = Vec::with_capacity(labels.len());
    let mut out = String::new();
    // Names that need no change go first, so that they win.
    let (legacy, other): (Vec<_>, Vec<_>) = labels.iter().partition(|(n, _)| is_legacy_label(n));
    for (name, value) in legacy.into_iter().chain(other) {
        let name = escape(name, false);
        if !seen.contains(&name) && generated != Some(name.as_str()) && name != "__name__" {
            push_pair(&mut out, &name, value);
            seen.push(name);
        }
    }
    out
}

fn push_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(name);
    out.push('=');
    push_quoted(out, value);
}

/// Appends `"text"` with its escapes.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_label_value(out, text);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)], generated: Option<&str>) -> LabelText {
        let labels = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        LabelText::new(&labels, generated)
    }

    #[test]
    fn legacy_names_have_one_form() {
        let text = text(&[("a", "x\"y"), ("b_1", "\n")], None);
        assert_eq!(&*text.kept, r#"a="x\"y",b_1="\n""#);
        assert_eq!(text.escaped, None);
    }

    #[test]
    fn other_names_are_quoted_or_escaped() {
        let text = text(
            &[
                ("1a", "v"),
                ("a.b", "x"),
                ("a_b", "y"),
                ("l.e", "z"),
                ("日\"", "w"),
            ],
            Some("l_e"),
        );
        assert_eq!(
            &*text.kept,
            r#""1a"="v","a.b"="x",a_b="y","l.e"="z","日\""="w""#
        );
        assert_eq!(
            text.escaped.as_deref(),
            Some(r#"a_b="y",_a="v",__="w""#),
            "no name is there twice"
        );
    }

    #[test]
    fn metric_names() {
        assert!(is_legacy_metric("job:x_1"));
        assert!(!is_legacy_label("job:x"));
        for name in ["", "1x", "a.b", "ä"] {
            assert!(!is_legacy_metric(name), "{name}");
        }
        assert_eq!(escape_metric("1a.b:ä"), "_a_b:_");
    }
}
