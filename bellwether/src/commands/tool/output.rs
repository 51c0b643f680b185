//! What the tools print.

use std::io::{self, Write as _};

/// Writes to the standard output. A reader that went away (`| head`) is no error.
pub(super) fn put(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// [`put`] with an end of line.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    put(&format!("{text}\n"))
}

/// Tells something on the standard error output; where nobody reads that, nothing can be told.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
