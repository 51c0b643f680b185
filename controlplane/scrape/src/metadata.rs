//! Type, help and unit of a target's metric families.

use bellwether_exposition::unescape;
use bellwether_model::{Metadata, MetricType};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::snapshot::MetricMetadata;

/// Rounds that a family survives without being seen, as Prometheus keeps them.
const KEEP_ROUNDS: u64 = 10;

#[derive(Debug, Default)]
struct Family {
    kind: MetricType,
    /// As written.
    help: String,
    unit: String,
    seen: u64,
    /// The round of the last change.
    changed: u64,
}

/// Metadata as of the last scrapes. Comparing is free of allocation; a change is noted and published once.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: HashMap<Box<[u8]>, Family, FixedState>,
    round: u64,
    changed: bool,
    /// Name of the family that the page is at; empty before the first.
    current: Vec<u8>,
    /// The current family changed in this round, or storage does not have what was told it.
    is_due: bool,
    /// Storage does not have what was told it in the last round.
    is_untold: bool,
}

impl MetadataCache {
    pub(crate) fn begin(&mut self) {
        self.round += 1;
        self.current.clear();
        self.is_due = false;
    }

    /// Changes the family of a name, which becomes the current one and counts as seen.
    fn set(&mut self, name: &[u8], change: impl FnOnce(&mut Family) -> bool) {
        if !self.families.contains_key(name) {
            self.changed = true;
            self.families.insert(name.into(), Family::default());
        }
        let family = self
            .families
            .get_mut(name)
            .expect("inserted right above where it was missing");
        family.seen = self.round;
        if change(family) {
            self.changed = true;
            family.changed = self.round;
        }
        self.is_due = self.is_untold || family.changed == self.round;
        if self.current != name {
            self.current.clear();
            self.current.extend_from_slice(name);
        }
    }

    pub(crate) fn set_kind(&mut self, name: &[u8], kind: MetricType) {
        self.set(name, |family| {
            std::mem::replace(&mut family.kind, kind) != kind
        });
    }

    pub(crate) fn set_help(&mut self, name: &[u8], help: &str) {
        self.set(name, |family| {
            let changes = family.help != help;
            if changes {
                help.clone_into(&mut family.help);
            }
            changes
        });
    }

    pub(crate) fn set_unit(&mut self, name: &[u8], unit: &[u8]) {
        self.set(name, |family| {
            let changes = family.unit.as_bytes() != unit;
            if changes {
                family.unit = String::from_utf8_lossy(unit).into_owned();
            }
            changes
        });
    }

    /// Whether storage has to hear of the current family's known series again.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// What the current family says of a series by its stored name, nothing when it belongs to another.
    pub(crate) fn of_series(&self, name: &str) -> Option<Metadata> {
        let family = self.families.get(self.current.as_slice())?;
        let is_its = belongs(name, std::str::from_utf8(&self.current).ok()?, family.kind);
        is_its.then(|| Metadata {
            kind: family.kind,
            help: unescape(&family.help).into_owned(),
            unit: family.unit.clone(),
        })
    }

    /// The round's transaction did not become one: what it told has to be told again.
    pub(crate) fn lose(&mut self) {
        self.is_untold = true;
    }

    pub(crate) fn finish(&mut self) {
        self.is_untold = false;
        let round = self.round;
        let before = self.families.len();
        self.families
            .retain(|_, family| round - family.seen <= KEEP_ROUNDS);
        self.changed |= self.families.len() != before;
    }

    /// The families sorted by name, if anything changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Option<Vec<MetricMetadata>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut out: Vec<MetricMetadata> = self
            .families
            .iter()
            .map(|(name, family)| MetricMetadata {
                metric: unescape(&String::from_utf8_lossy(name)).into_owned(),
                kind: family.kind,
                help: unescape(&family.help).into_owned(),
                unit: family.unit.clone(),
            })
            .collect();
        out.sort_by(|a, b| a.metric.cmp(&b.metric));
        Some(out)
    }
}

/// Whether a name is that of a family's series. A page may have series without metadata behind a family.
fn belongs(name: &str, family: &str, kind: MetricType) -> bool {
    let suffixes: &[&str] = match kind {
        MetricType::Counter => &["_total"],
        MetricType::Histogram => &["_bucket", "_sum", "_count"],
        MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricType::Summary => &["_sum", "_count"],
        MetricType::Info => &["_info"],
        MetricType::Gauge | MetricType::Stateset | MetricType::Unknown => &[],
    };
    let without = |text: &str| {
        let stem = suffixes.iter().find_map(|s| text.strip_suffix(s));
        stem.unwrap_or(text).to_owned()
    };
    // The text format has counters and infos with the suffix in the family's name.
    let stem = match kind {
        MetricType::Counter | MetricType::Info => without(family),
        _ => family.to_owned(),
    };
    name.starts_with(family) && without(name) == stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_depend_on_the_type() {
        use MetricType::{Counter, Gauge, GaugeHistogram, Histogram, Info, Summary};
        for (name, family, kind) in [
            ("a", "a", Gauge),
            ("a_total", "a", Counter),
            ("a_total", "a_total", Counter),
            ("a", "a", Counter),
            ("h", "h", Histogram),
            ("h_bucket", "h", Histogram),
            ("h_gsum", "h", GaugeHistogram),
            ("s_count", "s", Summary),
            ("i_info", "i", Info),
            ("i_info", "i_info", Info),
        ] {
            assert!(belongs(name, family, kind), "{name} {family}");
        }
        for (name, family, kind) in [
            ("a_total", "a", Gauge),
            ("ab", "a", Gauge),
            ("b", "a", Counter),
            ("a", "a_total", Counter),
            ("h_other", "h", Histogram),
            ("s_bucket", "s", Summary),
            ("h_sum", "h", GaugeHistogram),
        ] {
            assert!(!belongs(name, family, kind), "{name} {family}");
        }
    }
}
