//! How well a name fits a search term: 0 (not at all) to 1. Prometheus 3.14's two scorers.

/// A match that is not the whole name stays below 1, so that it can be told from one that is.
const PARTIAL: f64 = 0.999;

/// The algorithm of `fuzz_alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The term's characters in order, with anything in between.
    Subsequence,
    /// The term as it is; else by the similarity of Jaro and Winkler.
    JaroWinkler,
}

impl Algorithm {
    pub(super) const ALL: [(&'static str, Self); 2] = [
        ("subsequence", Self::Subsequence),
        ("jarowinkler", Self::JaroWinkler),
    ];
}

/// Search terms with their settings.
pub(super) struct Filter {
    /// Empty: everything fits.
    pub(super) terms: Vec<String>,
    pub(super) algorithm: Algorithm,
    /// Least score, 0 to 1.
    pub(super) threshold: f64,
    pub(super) case_sensitive: bool,
}

impl Filter {
    /// The best score over the terms; `None` when none fits.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let folded = (!self.case_sensitive).then(|| name.to_lowercase());
        let name = folded.as_deref().unwrap_or(name);
        let scores = self.terms.iter().filter_map(|term| self.one(term, name));
        scores.reduce(f64::max)
    }

    fn one(&self, term: &str, name: &str) -> Option<f64> {
        match self.algorithm {
            Algorithm::Subsequence => {
                if name.starts_with(term) {
                    return Some(1.0);
                }
                let score = subsequence(term, name);
                (score > 0.0 && score >= self.threshold).then_some(score)
            }
            Algorithm::JaroWinkler => substring(term, name).or_else(|| {
                // Without a threshold only the term itself counts.
                let fuzzy = (self.threshold > 0.0).then(|| jaro_winkler(term, name));
                fuzzy.filter(|score| *score >= self.threshold)
            }),
        }
    }
}

/// 1 at the beginning, falling to 0.1 at the end.
fn substring(term: &str, name: &str) -> Option<f64> {
    let at = name.find(term)?;
    let position = name[..at].chars().count();
    let last = name.chars().count().saturating_sub(term.chars().count());
    if position == 0 || last == 0 {
        return Some(1.0);
    }
    Some(1.0 - 0.9 * position as f64 / last as f64)
}

/// Runs of matched characters count by the square of their length; gaps before and between them cost their share of
/// the name's length, a gap at the end half of that.
fn subsequence(term: &str, name: &str) -> f64 {
    if term == name {
        return 1.0;
    }
    let (term, name): (Vec<char>, Vec<char>) = (term.chars().collect(), name.chars().collect());
    let Some(last_start) = name.len().checked_sub(term.len()) else {
        return 0.0;
    };
    let mut best: Option<f64> = None;
    for start in (0..=last_start).filter(|i| name[*i] == term[0]) {
        // What does not fit from here fits from no later place.
        let Some(score) = subsequence_from(&term, &name, start) else {
            break;
        };
        best = Some(best.map_or(score, |b: f64| b.max(score)));
    }
    match best {
        Some(best) if best >= 0.0 => best / (term.len() * term.len()) as f64 * PARTIAL,
        _ => 0.0,
    }
}

fn subsequence_from(term: &[char], name: &[char], start: usize) -> Option<f64> {
    let share = 1.0 / name.len() as f64;
    let (mut score, mut matched, mut at, mut end) = (0.0, 0, start, 0);
    while matched < term.len() {
        let from = at + name[at..].iter().position(|c| *c == term[matched])?;
        let run = name[from..]
            .iter()
            .zip(&term[matched..])
            .take_while(|(a, b)| a == b)
            .count();
        score -= (from - end) as f64 * share;
        score += (run * run) as f64;
        matched += run;
        at = from + run;
        end = at;
    }
    Some(score - (name.len() - end) as f64 * share * 0.5)
}

/// The similarity of two texts, raised for a common beginning of up to four characters.
fn jaro_winkler(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let (mut short, mut long): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if short.len() > long.len() {
        std::mem::swap(&mut short, &mut long);
    }
    let distance = (long.len() / 2).saturating_sub(1);
    let mut taken = vec![false; long.len()];
    let mut matched = Vec::with_capacity(short.len());
    for (i, c) in short.iter().enumerate() {
        let window = i.saturating_sub(distance)..(i + distance + 1).min(long.len());
        if let Some(j) = window.into_iter().find(|j| !taken[*j] && long[*j] == *c) {
            taken[j] = true;
            matched.push(*c);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let others = long.iter().zip(&taken).filter(|(_, taken)| **taken);
    let swapped = matched
        .iter()
        .zip(others)
        .filter(|(a, (b, _))| a != b)
        .count();
    let n = matched.len() as f64;
    let by_length = n * (1.0 / short.len() as f64) + n * (1.0 / long.len() as f64);
    let jaro = (by_length + (n - swapped as f64 * 0.5) / n) / 3.0;
    let beginning = short.iter().zip(&long).take(4).take_while(|(a, b)| a == b);
    jaro + beginning.count() as f64 * 0.1 * (1.0 - jaro)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn subsequences() {
        assert_eq!(subsequence("up", "up"), 1.0);
        assert_eq!(subsequence("upx", "up"), 0.0);
        assert_eq!(subsequence("pu", "up"), 0.0);
        // Two runs of one, a gap of one, nothing behind.
        close(subsequence("ac", "abc"), (2.0 - 1.0 / 3.0) / 4.0 * PARTIAL);
        // A run of two behind two characters, two behind it.
        close(
            subsequence("cd", "abcdef"),
            (4.0 - 2.0 / 6.0 - 0.5 * 2.0 / 6.0) / 4.0 * PARTIAL,
        );
        // The better of two beginnings.
        close(subsequence("ab", "axab"), (4.0 - 2.0 / 4.0) / 4.0 * PARTIAL);
        assert!(subsequence("é", "caféé") > 0.0);
    }

    #[test]
    fn substrings() {
        assert_eq!(substring("up", "uptime"), Some(1.0));
        assert_eq!(substring("x", "up"), None);
        close(substring("me", "uptime").unwrap(), 0.1);
        close(substring("b", "abc").unwrap(), 0.55);
    }

    #[test]
    fn similarities() {
        // The textbook's examples.
        close(jaro_winkler("MARTHA", "MARHTA"), 0.961_111_111_111);
        close(jaro_winkler("DIXON", "DICKSONX"), 0.813_333_333_333);
        assert_eq!(jaro_winkler("abc", "xyz"), 0.0);
    }

    #[test]
    fn terms_are_alternatives() {
        let filter = |terms: &[&str], algorithm, threshold, case_sensitive| Filter {
            terms: terms.iter().map(|t| (*t).to_owned()).collect(),
            algorithm,
            threshold,
            case_sensitive,
        };
        let any = filter(&["zz", "up"], Algorithm::Subsequence, 0.0, true);
        assert_eq!(any.score("uptime"), Some(1.0));
        assert_eq!(any.score("down"), None);
        assert_eq!(
            filter(&["up"], Algorithm::Subsequence, 0.0, false).score("UP"),
            Some(1.0)
        );
        assert_eq!(
            filter(&[], Algorithm::Subsequence, 1.0, true).score("x"),
            Some(1.0)
        );
        let exact = filter(&["MARTHA"], Algorithm::JaroWinkler, 0.0, true);
        assert_eq!(exact.score("MARHTA"), None);
        let fuzzy = filter(&["MARTHA"], Algorithm::JaroWinkler, 0.9, true);
        assert!(fuzzy.score("MARHTA").is_some());
    }
}
