//! A file system in memory that can be filled, broken, killed and cut from power, by the contract of
//! [`bellwether_tsdb::Files`].
//!
//! Every file has what processes see (`live`) and what the medium has (`disk`), and the sectors in which they
//! may differ; every directory has the same two lists of entries and the changes between them. A power cut
//! keeps, of what was not synced, whatever the random numbers say.

mod calls;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::random::Random;

const SECTOR: usize = 512;
const ROOT: u64 = 0;
/// Free bytes of a disk that is not full.
pub(crate) const PLENTY: i64 = 1 << 50;

/// The operations that a broken disk can pretend to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Sync,
    SyncDir,
    Truncate,
}

/// Which operations do nothing and report success.
pub(crate) type Liar = fn(Lie, &Path) -> bool;

#[derive(Clone, Default)]
struct File {
    live: Vec<u8>,
    disk: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// Entries that change together.
type Change = Vec<(OsString, Option<u64>)>;

#[derive(Clone, Default)]
struct Dir {
    live: BTreeMap<OsString, u64>,
    disk: BTreeMap<OsString, u64>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Node {
    File(File),
    Dir(Dir),
}

#[derive(Clone)]
struct State {
    nodes: HashMap<u64, Node>,
    next: u64,
    random: Random,
    /// Rises with every power cut and kill; what an earlier life opened is dead.
    life: u64,
    locked: HashSet<PathBuf>,
    free: i64,
    /// Operations in a thousand that fail.
    error_rate: u64,
    failed_syncs: u64,
    /// A failed sync may lose its content for good.
    forgetful: bool,
    /// Operations until the process is killed.
    fuse: Option<u64>,
    liar: Option<Liar>,
}

/// A disk; clones share it.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn apply(entries: &mut BTreeMap<OsString, u64>, change: &Change) {
    for (name, id) in change {
        match id {
            Some(id) => entries.insert(name.clone(), *id),
            None => entries.remove(name),
        };
    }
}

impl File {
    fn touch(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..=to / SECTOR);
    }

    fn append(&mut self, bytes: &[u8]) {
        let from = self.live.len();
        self.live.extend_from_slice(bytes);
        self.touch(from, self.live.len());
    }

    fn truncate(&mut self, len: usize) {
        self.touch(len, self.live.len());
        self.live.resize(len, 0);
    }

    fn copy_sector(&self, sector: usize, to: &mut [u8], from: &[u8]) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(to.len());
        for (i, byte) in to.iter_mut().enumerate().take(end).skip(start) {
            *byte = from.get(i).copied().unwrap_or(0);
        }
    }

    fn sync(&mut self) {
        let mut disk = std::mem::take(&mut self.disk);
        disk.resize(self.live.len(), 0);
        for s in &self.dirty {
            self.copy_sector(*s, &mut disk, &self.live);
        }
        self.disk = disk;
        self.dirty.clear();
    }

    /// What is there after a power cut.
    fn cut(&mut self, random: &mut Random) {
        let (old, new) = (self.disk.len(), self.live.len());
        let len = match random.below(4) {
            _ if self.dirty.is_empty() => old,
            0 => old,
            1 => old.min(new) + random.below(old.abs_diff(new) as u64 + 1) as usize,
            _ => new,
        };
        let mut result = vec![0; len];
        // Either a clean tear or sectors at random.
        let tear = (random.below(2) == 0).then(|| random.below((len / SECTOR) as u64 + 2) as usize);
        for s in 0..=len / SECTOR {
            let fresh =
                self.dirty.contains(&s) && tear.map_or_else(|| random.below(2) == 0, |t| s < t);
            let from = if fresh { &self.live } else { &self.disk };
            self.copy_sector(s, &mut result, from);
        }
        self.disk.clone_from(&result);
        self.live = result;
        self.dirty.clear();
    }
}

impl State {
    /// Counts an operation: it may fail, before or after its work, or be the last of this life.
    fn operation(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.fuse {
            if *left == 0 {
                return Err(eio());
            }
            *left -= 1;
        }
        if self.error_rate > 0 && self.random.below(1000) < self.error_rate {
            return Err(eio());
        }
        Ok(())
    }

    fn is_dead(&self) -> bool {
        self.fuse == Some(0)
    }

    /// Of an operation that fails: whether its work was done nevertheless.
    fn done_anyway(&mut self) -> bool {
        !self.is_dead() && self.random.below(4) == 0
    }

    fn lies(&self, lie: Lie, path: &Path) -> bool {
        self.liar.is_some_and(|l| l(lie, path))
    }

