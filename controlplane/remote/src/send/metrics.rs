//! Prometheus' metrics of remote write.

use bellwether_telemetry::{Counter, Gauge, Histogram, Registry};

use super::batch::Counts;

const PREFIX: &str = "prometheus_remote_storage";

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Older than `sample_age_limit`.
    TooOld,
    /// Relabelling drops its series.
    DroppedSeries,
    /// The log does not name its series.
    UnknownSeries,
    /// Version 1 cannot say histograms with custom bounds.
    CustomBounds,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::DroppedSeries => "dropped_series",
            Self::UnknownSeries => "unintentionally_dropped_series",
            Self::CustomBounds => "nhcb_in_rw1_not_supported",
        }
    }
}

/// Counters of one kind of entry: samples, histograms, exemplars or metadata.
#[derive(Clone, Debug)]
struct Kind {
    total: Counter,
    failed: Counter,
    retried: Counter,
}

/// Metrics of one queue. Its time series end with it.
#[derive(Debug)]
pub(crate) struct QueueMetrics {
    registry: Registry,
    name: String,
    url: String,
    samples: Kind,
    histograms: Kind,
    exemplars: Kind,
    metadata: Kind,
    pending: [Gauge; 3],
    pub(crate) enqueue_retries: Counter,
    pub(crate) send_seconds: Histogram,
    pub(crate) newest: Gauge,
    pub(crate) newest_sent: Gauge,
    pub(crate) capacity: Gauge,
    pub(crate) shards: Gauge,
    pub(crate) shards_max: Gauge,
    pub(crate) shards_min: Gauge,
    pub(crate) shards_desired: Gauge,
    pub(crate) bytes: Counter,
    pub(crate) metadata_bytes: Counter,
    pub(crate) max_samples_per_send: Gauge,
    pub(crate) pre_tailing: Counter,
    pub(crate) decode_failures: Counter,
    pub(crate) segment: Gauge,
}

const SAMPLES_DROPPED: &str = "Total number of samples which were dropped after being read from the WAL before being sent via remote write, either via relabelling, due to being too old or unintentionally because of an unknown reference ID.";
const EXEMPLARS_DROPPED: &str = "Total number of exemplars which were dropped after being read from the WAL before being sent via remote write, either via relabelling, due to being too old or unintentionally because of an unknown reference ID.";
const HISTOGRAMS_DROPPED: &str = "Total number of histograms which were dropped after being read from the WAL before being sent via remote write, either via relabelling, due to being too old or unintentionally because of an unknown reference ID.";

const RECORDS_READ: &str = "prometheus_wal_watcher_records_read_total";
const WATCHER: [(&str, &str); 4] = [
    (
        "prometheus_wal_watcher_samples_sent_pre_tailing_total",
        "Number of sample records read by the WAL watcher and sent to remote write during replay of existing WAL.",
    ),
    (
        "prometheus_wal_watcher_record_decode_failures_total",
        "Number of records read by the WAL watcher that resulted in an error when decoding.",
    ),
    (
        "prometheus_wal_watcher_current_segment",
        "Current segment the WAL watcher is reading records from.",
    ),
    (
        "prometheus_wal_watcher_notifications_skipped_total",
        "The number of WAL write notifications that the Watcher has skipped due to already being in a WAL read routine.",
    ),
];

const GAUGES: [(&str, &str); 11] = [
    (
        "samples_pending",
        "The number of samples pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "histograms_pending",
        "The number of histograms pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "exemplars_pending",
        "The number of exemplars pending in the queues shards to be sent to the remote storage.",
    ),
    (
        "queue_highest_timestamp_seconds",
        "Highest timestamp that was enqueued, in seconds since epoch. Initialized to 0 when no data has been received yet.",
    ),
    (
        "queue_highest_sent_timestamp_seconds",
        "Highest timestamp successfully sent by this queue, in seconds since epoch. Initialized to 0 when no data has been sent yet.",
    ),
    (
        "shard_capacity",
        "The capacity of each shard of the queue used for parallel sending to the remote storage.",
    ),
    (
        "shards",
        "The number of shards used for parallel sending to the remote storage.",
    ),
    (
        "shards_max",
        "The maximum number of shards that the queue is allowed to run.",
    ),
    (
        "shards_min",
        "The minimum number of shards that the queue is allowed to run.",
    ),
    (
        "shards_desired",
        "The number of shards that the queues shard calculation wants to run based on the rate of samples in vs. samples out.",
    ),
    (
        "max_samples_per_send",
        "The maximum number of samples to be sent, in a single request, to the remote storage. Note that, when sending of exemplars over remote write is enabled, exemplars count towards this limit.",
    ),
];

