//! Names beyond the legacy character set on a page: as they are, or escaped for readers that do not know them.

use std::borrow::Cow;

use bellwether_model::labels::{is_legacy_label_name, is_legacy_metric_name};

/// How such names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As they are, in quotes.
    AllowUtf8,
    /// An underscore for every character that the legacy set lacks.
    Underscores,
    /// `_dot_` for a dot, two underscores for one and for every other such character.
    Dots,
    /// `U__` before the name, and the code of every such character between underscores.
    Values,
}

const ALL: [Escaping; 4] = [
    Escaping::AllowUtf8,
    Escaping::Underscores,
    Escaping::Dots,
    Escaping::Values,
];

impl Escaping {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// What an `Accept` header asks for: the last `escaping` up to a known format, in order of preference; and whether
    /// that format is protobuf rather than text.
    pub(super) fn negotiate(accept: &str) -> (Self, bool) {
        let mut ranges: Vec<(f64, Vec<&str>)> = accept
            .split(',')
            .map(|range| {
                let parts: Vec<&str> = range.split(';').map(str::trim).collect();
                let weight = parts.iter().find_map(|p| p.strip_prefix("q="));
                (weight.map_or(1.0, |q| q.parse().unwrap_or(0.0)), parts)
            })
            .collect();
        // Ranges of equal weight keep their order.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut found = Self::Underscores;
        for (_, parts) in ranges {
            let value = |key: &str| parts.iter().find_map(|p| p.strip_prefix(key));
            if let Some(name) = value("escaping=") {
                found = ALL
                    .into_iter()
                    .find(|e| e.as_str() == name)
                    .unwrap_or(found);
            }
            if parts[0] == "application/vnd.google.protobuf"
                && value("proto=") == Some("io.prometheus.client.MetricFamily")
                && value("encoding=") == Some("delimited")
            {
                return (found, true);
            }
            let known = matches!(value("version="), None | Some("0.0.4" | "1.0.0"));
            if parts[0] == "text/plain" && known {
                break;
            }
        }
        (found, false)
    }

    /// A metric name in this form.
    pub(super) fn name(self, name: &str) -> Cow<'_, str> {
        self.escape(name, is_legacy_metric_name(name), true)
    }

    /// A label name in this form.
    pub(super) fn label(self, name: &str) -> Cow<'_, str> {
        self.escape(name, is_legacy_label_name(name), false)
    }

    fn escape(self, name: &str, legacy: bool, colon: bool) -> Cow<'_, str> {
        // Dots double the underscores of every name.
        if self == Self::AllowUtf8 || (legacy && self != Self::Dots) {
            return Cow::Borrowed(name);
        }
        let mut out = String::with_capacity(name.len() + 8);
        if self == Self::Values {
            out.push_str("U__");
        }
        for (i, c) in name.chars().enumerate() {
            let fine = c.is_ascii_alphabetic()
                || c == '_'
                || (colon && c == ':')
                || (i > 0 && c.is_ascii_digit());
            match (self, c) {
                (Self::Dots, '.') => out.push_str("_dot_"),
                (Self::Dots | Self::Values, '_') => out.push_str("__"),
                (_, c) if fine => out.push(c),
                (Self::Dots, _) => out.push_str("__"),
                (Self::Values, c) => out.push_str(&format!("_{:x}_", c as u32)),
                _ => out.push('_'),
            }
        }
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides() {
        for (accept, want) in [
            ("", Escaping::Underscores),
            ("*/*", Escaping::Underscores),
            ("text/plain;version=0.0.4", Escaping::Underscores),
            (
                "text/plain;version=1.0.0;escaping=allow-utf-8",
                Escaping::AllowUtf8,
            ),
            ("text/plain; version=0.0.4; escaping=dots", Escaping::Dots),
            ("text/plain; escaping=nope", Escaping::Underscores),
            // What Prometheus 3 sends.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Escaping::AllowUtf8,
            ),
            (
                "text/plain;escaping=values;q=0.3,text/plain;version=0.0.4;escaping=dots;q=0.4",
                Escaping::Dots,
            ),
        ] {
            assert_eq!(Escaping::negotiate(accept), (want, false), "{accept}");
        }
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, want) in [
            (
                format!("{protobuf};q=0.7,text/plain;q=0.3"),
                (Escaping::Underscores, true),
            ),
            (
                format!("{protobuf};escaping=allow-utf-8"),
                (Escaping::AllowUtf8, true),
            ),
            (
                format!("{protobuf};q=0.1,text/plain"),
                (Escaping::Underscores, false),
            ),
            (
                protobuf.replace("delimited", "text"),
                (Escaping::Underscores, false),
            ),
        ] {
            assert_eq!(Escaping::negotiate(&accept), want, "{accept}");
        }
    }

    #[test]
    fn names() {
        for (escaping, name, want) in [
            (Escaping::AllowUtf8, "a.b_é", "a.b_é"),
            (Escaping::Underscores, "a.b_é", "a_b__"),
            (Escaping::Underscores, "1a:b", "_a:b"),
            (Escaping::Dots, "a.b_é", "a_dot_b____"),
            (Escaping::Dots, "a_b", "a__b"),
            (Escaping::Values, "a.b_é", "U__a_2e_b___e9_"),
            (Escaping::Values, "a_b", "a_b"),
        ] {
            assert_eq!(escaping.name(name), want, "{escaping:?} {name}");
        }
        assert_eq!(Escaping::Underscores.label("a:b"), "a_b");
    }
}
