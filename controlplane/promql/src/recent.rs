//! Expressions that were parsed lately, by their texts: dashboards ask the same again and again. What takes most of the
//! time are regular expressions.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};

use crate::ast::{Expr, ExprKind};
use crate::parser::ParseError;
use crate::walk;

/// Expressions that are remembered. Two that share a place forget each other.
const PLACES: usize = 128;
/// Longer texts are not remembered.
const LONGEST: usize = 2048;

type Place = Mutex<Option<(Box<str>, Arc<Expr>)>>;

/// Expressions by their texts.
#[derive(Debug)]
pub(crate) struct Recent {
    places: Box<[Place]>,
    hasher: RandomState,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Recent {
    /// The expression of a text; `parse` is asked where it is not remembered.
    pub(crate) fn get(
        &self,
        text: &str,
        parse: impl FnOnce(&str) -> Result<Expr, ParseError>,
    ) -> Result<Arc<Expr>, ParseError> {
        if text.len() > LONGEST {
            return parse(text).map(Arc::new);
        }
        let place = &self.places[self.hasher.hash_one(text) as usize % PLACES];
        // Where somebody else is at it, parsing costs less than waiting.
        if let Ok(place) = place.try_lock()
            && let Some((known, expr)) = &*place
            && **known == *text
        {
            return Ok(Arc::clone(expr));
        }
        let expr = Arc::new(parse(text)?);
        if is_small(&expr)
            && let Ok(mut place) = place.try_lock()
        {
            *place = Some((text.into(), Arc::clone(&expr)));
        }
        Ok(expr)
    }
}

/// Whether no regular expression takes much memory.
fn is_small(expr: &Expr) -> bool {
    let mut small = true;
    walk::visit(expr, |expr| {
        let selector = match &expr.kind {
            ExprKind::VectorSelector(selector) => selector,
            ExprKind::MatrixSelector(matrix) => &matrix.vector,
            _ => return,
        };
        let mut regexes = selector.matchers.iter().filter_map(|m| m.regex());
        small &= regexes.all(|regex| regex.is_small());
    });
    small
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::parser::{ParseOptions, parse};

    #[test]
    fn small_expressions_are_parsed_once() {
        let large = format!("{{a=~\"{}\"}}", r"(\\pL{9}b?){40}");
        let long = format!("a{}", " + a".repeat(LONGEST / 4));
        for (text, wanted) in [
            ("sum(a{b=~\"c.d|e\"})", 1),
            ("a", 1),
            (&*large, 3),
            (&*long, 3),
            ("sum(", 3),
        ] {
            let (recent, mut parsed) = (Recent::default(), 0);
            for _ in 0..3 {
                let got = recent.get(text, |text| {
                    parsed += 1;
                    parse(text, &ParseOptions::default())
                });
                let fresh = parse(text, &ParseOptions::default());
                assert_eq!(got.is_ok(), fresh.is_ok());
                assert_eq!(
                    got.ok().map(|e| e.to_string()),
                    fresh.ok().map(|e| e.to_string())
                );
            }
            assert_eq!(parsed, wanted, "{text}");
        }
    }

    #[test]
    fn many_share_the_places() {
        let recent = Recent::default();
        for round in 0..2 {
            for i in 0..4 * PLACES {
                let text = format!("a{i}");
                let got = recent.get(&text, |text| parse(text, &ParseOptions::default()));
                assert_eq!(got.unwrap().to_string(), text, "round {round}");
            }
        }
    }
}