const COUNTERS: [(&str, &str); 3] = [
    (
        "enqueue_retries_total",
        "Total number of times enqueue has failed because a shards queue was full.",
    ),
    (
        "bytes_total",
        "The total number of bytes of data (not metadata) sent by the queue after compression. Note that when exemplars over remote write is enabled the exemplars included in a remote write request count towards this metric.",
    ),
    (
        "metadata_bytes_total",
        "The total number of bytes of metadata sent by the queue after compression.",
    ),
];

const SEND_SECONDS: (&str, &str) = (
    "sent_batch_duration_seconds",
    "Duration of send calls to the remote storage.",
);
const SEND_BUCKETS: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0,
];

/// Name and help of the three counters of a kind.
fn kind_names(kind: &str) -> [(String, String); 3] {
    let entries = if kind == "metadata" {
        "metadata entries"
    } else {
        kind
    };
    [
        (
            format!("{PREFIX}_{kind}_total"),
            format!("Total number of {entries} sent to remote storage."),
        ),
        (
            format!("{PREFIX}_{kind}_failed_total"),
            format!(
                "Total number of {entries} which failed on send to remote storage, non-recoverable errors."
            ),
        ),
        (
            format!("{PREFIX}_{kind}_retried_total"),
            format!(
                "Total number of {entries} which failed on send to remote storage but were retried because the send error was recoverable."
            ),
        ),
    ]
}

const KINDS: [&str; 4] = ["samples", "histograms", "exemplars", "metadata"];

impl QueueMetrics {
    pub(crate) fn new(registry: &Registry, name: &str, url: &str) -> Self {
        let labels = &[("remote_name", name), ("url", url)];
        let consumer = &[("consumer", name)];
        let kind = |kind: &str| {
            let [total, failed, retried] =
                kind_names(kind).map(|(name, help)| registry.counter(&name, &help, labels));
            Kind {
                total,
                failed,
                retried,
            }
        };
        let [samples, histograms, exemplars, metadata] = KINDS.map(kind);
        let [
            samples_pending,
            histograms_pending,
            exemplars_pending,
            newest,
            newest_sent,
            capacity,
            shards,
            shards_max,
            shards_min,
            shards_desired,
            max_samples_per_send,
        ] = GAUGES.map(|(name, help)| registry.gauge(&format!("{PREFIX}_{name}"), help, labels));
        let [enqueue_retries, bytes, metadata_bytes] = COUNTERS
            .map(|(name, help)| registry.counter(&format!("{PREFIX}_{name}"), help, labels));
        let (seconds, help) = SEND_SECONDS;
        let seconds = format!("{PREFIX}_{seconds}");
        let [pre_tailing, decode_failures, segment, skipped] = WATCHER;
        registry.counter(skipped.0, skipped.1, consumer);
        Self {
            samples,
            histograms,
            exemplars,
            metadata,
            pending: [samples_pending, histograms_pending, exemplars_pending],
            enqueue_retries,
            send_seconds: registry.histogram(&seconds, help, labels, &SEND_BUCKETS),
            newest,
            newest_sent,
            capacity,
            shards,
            shards_max,
            shards_min,
            shards_desired,
            bytes,
            metadata_bytes,
            max_samples_per_send,
            pre_tailing: registry.counter(pre_tailing.0, pre_tailing.1, consumer),
            decode_failures: registry.counter(decode_failures.0, decode_failures.1, consumer),
            segment: registry.gauge(segment.0, segment.1, consumer),
            registry: registry.clone(),
            name: name.to_owned(),
            url: url.to_owned(),
        }
    }

    fn each(&self, counts: Counts, of: impl Fn(&Kind) -> &Counter) {
        of(&self.samples).add(counts.samples as f64);
        of(&self.histograms).add(counts.histograms as f64);
        of(&self.exemplars).add(counts.exemplars as f64);
    }

    /// A request leaves.
    pub(crate) fn sent(&self, counts: Counts, metadata: u64) {
        self.each(counts, |k| &k.total);
        self.metadata.total.add(metadata as f64);
    }

    /// A request is to be sent again.
    pub(crate) fn retried(&self, counts: Counts) {
        self.each(counts, |k| &k.retried);
    }

    /// The receiver does not have these, and never will.
    pub(crate) fn failed(&self, counts: Counts) {
        self.each(counts, |k| &k.failed);
    }

    /// The same for requests of metadata alone.
    pub(crate) fn metadata_retried(&self, families: usize) {
        self.metadata.retried.add(families as f64);
    }

    pub(crate) fn metadata_failed(&self, families: usize) {
        self.metadata.failed.add(families as f64);
    }

    pub(crate) fn metadata_sent(&self, families: usize) {
        self.metadata.total.add(families as f64);
    }

    /// Entries come to wait.
    pub(crate) fn pending(&self, counts: Counts) {
        self.move_pending(counts, 1.0);
    }

