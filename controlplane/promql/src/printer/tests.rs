//! Canonical and multi-line texts.
