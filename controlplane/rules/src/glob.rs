//! Files by pattern, as Go's `filepath.Glob`: `*`, `?`, `[a-z]` and `\` in any part of a path.

use std::path::{Component, Path, PathBuf};

/// A pattern that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// The existing files and folders that a pattern names, sorted. Blocks on the disk.
///
/// # Errors
/// [`BadPattern`]. What cannot be read is left out.
pub fn glob(pattern: &Path) -> Result<Vec<PathBuf>, BadPattern> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy().into_owned();
        let is_plain =
            !matches!(part, Component::Normal(_)) || !text.contains(['*', '?', '[', '\\']);
        if is_plain {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        matches(&text, "")?;
        let folders = std::mem::take(&mut found);
        for folder in folders {
            for name in names(&folder) {
                if matches(&text, &name)? {
                    found.push(folder.join(name));
                }
            }
        }
    }
    found.retain(|path| std::fs::symlink_metadata(path).is_ok());
    Ok(found)
}

fn names(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.filter_map(Result::ok).map(|e| e.file_name());
    let mut names: Vec<String> = names.filter_map(|n| n.into_string().ok()).collect();
    names.sort();
    names
}

/// Whether a name matches a pattern for one part of a path.
fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    check(&pattern)?;
    // Positions to go back to when a star has to take one more character.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() || p < pattern.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n + 1));
            p += 1;
            continue;
        }
        if n < name.len()
            && let Some(next) = step(&pattern, p, name[n])
        {
            (p, n) = (next, n + 1);
            continue;
        }
        match star {
            Some((at, from)) if from <= name.len() => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from);
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The position behind one element of the pattern when it takes the character.
fn step(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1) == Some(&c)).then_some(at + 2),
        '[' => {
            let (hit, end) = class(pattern, at, c)?;
            hit.then_some(end)
        }
        p => (*p == c).then_some(at + 1),
    }
}

/// Whether a class takes the character, and the position behind it; `None` for a malformed one.
fn class(pattern: &[char], at: usize, c: char) -> Option<(bool, usize)> {
    let mut at = at + 1;
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let (mut hit, mut count) = (false, 0);
    loop {
        if pattern.get(at) == Some(&']') && count > 0 {
            return Some((hit != negated, at + 1));
        }
        let (low, next) = class_char(pattern, at)?;
        let (high, next) = if pattern.get(next) == Some(&'-') {
            class_char(pattern, next + 1)?
        } else {
            (low, next)
        };
        hit |= low <= c && c <= high;
        count += 1;
        at = next;
    }
}

fn class_char(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match pattern.get(at)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        c => Some((*c, at + 1)),
    }
}

fn check(pattern: &[char]) -> Result<(), BadPattern> {
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        at = match c {
            '\\' if at + 1 == pattern.len() => return Err(BadPattern),
            '\\' => at + 2,
            '[' => class(pattern, at, ' ').ok_or(BadPattern)?.1,
            _ => at + 1,
        };
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "a", false),
            ("?[a-c][^x]", "zbq", true),
            ("?[a-c][^x]", "zbx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(expected), "{pattern} {name}");
        }
        for bad in ["[", "[]", "a\\", "[a-]"] {
            assert_eq!(matches(bad, "a"), Err(BadPattern), "{bad}");
        }
    }

    #[test]
    fn files_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/2.yml", "a/1.yml", "a/0.yml", "a/x.txt"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = glob(&dir.path().join("*/?.yml")).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|p| p.strip_prefix(dir.path()).unwrap())
            .collect();
        assert_eq!(
            names,
            [
                Path::new("a/0.yml"),
                Path::new("a/1.yml"),
                Path::new("b/2.yml")
            ]
        );
        assert!(glob(&dir.path().join("none.yml")).unwrap().is_empty());
    }
}
