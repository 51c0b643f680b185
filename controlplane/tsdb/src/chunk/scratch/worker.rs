//! The thread that writes full pieces to the scratch file.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{ON_FILE_MAX, SCRATCH, Scratch};

/// Pages that queries brought to memory stay so long, at most twice that.
const EVERY: Duration = Duration::from_secs(10);
/// How long a file that cannot be written to is left alone.
const AFTER_ERROR: Duration = Duration::from_secs(5);

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Writes full pieces until it is dropped. There is at most one of a scratch.
pub(crate) struct Worker {
    scratch: &'static Scratch,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the work with an empty file that nobody else has. `None` while there is another worker.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub(crate) fn start(file: File) -> io::Result<Option<Self>> {
        Self::start_of(&SCRATCH, file)
    }

    pub(super) fn start_of(scratch: &'static Scratch, file: File) -> io::Result<Option<Self>> {
        let mut state = scratch.state.lock();
        if state.worker.is_some() {
            return Ok(None);
        }
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name("head-scratch".into());
        // It begins by waiting for the lock.
        let thread = thread.spawn(move || scratch.write_on(&file, number))?;
        state.worker = Some(number);
        Ok(Some(Self {
            scratch,
            thread: Some(thread),
        }))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.scratch.state.lock().worker = None;
        self.scratch.work.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Scratch {
    /// Writes full pieces as they come, as long as the worker of a number is the one that works.
    fn write_on(&self, file: &File, number: u64) {
        let mut given_back = Instant::now();
        let mut is_failing = false;
        loop {
            let mut state = self.state.lock();
            if state.worker != Some(number) {
                return;
            }
            if is_failing || state.waiting.is_empty() || state.on_file >= ON_FILE_MAX {
                let pause = if is_failing { AFTER_ERROR } else { EVERY };
                self.work.wait_for(&mut state, pause);
                if state.worker != Some(number) {
                    return;
                }
            }
            drop(state);
            let result = self.write_full(file);
            if let (Err(e), false) = (&result, is_failing) {
                tracing::warn!(error = %e, "cannot write to the scratch file, open chunks stay in memory");
            }
            is_failing = result.is_err();
            if given_back.elapsed() >= EVERY {
                self.give_back(file);
                given_back = Instant::now();
            }
        }
    }
}
