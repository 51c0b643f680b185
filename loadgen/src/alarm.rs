//! Waking up on time.
//!
//! Tokio's timer has a resolution of one millisecond and rounds up; together
//! with the poller a request would leave up to three milliseconds late, which
//! is more than a fast answer takes and counts as latency. A thread that waits
//! for the exact moment is late by some tens of microseconds and costs nothing
//! while it waits.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use tokio::sync::Notify;

/// Wakes one waiting task. The thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// At most one moment is under way: the task that waits sends no other.
    moments: Sender<Instant>,
    rang: Arc<Notify>,
}

impl Alarm {
    pub(crate) fn start() -> io::Result<Self> {
        let (moments, receiver) = channel();
        let rang = Arc::new(Notify::new());
        let ring = Arc::clone(&rang);
        std::thread::Builder::new()
            .name("load-schedule".to_owned())
            .spawn(move || wait(&receiver, &ring))?;
        Ok(Self { moments, rang })
    }

    /// Returns at `moment`, or at once when it has passed. Not to be called
    /// again after this future was dropped before its end: the old moment
    /// would ring for the new one.
    pub(crate) async fn wait_until(&self, moment: Instant) {
        if self.moments.send(moment).is_ok() {
            self.rang.notified().await;
        }
    }
}

/// The thread: rings once for each moment it is given.
fn wait(moments: &Receiver<Instant>, ring: &Notify) {
    while let Ok(moment) = moments.recv() {
        let left = moment.saturating_duration_since(Instant::now());
        match moments.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => ring.notify_one(),
            Err(RecvTimeoutError::Disconnected) | Ok(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_rings_early_and_rings_each_time() {
        let alarm = Alarm::start().unwrap();
        for ms in [5, 0, 3] {
            let moment = Instant::now() + Duration::from_millis(ms);
            alarm.wait_until(moment).await;
            assert!(Instant::now() >= moment);
        }
    }
}
