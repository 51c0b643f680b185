//! Repair of damaged segments.
//!
//! A torn end is cut off. Damage with good records behind it is healed by writing all good records to a new
//! file that takes the segment's name; the damaged file stays beside it as `<segment>.corrupt`, which no
//! reader takes for a segment. Prometheus would delete everything behind the first damage; records are
//! checked one by one with a CRC, so keeping the later ones is safe.

use std::io;
use std::path::Path;

use super::page;
use super::reader::{Damage, Item, SegmentReader};
use crate::files::{self, Buffered, Files};

/// Heals a segment in which `first` was found; `salvaged` says whether good records follow it.
///
/// # Errors
/// The system's error.
pub(crate) fn repair(
    files: &dyn Files,
    path: &Path,
    first: &Damage,
    salvaged: bool,
) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    if salvaged {
        let rewritten = path.with_extension("repair");
        let mut out = Buffered::create(files, &files::fresh(files, rewritten.clone())?)?;
        let mut reader = SegmentReader::open(files, path)?;
        let mut pos = 0u64;
        let mut bytes = Vec::new();
        while let Some(item) = reader.next()? {
            if let Item::Record(record) = item {
                bytes.clear();
                page::layout(&mut bytes, pos, 0, &record);
                out.put(&bytes)?;
                pos += bytes.len() as u64;
            }
        }
        out.put(&vec![0; page::padding(pos)])?;
        out.finish()?;
        let aside = files::fresh(files, path.with_extension("corrupt"))?;
        files.hard_link(path, &aside)?;
        files.rename(&rewritten, path)?;
    } else {
        files.truncate(path, first.offset)?;
    }
    files.sync_dir(dir)
}
