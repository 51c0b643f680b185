//! "Did you mean": the nearest of the names that exist.

/// The candidate with the smallest edit distance, when it is near enough to be a likely typing mistake
/// (a third of the word's length, at least one edit).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(d, _)| *d <= (word.len() / 3).max(1) + 1)
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

/// Reads the parser's "unknown field `x`, expected one of a, b".
pub(crate) fn for_unknown_field(message: &str) -> Option<String> {
    let tail = &message[message.find("unknown field `")? + "unknown field `".len()..];
    let (unknown, expected) = tail.split_once('`')?;
    let names = expected
        .split(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)))
        .filter(|word| !matches!(*word, "" | "expected" | "one" | "of" | "or"));
    nearest(unknown, names).map(str::to_owned)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_only() {
        let known = ["scrape_interval", "scrape_timeout", "job_name"];
        assert_eq!(nearest("scrape_intervall", known), Some("scrape_interval"));
        assert_eq!(nearest("jobname", known), Some("job_name"));
        assert_eq!(nearest("completely_else", known), None);
    }
}
