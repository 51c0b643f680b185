//! Mechanisms that ask again and again for everything.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::discoverer::{BuildContext, Discoverer, Running, Updates};
use crate::group::TargetGroup;
use crate::metrics::RefreshMetrics;

/// Asking more often than this would only load both sides.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Asks once for all groups.
pub(crate) trait Refresh: Send + 'static {
    /// Whether an answer names all sources: those that are missing from it are gone.
    const COMPLETE: bool = true;

    /// All groups as they are now.
    fn refresh(&mut self) -> impl Future<Output = Result<Vec<TargetGroup>, ApiError>> + Send;
}

/// Runs a [`Refresh`] at an interval.
#[derive(Debug)]
pub(crate) struct Refresher<R> {
    inner: R,
    interval: Duration,
    mechanism: &'static str,
    set: String,
    metrics: RefreshMetrics,
    /// Sources of the last answer: those that are missing from the next one are gone.
    sources: BTreeSet<Arc<str>>,
}

impl<R: Refresh> Refresher<R> {
    pub(crate) fn boxed(
        inner: R,
        mechanism: &'static str,
        interval: Duration,
        context: &BuildContext,
    ) -> Box<dyn Discoverer> {
        Box::new(Self {
            inner,
            interval: interval.max(SHORTEST_INTERVAL),
            mechanism,
            set: context.set.clone(),
            metrics: context.metrics.refresh(mechanism, &context.set),
            sources: BTreeSet::new(),
        })
    }

    /// Asks once. `None`: it failed, which is logged and counted.
    async fn once(&mut self) -> Option<Vec<TargetGroup>> {
        let started = Instant::now();
        let answer = self.inner.refresh().await;
        self.metrics.observe(started.elapsed());
        match answer {
            Ok(mut groups) => {
                if R::COMPLETE {
                    let now: BTreeSet<_> = groups.iter().map(|g| Arc::clone(&g.source)).collect();
                    let gone = self.sources.difference(&now);
                    groups.extend(gone.map(|source| TargetGroup::gone(source)));
                    self.sources = now;
                }
                Some(groups)
            }
            Err(error) => {
                self.metrics.failures.inc();
                tracing::error!(
                    discovery = self.mechanism,
                    config = self.set,
                    %error,
                    "Unable to refresh target groups"
                );
                None
            }
        }
    }
}

impl<R: Refresh> Discoverer for Refresher<R> {
    fn run(mut self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running {
        Box::pin(async move {
            let mut ticks = tokio::time::interval(self.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let refreshing = async {
                loop {
                    ticks.tick().await;
                    if let Some(groups) = self.once().await
                        && updates.send(groups).await.is_err()
                    {
                        return;
                    }
                }
            };
            shutdown.run_until_cancelled(refreshing).await;
        })
    }
}
