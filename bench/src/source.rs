//! Targets to scrape: one listener on loopback for each page, served by threads of this process.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;

use crate::page::Page;

/// Targets of one run; dropping it ends them.
pub(crate) struct Source {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    pages_served: AtomicU64,
    bytes_served: AtomicU64,
    /// When each target was asked.
    arrivals: Vec<Mutex<Vec<Instant>>>,
}

impl Source {
    /// `series` in pages of `per_target`; each scrape replaces `share` of the pods.
    pub(crate) fn start(series: usize, per_target: usize, share: f64) -> anyhow::Result<Self> {
        let targets = series.div_ceil(per_target);
        let shared = Arc::new(Shared {
            arrivals: (0..targets).map(|_| Mutex::default()).collect(),
            ..Shared::default()
        });
        let mut addresses = Vec::new();
        for target in 0..targets {
            let size = per_target.min(series - target * per_target);
            let listener = TcpListener::bind("127.0.0.1:0").context("cannot bind a target")?;
            addresses.push(listener.local_addr()?);
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let page = Arc::new(Mutex::new(Page::new(size, target as u64 + 1)));
                for stream in listener.incoming().flatten() {
                    if shared.stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let (page, shared) = (Arc::clone(&page), Arc::clone(&shared));
                    // A connection that breaks is the scraper's business: it opens another one.
                    std::thread::spawn(move || serve(stream, &page, &shared, (target, share)));
                }
            });
        }
        Ok(Self { addresses, shared })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn pages_served(&self) -> u64 {
        self.shared.pages_served.load(Ordering::Relaxed)
    }

    /// When each target was asked since the last call of [`Self::forget_arrivals`].
    pub(crate) fn arrivals(&self) -> Vec<Vec<Instant>> {
        let targets = self.shared.arrivals.iter();
        targets.map(|times| lock(times).clone()).collect()
    }

    pub(crate) fn forget_arrivals(&self) {
        for times in &self.shared.arrivals {
            lock(times).clear();
        }
    }

    pub(crate) fn bytes_served(&self) -> u64 {
        self.shared.bytes_served.load(Ordering::Relaxed)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            // Wakes the listener's thread, so that it sees that it is over.
            drop(TcpStream::connect(address));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    stream: TcpStream,
    page: &Mutex<Page>,
    shared: &Shared,
    (target, share): (usize, f64),
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || shared.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
        }
        if let Some(arrivals) = shared.arrivals.get(target) {
            lock(arrivals).push(Instant::now());
        }
        let mut page = lock(page);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            page.text().len()
        );
        writer.write_all(head.as_bytes())?;
        writer.write_all(page.text())?;
        shared.pages_served.fetch_add(1, Ordering::Relaxed);
        shared
            .bytes_served
            .fetch_add(page.text().len() as u64, Ordering::Relaxed);
        // Made ready for the next scrape now, so that this one is not kept waiting.
        page.advance(share);
    }
}
