//! The calls that the engine makes to the simulated disk.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bellwether_tsdb::{DirEntry, FileBytes, Files, HeldLock, OpenFile, TsdbError};

use super::{Dir, Disk, File, Lie, Node, State, eio, name, not_found, parent};

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut s = self.0.lock();
        let result = s.operation();
        if s.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if result.is_err() && !s.done_anyway() {
            return Err(eio());
        }
        if s.free <= 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = s.add(path, Node::File(File::default()))?;
        result?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            life: s.life,
            id,
            path: path.to_path_buf(),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.read(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut s = self.0.lock();
        s.operation()?;
        Ok(s.file(path)?.live.clone())
    }

    fn map(&self, path: &Path) -> io::Result<FileBytes> {
        self.read(path).map(FileBytes::from)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        let id = s.find(path).ok_or_else(not_found)?;
        s.sync(id, path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut s = self.0.lock();
        let result = s.operation();
        if (result.is_ok() || s.done_anyway()) && !s.lies(Lie::Truncate, path) {
            let file = s.file(path)?;
            file.truncate(len as usize);
            file.sync();
        }
        result
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut s = self.0.lock();
        s.operation()?;
        let entries: Vec<(OsString, u64)> = {
            let dir = s.dir(dir)?;
            dir.live.iter().map(|(n, id)| (n.clone(), *id)).collect()
        };
        let describe = |(name, id): (OsString, u64)| match s.nodes.get(&id) {
            Some(Node::File(f)) => DirEntry {
                name,
                is_dir: false,
                len: f.live.len() as u64,
            },
            _ => DirEntry {
                name,
                is_dir: true,
                len: 0,
            },
        };
        Ok(entries.into_iter().map(describe).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut s = self.0.lock();
        s.operation()?;
        Ok(s.find(path).is_some())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        let mut missing: Vec<&Path> = Vec::new();
        for p in path.ancestors() {
            if s.find(p).is_some() {
                break;
            }
            missing.push(p);
        }
        for p in missing.into_iter().rev() {
            s.operation()?;
            s.add(p, Node::Dir(Dir::default()))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(parent(from), parent(to), "a renaming between directories");
        let mut s = self.0.lock();
        let id = s.find(from).ok_or_else(not_found)?;
        let result = s.operation();
        if result.is_ok() || s.done_anyway() {
            s.change(parent(to), vec![(name(from), None), (name(to), Some(id))])?;
        }
        result
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        let id = s.find(from).ok_or_else(not_found)?;
        if s.find(to).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let result = s.operation();
        if result.is_ok() || s.done_anyway() {
            s.change(parent(to), vec![(name(to), Some(id))])?;
        }
        result
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.file(path)?;
        s.remove(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.lock().remove_tree(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.operation()?;
        if !s.lies(Lie::SyncDir, dir) {
            let dir = s.dir(dir)?;
            dir.disk = dir.live.clone();
            dir.pending.clear();
        }
        Ok(())
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn HeldLock>, TsdbError> {
        let mut s = self.0.lock();
        if !s.locked.insert(dir.to_path_buf()) {
            return Err(TsdbError::Locked {
                dir: dir.to_path_buf(),
                owner: "another process".into(),
            });
        }
        Ok(Box::new(Lock {
            disk: self.clone(),
            life: s.life,
            dir: dir.to_path_buf(),
        }))
    }
}

struct Lock {
    disk: Disk,
    life: u64,
    dir: PathBuf,
}

impl HeldLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut s = self.disk.0.lock();
        if s.life == self.life {
            s.locked.remove(&self.dir);
        }
    }
}

/// A file open for appending.
struct Handle {
    disk: Disk,
    life: u64,
    id: u64,
    path: PathBuf,
}

impl Handle {
    fn with<T>(&self, work: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut s = self.disk.0.lock();
        if s.life != self.life {
            return Err(eio());
        }
        work(&mut s, self.id)
    }
}

impl State {
    fn sync(&mut self, id: u64, path: &Path) -> io::Result<()> {
        if let Err(e) = self.operation() {
            self.failed_syncs += 1;
            // The system forgets that the content is not on the medium.
            if !self.is_dead() && self.forgetful && self.random.below(2) == 0 {
                file(self, id)?.dirty.clear();
            }
            return Err(e);
        }
        if !self.lies(Lie::Sync, path) {
            file(self, id)?.sync();
        }
        Ok(())
    }
}

fn file(s: &mut State, id: u64) -> io::Result<&mut File> {
    match s.nodes.get_mut(&id) {
        Some(Node::File(f)) => Ok(f),
        _ => Err(eio()),
    }
}

impl OpenFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|s, id| {
            let was_dead = s.is_dead();
            let mut result = s.operation();
            let mut len = match &result {
                Ok(()) => bytes.len(),
                Err(_) if was_dead => 0,
                // The last write of a life, or one that fails, is torn.
                Err(_) => s.random.below(bytes.len() as u64 + 1) as usize,
            };
            let free = usize::try_from(s.free).unwrap_or(0);
            if len > free {
                len = free;
                result = Err(io::ErrorKind::StorageFull.into());
            }
            s.free -= len as i64;
            if s.is_dead() && result.is_ok() {
                // Killed while this write was under way.
                len = s.random.below(len as u64 + 1) as usize;
                result = Err(eio());
            }
            file(s, id)?.append(&bytes[..len]);
            result
        })
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let path = self.path.clone();
        self.with(|s, id| {
            let result = s.operation();
            if (result.is_ok() || s.done_anyway()) && !s.lies(Lie::Truncate, &path) {
                file(s, id)?.truncate(len as usize);
            }
            result
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let path = self.path.clone();
        self.with(|s, id| s.sync(id, &path))
    }
}
