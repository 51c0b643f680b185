//! `queries.active` in the data directory: which queries run at this moment, in Prometheus' format.
//!
//! ```text
//! [ {"query":"up","timestamp_sec":1700000000} 0 0 ... ,  0 0 0 ...  ,  ...
//! ^ ^--------- one slot of 1000 bytes for each query that may run at one time ---------^
//! ```
//!
//! What the operating system was given survives the death of the process. What is in the file at the start are the
//! queries that did not finish: they are logged, because one of them may be the reason.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

/// Prometheus' name of the file.
const FILE: &str = "queries.active";
/// Bytes of a slot; the last one is a comma.
const SLOT_BYTES: usize = 1000;

/// The file and its free slots.
pub(crate) struct ActiveQueries {
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Offsets.
    free: Vec<u64>,
}

/// A query's place in the file; cleared when dropped.
pub(crate) struct ActiveQuery {
    queries: Arc<ActiveQueries>,
    offset: u64,
}

impl ActiveQueries {
    /// Logs what the last run left, then begins the file anew with this many slots. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn open(dir: &Path, slots: usize) -> io::Result<Arc<Self>> {
        let path = dir.join(FILE);
        if let Some(queries) = std::fs::read(&path).ok().and_then(|old| unfinished(&old)) {
            tracing::info!(
                queries,
                "These queries didn't finish in prometheus' last run:"
            );
        }
        let mut file = File::create(&path)?;
        file.write_all(b"[")?;
        file.set_len(1 + slots as u64 * SLOT_BYTES as u64)?;
        let free = (0..slots as u64)
            .rev()
            .map(|i| 1 + i * SLOT_BYTES as u64)
            .collect();
        Ok(Arc::new(Self {
            state: Mutex::new(State { file, free }),
        }))
    }

    /// Notes a query that begins. `None` when there are more queries than slots, or the disk refuses.
    pub(crate) fn begin(self: &Arc<Self>, query: &str, now_s: i64) -> Option<ActiveQuery> {
        let mut slot = entry(query, now_s);
        slot.resize(SLOT_BYTES - 1, 0);
        slot.push(b',');
        let mut state = self.state.lock();
        let offset = state.free.pop()?;
        if let Err(error) = state.write(offset, &slot) {
            tracing::debug!(%error, "cannot note an active query");
            state.free.push(offset);
            return None;
        }
        Some(ActiveQuery {
            queries: Arc::clone(self),
            offset,
        })
    }
}

impl State {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }
}

impl Drop for ActiveQuery {
    fn drop(&mut self) {
        let mut state = self.queries.state.lock();
        if let Err(error) = state.write(self.offset, &[0; SLOT_BYTES]) {
            tracing::debug!(%error, "cannot clear an active query");
        }
        state.free.push(self.offset);
    }
}

/// The JSON of a query, cut so that it fits into a slot.
fn entry(query: &str, now_s: i64) -> Vec<u8> {
    let json = |query: &str| {
        serde_json::json!({ "query": query, "timestamp_sec": now_s })
            .to_string()
            .into_bytes()
    };
    let mut room = SLOT_BYTES - 1 - json("").len();
    loop {
        let cut = query.floor_char_boundary(room.min(query.len()));
        let entry = json(&query[..cut]);
        // Escapes make a character up to six times as long.
        match entry.len().checked_sub(SLOT_BYTES - 1) {
            Some(over) if over > 0 => room = cut.saturating_sub(over.div_ceil(6)),
            _ => return entry,
        }
    }
}

/// The queries of an old file as a JSON list.
fn unfinished(old: &[u8]) -> Option<String> {
    let text: Vec<u8> = old.iter().copied().filter(|b| *b != 0).collect();
    let text = String::from_utf8_lossy(&text);
    // "[" alone is a file without queries; else the last comma makes room for the bracket.
    let queries = text.strip_suffix(',')?;
    Some(format!("{queries}]"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn on_disk(dir: &Path) -> Vec<u8> {
        std::fs::read(dir.join(FILE)).unwrap()
    }

    #[test]
    fn a_killed_run_leaves_its_queries() {
        let dir = tempfile::tempdir().unwrap();
        let queries = ActiveQueries::open(dir.path(), 3).unwrap();
        assert_eq!(unfinished(&on_disk(dir.path())), None);
        let first = queries.begin("up", 5).unwrap();
        let second = queries.begin("rate(x{a=\"\n\"}[5m])", 6).unwrap();
        let third = queries.begin("c", 7).unwrap();
        assert!(queries.begin("d", 8).is_none(), "there are three slots");
        drop(second);
        let left = on_disk(dir.path());
        assert_eq!(left.len(), 3001);
        assert_eq!((left[0], left[1000]), (b'[', b','));
        let left: serde_json::Value = serde_json::from_str(&unfinished(&left).unwrap()).unwrap();
        assert_eq!(
            left,
            serde_json::json!([{"query": "up", "timestamp_sec": 5}, {"query": "c", "timestamp_sec": 7}])
        );
        drop((first, third));
        assert_eq!(unfinished(&on_disk(dir.path())), None);
        let again = queries.begin("e", 9).unwrap();
        assert!(unfinished(&on_disk(dir.path())).is_some());
        drop(again);
    }

    #[test]
    fn long_queries_are_cut_between_characters() {
        for query in ["é".repeat(2000), "\"".repeat(2000), "a".repeat(960)] {
            let entry = entry(&query, 1_700_000_000);
            assert!(entry.len() < SLOT_BYTES, "{}", entry.len());
            let parsed: serde_json::Value = serde_json::from_slice(&entry).unwrap();
            let kept = parsed["query"].as_str().unwrap();
            assert!(query.starts_with(kept) && kept.len() > 400);
        }
    }
}
