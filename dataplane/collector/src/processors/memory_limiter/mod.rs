//! `memory_limiter`: refuses data while the process uses too much memory. See `README.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_otlp::Signal;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::CollectorError;
use crate::config::PipelineId;
use crate::config::types::{Accepted, GoDuration};
use crate::pipeline::own_metrics::PerSignal;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeError, ConsumeFuture, Consumer, Problems, ProcessorConfig,
};
use crate::process_usage;

const MIB: u64 = 1 << 20;
/// Part of the limit that is left for spikes when the configuration does not say.
const SPIKE_PART: f64 = 0.2;

/// Keys of the processor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemoryLimiterConfig {
    check_interval: GoDuration,
    limit_mib: u64,
    spike_limit_mib: u64,
    limit_percentage: u64,
    spike_limit_percentage: u64,
    /// There is no garbage collector here: memory is given back when it is freed.
    min_gc_interval_when_soft_limited: Accepted,
    /// As above.
    min_gc_interval_when_hard_limited: Accepted,
    /// As above.
    max_gc_interval_when_soft_limited: Accepted,
    /// As above.
    max_gc_interval_when_hard_limited: Accepted,
}

impl MemoryLimiterConfig {
    /// Memory above which data is refused, in bytes.
    fn soft_limit(&self, total: u64) -> u64 {
        let (limit, spike) = if self.limit_mib > 0 {
            (
                self.limit_mib.saturating_mul(MIB),
                self.spike_limit_mib.saturating_mul(MIB),
            )
        } else {
            let part = |percentage: u64| total / 100 * percentage;
            (
                part(self.limit_percentage),
                part(self.spike_limit_percentage),
            )
        };
        let spike = match spike {
            0 => (limit as f64 * SPIKE_PART) as u64,
            spike => spike,
        };
        limit - spike.min(limit)
    }
}

impl ProcessorConfig for MemoryLimiterConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.check_interval.0.is_zero() {
            problems.add(
                "check_interval",
                "is required and must be positive; 1s is a good value",
            );
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            problems.add(
                "limit_mib",
                "limit_mib or limit_percentage must be positive",
            );
        }
        if self.limit_mib > 0 && self.spike_limit_mib >= self.limit_mib {
            problems.add("spike_limit_mib", "must be smaller than limit_mib");
        }
        for (key, value) in [
            ("limit_percentage", self.limit_percentage),
            ("spike_limit_percentage", self.spike_limit_percentage),
        ] {
            if value > 100 {
                problems.add(key, "must be at most 100");
            }
        }
        if self.limit_percentage > 0 && self.spike_limit_percentage >= self.limit_percentage {
            problems.add(
                "spike_limit_percentage",
                "must be smaller than limit_percentage",
            );
        }
    }

    fn build(
        &self,
        context: &BuildContext<'_>,
        pipeline: &PipelineId,
        next: Arc<dyn Consumer>,
    ) -> Result<Built, CollectorError> {
        let total = process_usage::total_memory();
        if self.limit_mib == 0 && total.is_none() {
            return Err(CollectorError::Component {
                component: format!("processors::{}::limit_percentage", context.id),
                message: "the memory that there is for this process is unknown; use limit_mib"
                    .to_owned(),
            });
        }
        let soft_limit = self.soft_limit(total.unwrap_or_default());
        let id = context.id.to_string();
        let labels = [("processor", id.as_str())];
        let count = |name: &str, what: &str| {
            let prefix = format!("otelcol_processor_{name}");
            context
                .metrics
                .per_signal(&prefix, what, &[pipeline.signal], &labels)
        };
        let is_over = Arc::new(AtomicBool::new(used() > soft_limit));
        let limiter = Limiter {
            is_over: Arc::clone(&is_over),
            next,
            accepted: count("memory_limiter_accepted", "that passed the memory limiter"),
            refused: count("memory_limiter_refused", "that the memory limiter refused"),
        };
        let interval = self.check_interval.0;
        Ok(Built {
            consumer: Some(Arc::new(limiter)),
            runner: Some(Box::new(move |stop| {
                Box::pin(watch(is_over, soft_limit, interval, stop))
            })),
        })
    }
}

/// Resident memory in bytes; 0 where it is unknown, so that nothing is refused by mistake.
fn used() -> u64 {
    process_usage::read().map_or(0, |usage| usage.resident_bytes)
}

async fn watch(
    is_over: Arc<AtomicBool>,
    soft_limit: u64,
    interval: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let used = used();
        let over = used > soft_limit;
        if is_over.swap(over, Ordering::Relaxed) != over {
            let (used_mib, soft_limit_mib) = (used / MIB, soft_limit / MIB);
            if over {
                tracing::warn!(
                    used_mib,
                    soft_limit_mib,
                    "memory is above the soft limit, refusing data"
                );
            } else {
                tracing::info!(
                    used_mib,
                    soft_limit_mib,
                    "memory is back below the soft limit"
                );
            }
        }
    }
}

struct Limiter {
    is_over: Arc<AtomicBool>,
    next: Arc<dyn Consumer>,
    accepted: PerSignal,
    refused: PerSignal,
}

impl Consumer for Limiter {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        if self.is_over.load(Ordering::Relaxed) {
            self.refused.add(batch.signal(), batch.items());
            let error = ConsumeError::retryable("data refused due to high memory usage");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.accepted.add(batch.signal(), batch.items());
        self.next.consume(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let config = |limit_mib, spike_limit_mib, limit_percentage| MemoryLimiterConfig {
            limit_mib,
            spike_limit_mib,
            limit_percentage,
            ..MemoryLimiterConfig::default()
        };
        assert_eq!(config(100, 0, 0).soft_limit(0), 80 * MIB);
        assert_eq!(config(100, 30, 50).soft_limit(1000 * MIB), 70 * MIB);
        assert_eq!(config(0, 0, 50).soft_limit(1000 * MIB), 400 * MIB);
        let all = config(u64::MAX, 1, 0).soft_limit(0);
        assert_eq!(all, u64::MAX - MIB, "more than there can be is no limit");
    }
}
