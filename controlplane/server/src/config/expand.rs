//! Variables in external labels, as Go's `os.Expand` reads them.

/// Replaces `$NAME` and `${NAME}`. `$$` is a dollar sign, an unset variable is empty, and a dollar sign before nothing
/// that could be a name stays. As in a shell, `$1` and `$*` are variables of one character. Braces that do not close,
/// and empty ones, vanish together with their dollar sign.
pub(super) fn expand_variables(text: &str, look_up: impl Fn(&str) -> Option<String>) -> String {
    let value = |name: &str| match name {
        "$" => "$".to_owned(),
        name => look_up(name).unwrap_or_default(),
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match variable(rest) {
            Variable::Named(name, len) => {
                out.push_str(&value(name));
                rest = &rest[len..];
            }
            Variable::Broken(len) => rest = &rest[len..],
            Variable::None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

/// What stands behind a dollar sign, with its length in bytes.
enum Variable<'a> {
    Named(&'a str, usize),
    Broken(usize),
    None,
}

fn is_special(c: char) -> bool {
    c.is_ascii_digit() || "*#$@!?-".contains(c)
}

fn variable(text: &str) -> Variable<'_> {
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            Some(0) => Variable::Broken(2),
            Some(end) => Variable::Named(&inner[..end], end + 2),
            None => Variable::Broken(1),
        };
    }
    if text.starts_with(is_special) {
        return Variable::Named(&text[..1], 1);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    match end {
        0 => Variable::None,
        end => Variable::Named(&text[..end], end),
    }
}

#[cfg(test)]
mod tests {
    use super::expand_variables;

    #[test]
    fn variables_are_read_as_by_go() {
        let look_up = |name: &str| match name {
            "A_1" => Some("x".to_owned()),
            "1" => Some("one".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("a$A_1.b", "ax.b"),
            ("${A_1}b", "xb"),
            ("$$A_1", "$A_1"),
            ("${NONE}-$NONE", "-"),
            ("10$", "10$"),
            ("10$ or 5$", "10$ or 5$"),
            ("$1A_1", "oneA_1"),
            ("$*", ""),
            ("a${A_1", "aA_1"),
            ("a${}b", "ab"),
            ("${A 1}", ""),
            ("é${A_1}é", "éxé"),
        ] {
            assert_eq!(expand_variables(text, look_up), expected, "{text}");
        }
    }
}
