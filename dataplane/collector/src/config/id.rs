//! Component and pipeline ids.

use std::fmt;

use bellwether_otlp::Signal;

const TYPE_LEN_MAX: usize = 63;
const NAME_LEN_MAX: usize = 1024;

/// `type` or `type/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ComponentId {
    /// Type, for example `otlp`.
    pub kind: String,
    /// Name; empty when there is none.
    pub name: String,
}

impl ComponentId {
    /// Parses an id; white space around both parts is cut.
    ///
    /// # Errors
    /// A message that quotes the id.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        if text.trim().is_empty() {
            return Err("the id must not be empty".to_owned());
        }
        if kind.is_empty() {
            return Err(format!(
                "in id {text:?} the part before / must not be empty"
            ));
        }
        if name == Some("") {
            return Err(format!("in id {text:?} the part after / must not be empty"));
        }
        let valid_kind = kind.len() <= TYPE_LEN_MAX
            && kind.starts_with(|c: char| c.is_ascii_alphabetic())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid_kind {
            return Err(format!(
                "in id {text:?} the type {kind:?} has invalid characters: a letter, then letters, digits and _"
            ));
        }
        let name = name.unwrap_or_default();
        if name.chars().count() > NAME_LEN_MAX
            || name.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(format!(
                "in id {text:?} the name {name:?} has invalid characters"
            ));
        }
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

/// `metrics`, `traces/2` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PipelineId {
    /// What flows through it.
    pub signal: Signal,
    /// Name; empty when there is none.
    pub name: String,
}

impl PipelineId {
    /// Parses an id whose type is a signal.
    ///
    /// # Errors
    /// A message that quotes the id.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let id = ComponentId::parse(text)?;
        let signal = Signal::ALL
            .into_iter()
            .find(|s| s.name() == id.kind)
            .ok_or_else(|| {
                format!(
                    "unknown signal {:?} in pipeline id {text:?} (metrics, traces and logs exist)",
                    id.kind
                )
            })?;
        Ok(Self {
            signal,
            name: id.name,
        })
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal.name())?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(
            ComponentId::parse(" otlp / a ").unwrap().to_string(),
            "otlp/a"
        );
        for (bad, part) in [
            ("", "empty"),
            ("/x", "before /"),
            ("otlp/", "after /"),
            ("1x", "\"1x\""),
            ("a-b", "\"a-b\""),
            ("a/b c", "\"b c\""),
        ] {
            let error = ComponentId::parse(bad).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(
            PipelineId::parse("metrics/2").unwrap().to_string(),
            "metrics/2"
        );
        assert!(
            PipelineId::parse("metric")
                .unwrap_err()
                .contains("\"metric\"")
        );
    }
}
