//! Making label sets of what an interface says.

use std::fmt::Display;

use bellwether_model::Labels;

/// Everything but letters, digits and underscores becomes an underscore: names of tags and annotations as parts of
/// label names.
pub(crate) fn sanitize(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// `host:port`; an IPv6 address gets brackets.
pub(crate) fn host_port(host: &str, port: impl Display) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Values between separators, also at both ends, so that a pattern needs no special case for the first and the last.
pub(crate) fn joined<T: AsRef<str>>(values: &[T], separator: &str) -> String {
    let mut out = separator.to_owned();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(value.as_ref());
    }
    out.push_str(separator);
    out
}

/// A label set under construction: a later value of a name replaces an earlier one. Empty values are no labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set(Vec<(String, String)>);

impl Set {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// `prefix` and the sanitised name.
    pub(crate) fn set_all<'a>(
        &mut self,
        prefix: &str,
        pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> &mut Self {
        for (name, value) in pairs {
            self.set(format!("{prefix}{}", sanitize(name)), value.as_str());
        }
        self
    }

    pub(crate) fn extend(&mut self, other: &Self) -> &mut Self {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// The last value of a name.
    pub(crate) fn value(&self, name: &str) -> &str {
        let found = self.0.iter().rev().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn build(mut self) -> Labels {
        // Stable: of equal names the last one stays.
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        self.0.reverse();
        self.0.dedup_by(|later, kept| later.0 == kept.0);
        self.0.reverse();
        self.0.retain(|(_, value)| !value.is_empty());
        Labels::from_sorted(self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building() {
        let mut set = Set::new();
        set.set("b", "1")
            .set("a", "x")
            .set("b", "2")
            .set("c", "")
            .set("b", "3")
            .set("d", "y")
            .set("d", "");
        assert_eq!(set.value("b"), "3");
        assert_eq!(set.build().to_string(), r#"{a="x", b="3"}"#);
    }

    #[test]
    fn texts() {
        assert_eq!(
            sanitize("app.kubernetes.io/näme-1"),
            "app_kubernetes_io_n_me_1"
        );
        assert_eq!(host_port("::1", 80), "[::1]:80");
        assert_eq!(host_port("h", "90"), "h:90");
        assert_eq!(joined(&["a", "b"], ","), ",a,b,");
        assert_eq!(joined::<&str>(&[], ","), ",,");
    }
}
