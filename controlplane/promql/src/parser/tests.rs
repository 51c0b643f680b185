//! Tables of valid and invalid expressions.