    /// Entries are done with.
    pub(crate) fn done(&self, counts: Counts) {
        self.move_pending(counts, -1.0);
    }

    fn move_pending(&self, counts: Counts, sign: f64) {
        let [samples, histograms, exemplars] = &self.pending;
        samples.add(sign * counts.samples as f64);
        histograms.add(sign * counts.histograms as f64);
        exemplars.add(sign * counts.exemplars as f64);
    }

    /// Entries were left out.
    pub(crate) fn dropped(&self, counts: Counts, reason: Reason) {
        for (n, kind, help) in self.dropped_kinds(counts) {
            if n > 0 {
                let name = format!("{PREFIX}_{kind}_dropped_total");
                self.registry
                    .counter(&name, help, &self.dropped_labels(reason))
                    .add(n as f64);
            }
        }
    }

    fn dropped_kinds(&self, counts: Counts) -> [(u64, &'static str, &'static str); 3] {
        [
            (counts.samples, "samples", SAMPLES_DROPPED),
            (counts.histograms, "histograms", HISTOGRAMS_DROPPED),
            (counts.exemplars, "exemplars", EXEMPLARS_DROPPED),
        ]
    }

    fn dropped_labels(&self, reason: Reason) -> [(&str, &str); 3] {
        [
            ("reason", reason.as_str()),
            ("remote_name", &self.name),
            ("url", &self.url),
        ]
    }

    /// A counter of records of a type.
    pub(crate) fn records(&self, kind: &'static str) -> Counter {
        self.registry.counter(
            RECORDS_READ,
            "Number of records read by the WAL watcher from the WAL.",
            &[("consumer", &self.name), ("type", kind)],
        )
    }

    /// Ends the time series of a queue that is no more.
    pub(crate) fn remove(&self, record_kinds: &[&'static str]) {
        let labels = &[("remote_name", self.name.as_str()), ("url", &self.url)];
        let consumer = self.name.as_str();
        for kind in KINDS {
            for (name, _) in kind_names(kind) {
                self.registry.remove(&name, labels);
            }
        }
        let plain = GAUGES.iter().chain(&COUNTERS).chain([&SEND_SECONDS]);
        for (name, _) in plain {
            self.registry.remove(&format!("{PREFIX}_{name}"), labels);
        }
        for (name, _) in WATCHER {
            self.registry.remove(name, &[("consumer", consumer)]);
        }
        for kind in record_kinds {
            let labels = [("consumer", consumer), ("type", *kind)];
            self.registry.remove(RECORDS_READ, &labels);
        }
        let reasons = [
            Reason::TooOld,
            Reason::DroppedSeries,
            Reason::UnknownSeries,
            Reason::CustomBounds,
        ];
        for reason in reasons {
            for (_, kind, _) in self.dropped_kinds(Counts::default()) {
                let name = format!("{PREFIX}_{kind}_dropped_total");
                self.registry.remove(&name, &self.dropped_labels(reason));
            }
        }
    }
}

/// Metrics of what comes in, whatever queues there are.
pub(crate) fn register_ingested(
    registry: &Registry,
    ingested: impl Fn() -> bellwether_tsdb::Ingested + Send + Sync + 'static,
) {
    let counter =
        |kind: &str, help: &str| registry.counter(&format!("{PREFIX}_{kind}_in_total"), help, &[]);
    let samples = counter(
        "samples",
        "Samples in to remote storage, compare to samples out for queue managers. Deprecated, check prometheus_wal_watcher_records_read_total and prometheus_remote_storage_samples_dropped_total",
    );
    let histograms = counter(
        "histograms",
        "HistogramSamples in to remote storage, compare to histograms out for queue managers. Deprecated, check prometheus_wal_watcher_records_read_total and prometheus_remote_storage_histograms_dropped_total",
    );
    let exemplars = counter(
        "exemplars",
        "Exemplars in to remote storage, compare to exemplars out for queue managers. Deprecated, check prometheus_wal_watcher_records_read_total and prometheus_remote_storage_exemplars_dropped_total",
    );
    let newest = registry.gauge(
        &format!("{PREFIX}_highest_timestamp_in_seconds"),
        "Highest timestamp that has come into the remote storage via the Appender interface, in seconds since epoch. Initialized to 0 when no data has been received yet. Deprecated, check prometheus_remote_storage_queue_highest_timestamp_seconds which is more accurate.",
        &[],
    );
    registry.on_collect(move || {
        let now = ingested();
        samples.set_total(now.samples as f64);
        histograms.set_total(now.histograms as f64);
        exemplars.set_total(now.exemplars as f64);
        newest.set(now.newest_ms.map_or(0.0, |t| t.div_euclid(1000) as f64));
    });
}
