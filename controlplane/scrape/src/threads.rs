//! The threads that scrape.
//!
//! Each has a runtime of its own and keeps its targets: waiting for the slot, asking, reading, parsing and storing all
//! happen on one thread. With a thousand small targets most of the cost was threads waking each other, and a page that
//! is read and parsed by the same thread is still in its cache. Nothing else runs here, so that a thread may take the
//! time that a small page and its record in the log need. Where each record waits for the disk, pages are stored elsewhere.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// More threads than this would only be more memory: one of them reads thousands of small pages a second, and large
/// pages are parsed elsewhere.
const MAX_THREADS: usize = 8;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct ScrapeThreads {
    threads: Vec<Handle>,
    next: AtomicUsize,
    _end: DropGuard,
}

impl ScrapeThreads {
    /// As many threads as processors, as far as the system gives them: at least one.
    ///
    /// # Errors
    /// When there is not even one.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let count = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS));
        let end = CancellationToken::new();
        let mut threads = Vec::with_capacity(count);
        for i in 0..count {
            match start_one(i, end.clone()) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, threads = threads.len(), "fewer threads for scraping");
                    break;
                }
            }
        }
        Ok(Arc::new(Self {
            threads,
            next: AtomicUsize::new(0),
            _end: end.drop_guard(),
        }))
    }

    /// The thread for another target.
    pub(crate) fn next(&self) -> &Handle {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.threads[next % self.threads.len()]
    }
}

fn start_one(number: usize, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(format!("scrape-{number}"))
        .spawn(move || runtime.block_on(end.cancelled_owned()))?;
    Ok(handle)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tasks_stay_on_their_thread_and_the_threads_end() {
        let threads = ScrapeThreads::start().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let handle = threads.next().clone();
        for _ in 0..3 {
            let sender = sender.clone();
            handle.spawn(async move {
                let name = || std::thread::current().name().map(str::to_owned);
                let before = name();
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                let _ = sender.send((before, name()));
            });
        }
        let seen: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
        assert!(
            seen.iter().all(|s| s.0 == s.1 && s.0 == seen[0].0),
            "{seen:?}"
        );
        // A task that waits for ever holds the sender until its runtime ends.
        let held = sender.clone();
        handle.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop((sender, threads));
        receiver.recv().unwrap_err();
    }
}
