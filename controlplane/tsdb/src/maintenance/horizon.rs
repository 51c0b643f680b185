//! The time before which the log says nothing any more.
//!
//! As a rule the newest block of in-order samples says where the head begins. When such a block goes without a
//! successor (beyond the size limit, or because all its samples were deleted), the log and the files of head chunks
//! may still have its samples, and the next start would bring them back. So before the block goes its end is written
//! to a file of its own: the time in milliseconds as text, a space, and the CRC-32C of that text in hexadecimal.
//! Prometheus, which lets the samples come back, does not look at the file.

use std::path::Path;

use crate::encoding::crc32c;
use crate::error::TsdbError;
use crate::files::{self, Files};

/// Name of the file in the data directory.
pub(crate) const FILE: &str = "horizon";

/// The horizon of a directory, `i64::MIN` without one. A damaged file counts as none: better samples that should be
/// gone than good ones that are not read.
///
/// # Errors
/// The system's error.
pub(crate) fn read(files: &dyn Files, dir: &Path) -> Result<i64, TsdbError> {
    let path = dir.join(FILE);
    let bytes = match files.read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(i64::MIN),
        other => other.map_err(TsdbError::io("cannot read", &path))?,
    };
    let horizon = parse(&bytes);
    if horizon.is_none() {
        tracing::error!(path = %path.display(), "damaged and ignored: deleted samples may come back from the log");
    }
    Ok(horizon.unwrap_or(i64::MIN))
}

/// Sets the horizon of a directory so that it survives a crash of the machine.
///
/// # Errors
/// The system's error; then the old horizon holds.
pub(crate) fn write(files: &dyn Files, dir: &Path, horizon: i64) -> Result<(), TsdbError> {
    files::write_atomic(files, dir, FILE, format(horizon).as_bytes())
        .map_err(TsdbError::io("cannot write", &dir.join(FILE)))
}

fn format(horizon: i64) -> String {
    let time = horizon.to_string();
    let crc = crc32c(time.as_bytes());
    format!("{time} {crc:08x}\n")
}

fn parse(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (time, _) = text.split_once(' ')?;
    let horizon = time.parse().ok()?;
    (format(horizon) == text).then_some(horizon)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::files::RealFiles;

    #[test]
    fn a_horizon_is_read_back_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealFiles, dir.path()).unwrap(), i64::MIN);
        for horizon in [i64::MIN, -1, 0, 1_700_006_400_000, i64::MAX] {
            write(&RealFiles, dir.path(), horizon).unwrap();
            assert_eq!(read(&RealFiles, dir.path()).unwrap(), horizon);
        }
        let path = dir.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                std::fs::write(&path, bad).unwrap();
                assert_eq!(read(&RealFiles, dir.path()).unwrap(), i64::MIN);
            }
        }
    }
}
