//! What is wrong with a document.

use std::fmt::{self, Write as _};

use serde::de;

use crate::node::Place;

/// A step from a value to one in it.
#[derive(Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// A mistake. Place and path are filled in on the way out.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) message: String,
    pub(super) place: Option<Place>,
    /// From the mistake outwards.
    pub(super) segments: Vec<Segment>,
}

impl Error {
    pub(super) fn new(message: impl Into<String>, place: Place) -> Self {
        Self {
            message: message.into(),
            place: Some(place),
            segments: Vec::new(),
        }
    }

    /// The same at a place, unless a nearer one is known.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    /// The same in a value.
    pub(super) fn under(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// The path from the document: `planes[1].ports`.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.segments.iter().rev() {
            match segment {
                Segment::Key(key) if path.is_empty() => path.push_str(key),
                Segment::Key(key) => {
                    let _ = write!(path, ".{key}");
                }
                Segment::Index(index) => {
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            place: None,
            segments: Vec::new(),
        }
    }
}
