//! Paths that a configuration file names.

use std::path::{Component, Path, PathBuf};

/// A path as seen from where the program runs: a relative one starts at `dir`, the folder of the file. As Go's
/// `filepath.Join` it has no needless dots and slashes; an empty one stays empty.
#[must_use]
pub fn join_dir(dir: &Path, path: &str) -> String {
    if path.is_empty() || Path::new(path).is_absolute() {
        return path.to_owned();
    }
    let mut clean = PathBuf::new();
    for part in dir.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir) => {}
                _ => clean.push(part),
            },
            part => clean.push(part),
        }
    }
    if clean.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        clean.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_by_go() {
        for (dir, path, expected) in [
            ("etc", "a.yml", "etc/a.yml"),
            (".", "./a//b.yml", "a/b.yml"),
            ("/etc", "../a/./b", "/a/b"),
            ("/", "../a", "/a"),
            ("x", "../../a", "../a"),
            ("x", "..", "."),
            ("x", "/a/./b", "/a/./b"),
            ("x", "", ""),
        ] {
            assert_eq!(join_dir(Path::new(dir), path), expected, "{dir} {path}");
        }
    }
}
