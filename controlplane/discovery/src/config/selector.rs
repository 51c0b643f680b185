//! Kubernetes' selectors, checked before a server sees them. Grammar: k8s.io/apimachinery, `fields` and `labels`.

/// Checks a field selector: `a=b,c!=d`.
pub(crate) fn check_field(selector: &str) -> Result<(), String> {
    let mut terms = split_terms(selector);
    terms.sort_unstable();
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        let Some(value) = field_value(term) else {
            return Err(format!(
                "invalid selector: '{selector}'; can't understand '{term}'"
            ));
        };
        check_field_value(value)?;
    }
    Ok(())
}

/// Commas separate, unless a backslash stands before them.
fn split_terms(selector: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in selector.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&selector[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

/// What stands behind the first `!=`, `==` or `=`.
fn field_value(term: &str) -> Option<&str> {
    term.char_indices().find_map(|(i, _)| {
        let rest = &term[i..];
        ["!=", "==", "="]
            .iter()
            .find_map(|operator| rest.strip_prefix(operator))
    })
}

fn check_field_value(value: &str) -> Result<(), String> {
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\' | ',' | '=') => {}
                Some(other) => {
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    ));
                }
                None => {
                    return Err("invalid field selector: invalid escape sequence: \\".to_owned());
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {c}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a label selector: `a=b,!c,d in (e,f),g>1`.
pub(crate) fn check_label(selector: &str) -> Result<(), String> {
    let tokens = tokens(selector);
    let mut rest = tokens.as_slice();
    if rest.is_empty() {
        return Ok(());
    }
    loop {
        rest = requirement(rest).map_err(|e| format!("unable to parse requirement: {e}"))?;
        match rest.split_first() {
            None => return Ok(()),
            Some((&",", after)) => match after.first() {
                None => return Err("found '', expected: identifier after ','".to_owned()),
                Some(&",") => {
                    return Err("found ',', expected: identifier after ','".to_owned());
                }
                Some(_) => rest = after,
            },
            Some((other, _)) => {
                return Err(format!("found '{other}', expected: ',' or 'end of string'"));
            }
        }
    }
}

const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", ">", "<"];

/// Words and symbols.
fn tokens(selector: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = selector.trim_start();
    while !rest.is_empty() {
        let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        let len = symbol.map_or_else(
            || {
                rest.find(|c: char| c.is_ascii_whitespace() || "=!(),><".contains(c))
                    .unwrap_or(rest.len())
            },
            |symbol| symbol.len(),
        );
        tokens.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    tokens
}

/// One requirement; gives what stands behind it.
fn requirement<'a, 't>(tokens: &'t [&'a str]) -> Result<&'t [&'a str], String> {
    let (negated, tokens) = match tokens.split_first() {
        Some((&"!", rest)) => (true, rest),
        _ => (false, tokens),
    };
    let Some((key, rest)) = tokens.split_first() else {
        return Err("found '', expected: identifier".to_owned());
    };
    if SYMBOLS.contains(key) {
        return Err(format!("found '{key}', expected: identifier"));
    }
    check_key(key)?;
    if negated || rest.first().is_none_or(|next| *next == ",") {
        return Ok(rest);
    }
    let (operator, rest) = (rest[0], &rest[1..]);
    match operator {
        "in" | "notin" => set_values(key, rest),
        "=" | "==" | "!=" => {
            let (value, rest) = one_value(rest);
            check_value(key, value)?;
            Ok(rest)
        }
        ">" | "<" => {
            let (value, rest) = one_value(rest);
            match value.parse::<i64>() {
                Ok(_) => Ok(rest),
                Err(_) => Err(format!(
                    "values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                )),
            }
        }
        other => Err(format!(
            "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
        )),
    }
}

/// A value may be missing: it is the empty text.
fn one_value<'a, 't>(tokens: &'t [&'a str]) -> (&'a str, &'t [&'a str]) {
    match tokens.split_first() {
        Some((value, rest)) if !SYMBOLS.contains(value) => (value, rest),
        _ => ("", tokens),
    }
}

fn set_values<'a, 't>(key: &str, tokens: &'t [&'a str]) -> Result<&'t [&'a str], String> {
    let Some((&"(", mut rest)) = tokens.split_first() else {
        let found = tokens.first().copied().unwrap_or("");
        return Err(format!("found '{found}' expected: '('"));
    };
    loop {
        let (value, after) = one_value(rest);
        check_value(key, value)?;
        match after.split_first() {
            Some((&")", after)) => return Ok(after),
            Some((&",", after)) => rest = after,
            other => {
                let found = other.map_or("", |(found, _)| found);
                return Err(format!("found '{found}', expected: ',', or ')'"));
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= 63
        && alphanumeric(text.bytes().next())
        && alphanumeric(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `name` or `dns.prefix/name`.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_fits = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                is_name(part) && part.bytes().all(|b| !b.is_ascii_uppercase() && b != b'_')
            })
    });
    if prefix_fits && is_name(name) {
        return Ok(());
    }
    Err(format!(
        "key: Invalid value: {key:?}: a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character, with an optional DNS subdomain prefix and '/'"
    ))
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(format!(
        "values[0][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for good in ["", "a=b", "a==b,c!=d", "a=x\\,y", "metadata.name=", ",a=b"] {
            assert_eq!(check_field(good), Ok(()), "{good}");
        }
        for (bad, text) in [
            (
                "metadata.status-Running",
                "invalid selector: 'metadata.status-Running'; can't understand 'metadata.status-Running'",
            ),
            ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
            (
                "a=b=c",
                "invalid field selector: unescaped character in value: =",
            ),
            (
                "a=\\x",
                "invalid field selector: invalid escape sequence: \\x",
            ),
        ] {
            assert_eq!(check_field(bad), Err(text.to_owned()), "{bad}");
        }
    }

    #[test]
    fn labels() {
        for good in [
            "",
            "a",
            "!a",
            "a=b",
            "a = b , c!=d",
            "foo in (bar,baz)",
            "foo notin ()",
            "x.io/a_b==c",
            "n>5",
            "a=",
        ] {
            assert_eq!(check_label(good), Ok(()), "{good}");
        }
        for bad in [
            "=a", "a b", "a in b", "a=b,", "a,,b", "a/b/c", "-a", "a=b c", "a>x", "a in (b",
        ] {
            assert!(check_label(bad).is_err(), "{bad}");
        }
    }
}
