//! CPU, latency and memory of one question.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::Client;
use crate::server::Server;

/// What one question costs a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Seconds of CPU for one answer.
    pub(crate) cpu: f64,
    /// Seconds, half of the answers come faster.
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    /// Bytes of memory on top of those at rest; `NAN` where not measured.
    pub(crate) memory: f64,
    /// Bytes of the answer.
    pub(crate) bytes: f64,
}

/// How often to ask, so that the asking takes about `budget`; found with the first server and kept for the others.
pub(crate) fn repetitions(server: &Server, path: &str, budget: Duration) -> anyhow::Result<usize> {
    let mut client = Client::connect(server.address)?;
    client.get(path)?;
    let start = Instant::now();
    client.get(path)?;
    let one = start.elapsed().as_secs_f64();
    Ok(((budget.as_secs_f64() / one) as usize).clamp(5, 5000))
}

/// Asks several times, one after the other, after some that do not count. Returns the last answer too.
pub(crate) fn ask(
    server: &Server,
    path: &str,
    repetitions: usize,
) -> anyhow::Result<(Cost, Vec<u8>)> {
    let mut client = Client::connect(server.address)?;
    for _ in 0..2 {
        client.get(path)?;
    }
    let mut times = Vec::with_capacity(repetitions);
    let mut answer = Vec::new();
    let cpu = server.process.cpu()?;
    for i in 0..repetitions {
        let start = Instant::now();
        let body = client.get(path)?;
        times.push(start.elapsed().as_secs_f64());
        if i + 1 == repetitions {
            answer = body.to_vec();
        }
    }
    let cpu = (server.process.cpu()? - cpu) / repetitions as f64;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let cost = Cost {
        cpu,
        p50: at(0.5),
        p95: at(0.95),
        memory: f64::NAN,
        bytes: answer.len() as f64,
    };
    Ok((cost, answer))
}

/// A question is asked so often, unless that takes longer than [`ASKING`]: a server with a garbage collector only shows
/// what a question takes when its heap has been filled once.
const ASKED: RangeInclusive<u32> = 3..=50;
const ASKING: Duration = Duration::from_secs(3);

/// The most memory, beyond that of a server that has just started, while it answers a question again and again.
/// Mapped files do not count.
pub(crate) fn memory(server: &Server, path: &str) -> anyhow::Result<f64> {
    let mut client = Client::connect(server.address)?;
    // What the first request of all costs is no matter of the question.
    client.get("/api/v1/query?query=vector(1)")?;
    let base = at_rest(server)?;
    let done = AtomicBool::new(false);
    let peak = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> anyhow::Result<f64> {
            let mut peak = base;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(server.process.anonymous()?);
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(peak)
        });
        let (mut asked, start) = (Ok(()), Instant::now());
        for n in 1..=*ASKED.end() {
            asked = asked.and_then(|()| client.get(path).map(|_| ()));
            if n >= *ASKED.start() && start.elapsed() > ASKING {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        let peak = watcher
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the watch of memory broke down")));
        asked.and(peak)
    })?;
    Ok((peak - base).max(0.0))
}

/// Bytes once a server's start is over: its memory did not change for a second, or twenty have passed.
fn at_rest(server: &Server) -> anyhow::Result<f64> {
    let mut resident = server.process.anonymous()?;
    let (start, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < Duration::from_secs(1) && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
        let now = server.process.anonymous()?;
        if now != resident {
            (resident, since) = (now, Instant::now());
        }
    }
    Ok(resident)
}
