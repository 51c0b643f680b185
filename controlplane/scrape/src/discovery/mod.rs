//! Where targets come from.

/// A file pattern of `file_sd_configs`: `*` only in the last part, which ends in `.json`, `.yml` or `.yaml`.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), ()> {
    let (dir, file) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let ending = [".json", ".yml", ".yaml"]
        .iter()
        .any(|ending| file.len() > ending.len() && file.ends_with(ending));
    if ending && !dir.contains('*') && file.matches('*').count() <= 1 {
        Ok(())
    } else {
        Err(())
    }
}
