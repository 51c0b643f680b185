//! Where environment variables come from.
//!
//! `bellwether up` runs several services in one process, and tests run in
//! parallel threads of one: neither may read or change the process environment
//! behind the other's back. Configuration therefore reads through [`Env`].
//!
//! The rules are those of the OpenTelemetry specification
//! (configuration/sdk-environment-variables.md): an empty value equals an
//! unset one, a boolean is true only for `true` in any case.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::ConfigError;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A source of environment variables. Cheap to clone.
#[derive(Clone)]
pub struct Env(Arc<Lookup>);

impl Env {
    /// The environment of this process.
    #[must_use]
    pub fn process() -> Self {
        Self::from_fn(|name| std::env::var(name).ok())
    }

    /// No variables at all: every setting takes its default.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_fn(|_| None)
    }

    /// Exactly these variables.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let map: HashMap<String, String> = pairs
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        Self::from_fn(move |name| map.get(name).cloned())
    }

    /// Variables answered by `lookup`.
    pub fn from_fn(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// The trimmed value of `name`; `None` when unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// The first of `names` that is set, with the name it was found under.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names
            .iter()
            .find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// True only for `true` in any case.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The value of `name` parsed as `T`.
    pub(crate) fn parse<T: FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(ConfigError::Invalid {
                key: name.to_owned(),
                value,
                expected: expected.to_owned(),
            }),
        }
    }
}

impl fmt::Debug for Env {
    /// Names no variable: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env(..)")
    }
}

/// Decodes `%XX` escapes (RFC 3986, section 2.1). A malformed escape stays as
/// written, an invalid UTF-8 sequence becomes U+FFFD: a label must not stop a
/// service from starting.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2)))
        {
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Splits `k=v,k=v` as `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`
/// write it (W3C Baggage format), keys and values percent-decoded. Entries
/// without `=` or without a key are skipped with a warning.
pub(crate) fn key_value_list(variable: &str, text: &str) -> Vec<(String, String)> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .filter_map(|entry| match entry.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Some((percent_decode(key.trim()), percent_decode(value.trim())))
            }
            _ => {
                // The entry may hold a secret, so it is not printed.
                tracing::warn!(variable, "ignoring an entry that is not key=value");
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn empty_equals_unset_and_values_are_trimmed() {
        let env = Env::from_pairs([("A", "  "), ("B", " x ")]);
        assert_eq!(env.get("A"), None);
        assert_eq!(env.get("B").as_deref(), Some("x"));
        assert_eq!(env.get("C"), None);
    }

    #[test]
    fn only_true_is_true() {
        let env = Env::from_pairs([("A", "TRUE"), ("B", "1"), ("C", "yes"), ("D", "true")]);
        assert!(env.flag("A") && env.flag("D"));
        assert!(!env.flag("B") && !env.flag("C") && !env.flag("E"));
    }

    #[test]
    fn percent_decoding_keeps_what_is_malformed() {
        for (input, expected) in [
            ("a%20b", "a b"),
            ("%C3%A9", "é"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%4", "%4"),
            ("plain", "plain"),
        ] {
            assert_eq!(percent_decode(input), expected, "{input}");
        }
    }

    #[test]
    fn lists_skip_malformed_entries() {
        let got = key_value_list("X", "team=a%2Cb, bad ,=v,region = eu ,e=");
        let expected = [("team", "a,b"), ("region", "eu"), ("e", "")];
        assert_eq!(
            got,
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec()
        );
    }

    #[test]
    fn a_bad_number_names_the_variable() {
        let env = Env::from_pairs([("PORT", "many")]);
        let error = env.parse::<u16>("PORT", "a port").unwrap_err();
        assert_eq!(error.to_string(), "PORT: \"many\" is not a port");
    }
}
