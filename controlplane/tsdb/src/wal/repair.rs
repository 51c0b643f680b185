//! Repair of damaged segments.
//!
//! A torn end is cut off. Damage with good records behind it is healed by writing all good records to a new
//! file that takes the segment's name; the damaged file stays beside it as `<segment>.corrupt`, which no
//! reader takes for a segment. Prometheus would delete everything behind the first damage; records are
//! checked one by one with a CRC, so keeping the later ones is safe.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::page;
use super::reader::{Damage, Item, SegmentReader};
use super::segments;

/// Heals a segment in which `first` was found; `salvaged` says whether good records follow it.
///
/// # Errors
/// The system's error.
pub(crate) fn repair(path: &Path, first: &Damage, salvaged: bool) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    if salvaged {
        let rewritten = path.with_extension("repair");
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&rewritten)?;
        let mut reader = SegmentReader::open(path)?;
        let mut pos = 0u64;
        let mut bytes = Vec::new();
        while let Some(item) = reader.next()? {
            if let Item::Record(record) = item {
                bytes.clear();
                page::layout(&mut bytes, pos, 0, &record);
                out.write_all(&bytes)?;
                pos += bytes.len() as u64;
            }
        }
        out.write_all(&vec![0; page::padding(pos)])?;
        out.sync_all()?;
        let aside = path.with_extension("corrupt");
        let _ = fs::remove_file(&aside);
        fs::hard_link(path, &aside)?;
        fs::rename(&rewritten, path)?;
    } else {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(first.offset)?;
        file.sync_all()?;
    }
    segments::sync_dir(dir)
}
