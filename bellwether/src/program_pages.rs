//! Gives back the pages of the program itself that only its start needed.
//!
//! The kernel maps program text in pieces of 64 KiB around each page that is touched, and keeps them: reading the
//! configuration and building clients, routes and tables leaves 20 MB resident, of which a server at work uses a third
//! (`bench/RESULTS.md`). Unmapped pages stay in the page cache, so that one that is needed again costs a minor fault of
//! about a microsecond. Once a minute is rare enough for that to be nothing, and often enough that what a compaction
//! or an unusual query touched does not stay either.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

/// The start is over by then.
const FIRST: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(60);

/// A constant of the program, to find the mapping of all of them by.
static CONSTANT: &str = "bellwether";

/// Gives the pages back again and again; never ends. Nothing to own: it stops where it is dropped.
pub(crate) async fn give_back_regularly() -> Infallible {
    tokio::time::sleep(FIRST).await;
    // Reading smaps walks all pages of the process.
    let mappings = tokio::task::spawn_blocking(own_mappings);
    let mappings = mappings.await.unwrap_or_default();
    loop {
        for mapping in &mappings {
            give_back(mapping);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Code and constants of this program, which stay mapped as long as it runs. Without `/proc` none.
fn own_mappings() -> Vec<Range<usize>> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let code = give_back_regularly as fn() -> _ as usize;
    let constants = CONSTANT.as_ptr() as usize;
    let mut found = unwritten(&smaps);
    found.retain(|range| range.contains(&code) || range.contains(&constants));
    found
}

/// The mappings, by `/proc/PID/smaps` (proc(5)), that hold a file's own bytes and nothing else: private, not writable,
/// without a copied page. What the dynamic linker relocated has copied pages.
fn unwritten(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(header) = file_mapping(line) {
            current = header;
        } else if line.strip_prefix("Anonymous:").map(str::trim) == Some("0 kB") {
            found.extend(current.take());
        }
    }
    found
}

/// `None` if the line does not begin a mapping, `Some(None)` if it begins one that is writable, shared or no file's.
fn file_mapping(line: &str) -> Option<Option<Range<usize>>> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    let mode = fields.next()?;
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((is_file && matches!(mode, "r-xp" | "r--p")).then_some(range))
}

fn give_back(mapping: &Range<usize>) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is a mapping of this program's own code or constants (it holds one of them), so it is never
    // unmapped while the program runs. It is private and not writable, and no page of it was a copy after the dynamic
    // linker had done its work: every page that is touched again is read from the file with the same content
    // (madvise(2), MADV_DONTNEED).
    #[allow(unsafe_code)]
    unsafe {
        libc::madvise(
            mapping.start as *mut libc::c_void,
            mapping.len(),
            libc::MADV_DONTNEED,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 1 /bin/program
Rss: 8 kB
Anonymous: 0 kB
3000-9000 r-xp 00002000 fe:00 1 /bin/a program with blanks
Anonymous:             0 kB
9000-a000 r--p 00008000 fe:00 1 /bin/program
Anonymous: 4 kB
a000-b000 rw-p 00009000 fe:00 1 /bin/program
Anonymous: 0 kB
b000-c000 r--s 00000000 fe:00 2 /data/chunks
Anonymous: 0 kB
c000-d000 r--p 00000000 00:00 0
Anonymous: 0 kB
d000-e000 r-xp 00000000 00:00 0 [vdso]
Anonymous: 0 kB
";

    #[test]
    fn only_unwritten_private_file_mappings_are_taken() {
        assert_eq!(unwritten(SMAPS), [0x1000..0x3000, 0x3000..0x9000]);
        assert!(unwritten("").is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_goes_on_with_less_of_itself_resident() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|l| l.strip_prefix("RssFile:"));
            let field = line.and_then(|l| l.split_whitespace().next()).unwrap();
            field.parse::<usize>().unwrap()
        };
        let mappings = own_mappings();
        assert!(!mappings.is_empty());
        assert!(
            mappings
                .iter()
                .any(|m| m.contains(&(own_mappings as fn() -> _ as usize)))
        );
        let before = resident();
        for mapping in &mappings {
            give_back(mapping);
        }
        assert!(resident() < before, "{before} KiB before");
        assert_eq!(CONSTANT, "bellwether");
        assert_eq!(unwritten(SMAPS).len(), 2);
    }
}
