//! File patterns, as Go's `filepath.Glob` reads them, in the last part of a path.

use std::path::{Path, PathBuf};

/// The existing files of a pattern, sorted. A path without wildcards is itself.
pub(super) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = match pattern.file_name() {
        Some(name) => name.to_string_lossy(),
        None => return Vec::new(),
    };
    if !name.contains(['*', '?', '[', '\\']) {
        return vec![pattern.to_owned()];
    }
    let dir = match pattern.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let pattern: Vec<char> = name.chars().collect();
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| {
            let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
            matches(&pattern, &name)
        })
        .map(|entry| dir.join(entry.file_name()))
        .collect();
    paths.sort();
    paths
}

/// `*` any text, `?` any character, `[a-c]` and `[^a-c]` one of a class, `\` takes the next character as it is.
fn matches(pattern: &[char], name: &[char]) -> bool {
    // Where to go on when the text after the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    loop {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p, n));
            p += 1;
            continue;
        }
        if p == pattern.len() && n == name.len() {
            return true;
        }
        if let Some(&c) = name.get(n)
            && let Some(len) = one(&pattern[p..], c)
        {
            p += len;
            n += 1;
            continue;
        }
        match &mut retry {
            Some((star, taken)) if *taken < name.len() => {
                *taken += 1;
                (p, n) = (*star + 1, *taken);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern matches one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => {
            let negated = pattern.get(1) == Some(&'^');
            let start = 1 + usize::from(negated);
            let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
            let class = &pattern[start..end];
            (in_class(class, c) != negated).then_some(end + 1)
        }
        literal => (*literal == c).then_some(1),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    match class {
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&c) || in_class(rest, c),
        [one, rest @ ..] => *one == c || in_class(rest, c),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("*.json", "a.json", true),
            ("*.json", ".json", true),
            ("*.json", "a.jso", false),
            ("a*b*.yml", "axbyb.yml", true),
            ("a*b*.yml", "axy.yml", false),
            ("?[a-c][^x].yml", "1by.yml", true),
            ("?[a-c][^x].yml", "1bx.yml", false),
            ("\\*.yml", "*.yml", true),
            ("\\*.yml", "a.yml", false),
            ("[", "[", false),
            ("**", "", true),
        ] {
            let chars = |text: &str| -> Vec<char> { text.chars().collect() };
            assert_eq!(
                matches(&chars(pattern), &chars(name)),
                want,
                "{pattern} {name}"
            );
        }
    }
}