    fn find(&self, path: &Path) -> Option<u64> {
        let mut at = ROOT;
        for part in path.iter().filter(|p| *p != OsStr::new("/")) {
            at = match self.nodes.get(&at)? {
                Node::Dir(d) => *d.live.get(part)?,
                Node::File(_) => return None,
            };
        }
        Some(at)
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        let id = self.find(path).ok_or_else(not_found)?;
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(d)) => Ok(d),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        let id = self.find(path).ok_or_else(not_found)?;
        match self.nodes.get_mut(&id) {
            Some(Node::File(f)) => Ok(f),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn change(&mut self, dir: &Path, change: Change) -> io::Result<()> {
        let dir = self.dir(dir)?;
        apply(&mut dir.live, &change);
        dir.pending.push(change);
        Ok(())
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.change(parent(path), vec![(name(path), Some(id))])?;
        Ok(id)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let result = self.operation();
        if result.is_ok() || self.done_anyway() {
            self.change(parent(path), vec![(name(path), None)])?;
        }
        result
    }

    fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let entries: Vec<(OsString, u64)> = {
            let dir = self.dir(path)?;
            dir.live.iter().map(|(n, id)| (n.clone(), *id)).collect()
        };
        for (n, id) in entries {
            let path = path.join(n);
            match self.nodes.get(&id) {
                Some(Node::Dir(_)) => self.remove_tree(&path)?,
                _ => self.remove(&path)?,
            }
        }
        self.remove(path)
    }

    /// Forgets files that nobody can reach.
    fn collect(&mut self) {
        let mut reached = HashSet::from([ROOT]);
        let mut todo = vec![ROOT];
        while let Some(id) = todo.pop() {
            if let Some(Node::Dir(d)) = self.nodes.get(&id) {
                let changes = d.pending.iter().flatten().filter_map(|c| c.1);
                for id in d
                    .live
                    .values()
                    .chain(d.disk.values())
                    .copied()
                    .chain(changes)
                {
                    if reached.insert(id) {
                        todo.push(id);
                    }
                }
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            nodes: HashMap::from([(ROOT, Node::Dir(Dir::default()))]),
            next: ROOT + 1,
            random: Random::new(seed),
            life: 0,
            locked: HashSet::new(),
            free: PLENTY,
            error_rate: 0,
            failed_syncs: 0,
            forgetful: true,
            fuse: None,
            liar: None,
        })))
    }

    /// Leaves this many bytes free.
    pub(crate) fn set_free(&self, bytes: i64) {
        self.0.lock().free = bytes;
    }

    /// Lets this many operations of a thousand fail.
    pub(crate) fn set_error_rate(&self, per_mille: u64) {
        self.0.lock().error_rate = per_mille;
    }

    /// Syncs that failed so far.
    pub(crate) fn failed_syncs(&self) -> u64 {
        self.0.lock().failed_syncs
    }

    /// Lets only this many operations happen before the process counts as killed.
    pub(crate) fn kill_after(&self, operations: u64) {
        self.0.lock().fuse = Some(operations);
    }

    /// Takes [`Self::kill_after`] back.
    pub(crate) fn cancel_kill(&self) {
        self.0.lock().fuse = None;
    }

    /// Whether a failed sync may lose its content for good.
    pub(crate) fn set_forgetful(&self, yes: bool) {
        self.0.lock().forgetful = yes;
    }

    /// Whether the process was killed.
    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().is_dead()
    }

    /// Makes the disk a liar.
    pub(crate) fn set_liar(&self, liar: Liar) {
        self.0.lock().liar = Some(liar);
    }

    /// A new process: what the old one had open or locked is gone.
    pub(crate) fn new_process(&self) {
        let mut s = self.0.lock();
        s.life += 1;
        s.fuse = None;
        s.locked.clear();
        s.collect();
    }

    /// A copy that goes its own way.
    pub(crate) fn fork(&self) -> Self {
        let state = self.0.lock().clone();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Cuts the power: unsynced content and entries are kept, lost or torn at random.
    pub(crate) fn cut_power(&self) {
        let mut guard = self.0.lock();
        let s = &mut *guard;
        let mut ids: Vec<u64> = s.nodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            match s.nodes.get_mut(&id) {
                Some(Node::File(f)) => f.cut(&mut s.random),
                Some(Node::Dir(d)) => {
                    // In order up to a point, or each change for itself.
                    let until = (s.random.below(2) == 0)
                        .then(|| s.random.below(d.pending.len() as u64 + 1) as usize);
                    for (i, change) in std::mem::take(&mut d.pending).iter().enumerate() {
                        if until.map_or_else(|| s.random.below(2) == 0, |n| i < n) {
                            apply(&mut d.disk, change);
                        }
                    }
                    d.live = d.disk.clone();
                }
                None => {}
            }
        }
        drop(guard);
        self.new_process();
    }

    /// All files with their lengths, sorted.
    pub(crate) fn all_files(&self) -> Vec<(PathBuf, usize)> {
        fn walk(s: &State, id: u64, path: &Path, out: &mut Vec<(PathBuf, usize)>) {
            match s.nodes.get(&id) {
                Some(Node::File(f)) => out.push((path.to_path_buf(), f.live.len())),
                Some(Node::Dir(d)) => {
                    for (n, id) in &d.live {
                        walk(s, *id, &path.join(n), out);
                    }
                }
                None => {}
            }
        }
        let mut out = Vec::new();
        walk(&self.0.lock(), ROOT, Path::new("/"), &mut out);
        out
    }

    /// What processes see of a file.
    pub(crate) fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let mut s = self.0.lock();
        s.file(path).ok().map(|f| f.live.clone())
    }

    /// Changes the content of a file behind the engine's back, on the medium too.
    pub(crate) fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut s = self.0.lock();
        if let Ok(f) = s.file(path) {
            f.sync();
            change(&mut f.live);
            f.disk.clone_from(&f.live);
        }
    }
}
