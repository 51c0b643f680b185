//! `--enable-feature`.

use super::FlagError;

/// Features of Prometheus that change something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Keep exemplars in memory.
    ExemplarStorage,
    /// Also store the extra report series of each scrape.
    ExtraScrapeMetrics,
    /// Scrape native histograms, and so ask for protobuf first, where the configuration does not say.
    NativeHistograms,
    /// Functions and aggregations that may still change.
    PromqlExperimentalFunctions,
    /// Arithmetic in durations; on in any case.
    PromqlDurationExpr,
    /// `anchored` and `smoothed` selectors.
    PromqlExtendedRangeSelectors,
    /// `fill` modifiers of binary operators.
    PromqlBinopFillModifiers,
    /// Drop `__name__` at the end of a query.
    PromqlDelayedNameRemoval,
    /// Reload when the configuration file changes.
    AutoReloadConfig,
    /// Store OTLP points with delta temporality as they are.
    OtlpNativeDelta,
    /// Statistics of each step of a query, with `stats=all`.
    PromqlPerStepStats,
    /// `/api/v1/search/...`.
    SearchApi,
    /// Old form of `--web.enable-remote-write-receiver`.
    RemoteWriteReceiver,
    /// Rules of a group that do not need each other run at the same time.
    ConcurrentRuleEval,
    /// Old form of `--agent`.
    Agent,
    /// Store type and unit of metrics as labels of their series.
    TypeAndUnitLabels,
    /// Write the metadata of series to the write-ahead log, and so send it by remote write 2.0.
    MetadataWalRecords,
    /// Store a zero sample where a counter tells that it began; ask for protobuf first, which tells it.
    CreatedTimestampZeroIngestion,
    /// Add OTLP points with delta temporality up.
    OtlpDeltaToCumulative,
}

const SUPPORTED: &[(&str, Feature)] = &[
    ("agent", Feature::Agent),
    ("auto-reload-config", Feature::AutoReloadConfig),
    ("concurrent-rule-eval", Feature::ConcurrentRuleEval),
    (
        "created-timestamp-zero-ingestion",
        Feature::CreatedTimestampZeroIngestion,
    ),
    ("exemplar-storage", Feature::ExemplarStorage),
    ("extra-scrape-metrics", Feature::ExtraScrapeMetrics),
    ("metadata-wal-records", Feature::MetadataWalRecords),
    ("native-histograms", Feature::NativeHistograms),
    (
        "promql-binop-fill-modifiers",
        Feature::PromqlBinopFillModifiers,
    ),
    (
        "promql-delayed-name-removal",
        Feature::PromqlDelayedNameRemoval,
    ),
    ("otlp-deltatocumulative", Feature::OtlpDeltaToCumulative),
    ("otlp-native-delta-ingestion", Feature::OtlpNativeDelta),
    ("promql-duration-expr", Feature::PromqlDurationExpr),
    ("promql-per-step-stats", Feature::PromqlPerStepStats),
    (
        "promql-experimental-functions",
        Feature::PromqlExperimentalFunctions,
    ),
    (
        "promql-extended-range-selectors",
        Feature::PromqlExtendedRangeSelectors,
    ),
    ("remote-write-receiver", Feature::RemoteWriteReceiver),
    ("search-api", Feature::SearchApi),
    ("type-and-unit-labels", Feature::TypeAndUnitLabels),
];

/// Features that are always on, or are about the Go runtime: enabling them changes nothing.
const WITHOUT_EFFECT: &[&str] = &[
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "expand-external-labels",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "ooo-native-histograms",
    "promql-at-modifier",
    "promql-negative-offset",
    "utf8-names",
    "use-uncached-io",
];

/// Features of Prometheus that are not here, and what is instead.
const MISSING: &[(&str, &str)] = &[
    (
        "delayed-compaction",
        "compaction begins as soon as a block is due",
    ),
    (
        "fast-startup",
        "a start reads the whole write-ahead log before it serves queries",
    ),
    ("histograms-st-encoding", EXPERIMENTAL_CHUNKS),
    (
        "memory-snapshot-on-shutdown",
        "a start reads the write-ahead log",
    ),
    ("old-ui", "there is one web interface"),
    ("st-storage", EXPERIMENTAL_CHUNKS),
    ("st-synthesis", NO_START_TIMES),
    ("use-start-timestamps", NO_START_TIMES),
    ("xor2-encoding", EXPERIMENTAL_CHUNKS),
];
const EXPERIMENTAL_CHUNKS: &str = "experimental chunk encodings are never written, so that every Prometheus and Thanos reads the blocks";
const NO_START_TIMES: &str = "start timestamps of samples are not stored";

/// The enabled features.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Vec<Feature>);

impl Features {
    /// From code: these features.
    #[must_use]
    pub fn of(features: &[Feature]) -> Self {
        Self(features.to_vec())
    }

    /// From flag values, each a comma separated list. What is unknown or missing is logged and ignored, as
    /// Prometheus does.
    #[must_use]
    pub fn parse(values: &[String]) -> Self {
        let mut enabled = Vec::new();
        for name in values
            .iter()
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .filter(|n| !n.is_empty())
        {
            if let Some((_, feature)) = SUPPORTED.iter().find(|(n, _)| *n == name) {
                if !enabled.contains(feature) {
                    enabled.push(*feature);
                }
            } else if WITHOUT_EFFECT.contains(&name) {
                tracing::info!(
                    option = name,
                    "option for --enable-feature has no effect, nothing has to be enabled"
                );
            } else if let Some((_, reason)) = MISSING.iter().find(|(n, _)| *n == name) {
                tracing::warn!(
                    option = name,
                    reason,
                    "option for --enable-feature is not supported"
                );
            } else {
                tracing::warn!(option = name, "Unknown option for --enable-feature");
            }
        }
        Self(enabled)
    }

    /// Checks that the features go together.
    ///
    /// # Errors
    /// [`FlagError::Features`] names two that do not.
    pub fn check(&self) -> Result<(), FlagError> {
        if self.has(Feature::OtlpDeltaToCumulative) && self.has(Feature::OtlpNativeDelta) {
            return Err(FlagError::Features(
                "otlp-deltatocumulative",
                "otlp-native-delta-ingestion",
            ));
        }
        Ok(())
    }

    /// Whether a feature is enabled.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }
}
