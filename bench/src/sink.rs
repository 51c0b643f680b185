//! A receiver of remote write that decodes and counts, and can be away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;

/// A running receiver; dropping it ends it.
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    is_away: AtomicBool,
    samples: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Sink {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot bind a receiver")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&own);
                // A connection that breaks is the sender's business: it opens another one.
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every request ends in a closed connection, or no longer does.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::Relaxed);
    }

    pub(crate) fn samples(&self) -> f64 {
        self.shared.samples.load(Ordering::Relaxed) as f64
    }

    /// Compressed bodies.
    pub(crate) fn bytes(&self) -> f64 {
        self.shared.bytes.load(Ordering::Relaxed) as f64
    }

    pub(crate) fn requests(&self) -> f64 {
        self.shared.requests.load(Ordering::Relaxed) as f64
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener's thread, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let (mut line, mut body, mut raw) = (String::new(), Vec::new(), Vec::new());
    let mut decoder = snap::raw::Decoder::new();
    loop {
        let (mut length, mut is_v2) = (0, false);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || shared.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            let text = line.trim().to_ascii_lowercase();
            if text.is_empty() {
                break;
            }
            if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_v2 |= text.contains("io.prometheus.write.v2");
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        if shared.is_away.load(Ordering::Relaxed) {
            return Ok(());
        }
        raw.resize(snap::raw::decompress_len(&body)?, 0);
        decoder.decompress(&body, &mut raw)?;
        let samples =
            count(&raw, if is_v2 { 5 } else { 1 }).context("a body that is no request")?;
        shared.samples.fetch_add(samples, Ordering::Relaxed);
        shared.bytes.fetch_add(length as u64, Ordering::Relaxed);
        shared.requests.fetch_add(1, Ordering::Relaxed);
        write!(
            writer,
            "HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\r\n"
        )?;
    }
}

/// Samples (field 2 of a series in both versions) of the series in a field of a request.
fn count(mut request: &[u8], series_field: u64) -> Option<u64> {
    let mut samples = 0;
    while !request.is_empty() {
        let (field, mut series) = next(&mut request)?;
        if field == series_field {
            while !series.is_empty() {
                samples += u64::from(next(&mut series)?.0 == 2);
            }
        }
    }
    Some(samples)
}

/// Number and bytes of the next field; the bytes are empty where the value is a number.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = varint(rest)?;
    let len = match key & 7 {
        0 => {
            varint(rest)?;
            return Some((key >> 3, &[]));
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (value, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
