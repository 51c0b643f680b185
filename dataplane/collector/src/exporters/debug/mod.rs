//! `debug`, and `logging` as older tutorials have it: shows data in the collector's log. See `README.md`.

mod detailed;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_otlp::Signal;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::config::blocks::{QueueConfig, RetryConfig};
use crate::config::types::{Accepted, Unsupported};
use crate::pipeline::component::BuildFuture;
use crate::pipeline::own_metrics::PerSignal;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeFuture, Consumer, ExporterConfig, Problems,
};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verbosity {
    /// One line with counts.
    Basic,
    /// One line per item.
    Normal,
    /// All fields.
    Detailed,
}

/// Keys of `debug`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DebugConfig {
    verbosity: Verbosity,
    sampling_initial: u64,
    sampling_thereafter: u64,
    use_internal_logger: bool,
    output_paths: Option<Vec<String>>,
    /// Writing a log line cannot fail: a queue and retries would do nothing.
    sending_queue: Option<QueueConfig>,
    /// As `sending_queue`.
    retry_on_failure: Option<RetryConfig>,
    /// As `sending_queue`.
    timeout: Accepted,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: None,
            sending_queue: None,
            retry_on_failure: None,
            timeout: Accepted,
        }
    }
}

/// Keys of `logging`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LoggingConfig {
    loglevel: Option<LogLevel>,
    verbosity: Option<Verbosity>,
    sampling_initial: u64,
    sampling_thereafter: u64,
    output_paths: Unsupported,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            loglevel: None,
            verbosity: None,
            sampling_initial: 2,
            sampling_thereafter: 500,
            output_paths: Unsupported,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LoggingConfig {
    fn verbosity(&self) -> Verbosity {
        match (self.verbosity, self.loglevel) {
            (Some(verbosity), _) => verbosity,
            (None, Some(LogLevel::Debug)) => Verbosity::Detailed,
            (None, Some(LogLevel::Warn | LogLevel::Error)) => Verbosity::Basic,
            (None, Some(LogLevel::Info) | None) => Verbosity::Normal,
        }
    }
}

impl ExporterConfig for DebugConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if let Some(paths) = &self.output_paths {
            if self.use_internal_logger {
                problems.add("output_paths", "needs use_internal_logger: false");
            }
            if paths.iter().any(|p| p != "stdout") {
                problems.add("output_paths", "only stdout is supported yet");
            }
        }
        if let Some(queue) = &self.sending_queue {
            problems.extend("sending_queue", queue.validate());
        }
        if let Some(retry) = &self.retry_on_failure {
            problems.extend("retry_on_failure", retry.validate());
        }
    }

    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a> {
        let sampler = Sampler::new(self.sampling_initial, self.sampling_thereafter);
        let exporter = Debug::new(&context, self.verbosity, sampler, self.use_internal_logger);
        Box::pin(std::future::ready(Ok(exporter.into())))
    }
}

impl ExporterConfig for LoggingConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.loglevel.is_some() && self.verbosity.is_some() {
            problems.add(
                "loglevel",
                "loglevel and verbosity exclude each other: keep verbosity",
            );
        }
    }

    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a> {
        let sampler = Sampler::new(self.sampling_initial, self.sampling_thereafter);
        let exporter = Debug::new(&context, self.verbosity(), sampler, true);
        Box::pin(std::future::ready(Ok(exporter.into())))
    }
}

/// The exporter.
struct Debug {
    id: String,
    verbosity: Verbosity,
    sampler: Mutex<Sampler>,
    to_log: bool,
    sent: PerSignal,
}

impl From<Debug> for Built {
    fn from(exporter: Debug) -> Self {
        let consumer: Arc<dyn Consumer> = Arc::new(exporter);
        consumer.into()
    }
}

impl Debug {
    fn new(
        context: &BuildContext<'_>,
        verbosity: Verbosity,
        sampler: Sampler,
        to_log: bool,
    ) -> Self {
        let id = context.id.to_string();
        let sent = context.metrics.per_signal(
            "otelcol_exporter_sent",
            "successfully sent to the destination",
            &Signal::ALL,
            &[("exporter", &id)],
        );
        Self {
            id,
            verbosity,
            sampler: Mutex::new(sampler),
            to_log,
            sent,
        }
    }

    fn show(&self, batch: &Batch) {
        if !self.sampler.lock().keeps(Instant::now()) {
            return;
        }
        let head = text::counts(batch);
        let body = match self.verbosity {
            Verbosity::Basic => String::new(),
            Verbosity::Normal => text::normal(batch.decoded()),
            Verbosity::Detailed => detailed::detailed(batch.decoded()),
        };
        let text = match body.trim_end() {
            "" => head,
            // The logger's own fields come after the text, on a line of their own.
            body => format!("{head}\n{body}\n"),
        };
        if self.to_log {
            tracing::info!(target: "bellwether_collector::debug", exporter = %self.id, "{text}");
        } else {
            use std::io::Write as _;
            // A closed standard output is no reason to refuse data.
            let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
        }
    }
}

impl Consumer for Debug {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        self.show(&batch);
        self.sent.add(batch.signal(), batch.items());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Per second: the first N messages, then every M-th.
#[derive(Debug)]
struct Sampler {
    initial: u64,
    thereafter: u64,
    window: Option<Instant>,
    seen: u64,
}

impl Sampler {
    fn new(initial: u64, thereafter: u64) -> Self {
        Self {
            initial,
            thereafter,
            window: None,
            seen: 0,
        }
    }

    fn keeps(&mut self, now: Instant) -> bool {
        let is_new = self
            .window
            .is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1));
        if is_new {
            self.window = Some(now);
            self.seen = 0;
        }
        self.seen += 1;
        if self.seen <= self.initial {
            return true;
        }
        self.thereafter > 0 && (self.seen - self.initial).is_multiple_of(self.thereafter)
    }
}
