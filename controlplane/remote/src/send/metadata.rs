//! Metadata of scraped metrics, from time to time: version 1 has it in requests of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashSet;
use tokio_util::sync::CancellationToken;

use super::endpoint::StoreError;
use super::shards::Shared;
use super::{Common, FamilyMetadata};
use crate::encode::RequestBuilder;
use crate::request::MetricMetadata;

/// Sends what the targets expose at each interval.
pub(super) async fn run(
    common: Arc<Common>,
    shared: Arc<Shared>,
    (interval, families_max): (Duration, usize),
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(interval.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Targets of a kind expose the same.
        let mut seen = HashSet::new();
        let mut all = (common.sources.metadata)();
        all.retain(|family| seen.insert(family.clone()));
        for part in all.chunks(families_max) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = send(&shared, part) => {}
            }
        }
    }
}

async fn send(shared: &Shared, families: &[FamilyMetadata]) {
    let mut request = RequestBuilder::new();
    for family in families {
        request.metadata(&MetricMetadata {
            family: &family.family,
            kind: family.kind,
            help: &family.help,
            unit: &family.unit,
        });
    }
    let failed = |error: &str| {
        shared.metrics.metadata_failed(families.len());
        tracing::error!(
            remote_name = shared.settings.name,
            url = shared.settings.endpoint,
            count = families.len(),
            error,
            "non-recoverable error while sending metadata"
        );
    };
    let body = match request.encode_snappy() {
        Ok(body) => Bytes::from(body),
        Err(error) => return failed(&error.to_string()),
    };
    let (mut backoff, longest) = shared.settings.backoff;
    for attempt in 0.. {
        let begin = Instant::now();
        let endpoint = shared.endpoint.load_full();
        let stored = endpoint.store(body.clone(), attempt).await;
        shared
            .metrics
            .send_seconds
            .observe(begin.elapsed().as_secs_f64());
        let wait = match stored {
            Ok(_) => {
                shared.metrics.metadata_sent(families.len());
                shared.metrics.metadata_bytes.add(body.len() as f64);
                return;
            }
            Err(StoreError::Fatal { message, .. }) => return failed(&message),
            Err(StoreError::Recoverable { retry_after, .. }) => retry_after.unwrap_or(backoff),
        };
        tokio::time::sleep(wait).await;
        shared.metrics.metadata_retried(families.len());
        backoff = (wait * 2).min(longest);
    }
}
