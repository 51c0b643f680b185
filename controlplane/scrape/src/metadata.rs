//! Type, help and unit of a target's metric families.

use bellwether_exposition::unescape;
use bellwether_model::MetricType;
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
}

/// Metadata as of the last scrapes. Comparing is free of allocation; a change is noted and published once.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: HashMap<Box<[u8]>, Family, FixedState>,
    round: u64,
    changed: bool,
}

impl MetadataCache {
    pub(crate) fn begin(&mut self) {
        self.round += 1;
    }

    /// The family of a name, marked as seen, and the flag to raise at a change.
    fn family(&mut self, name: &[u8]) -> (&mut Family, &mut bool) {
        if !self.families.contains_key(name) {
            self.changed = true;
            self.families.insert(name.into(), Family::default());
        }
        let family = self
            .families
            .get_mut(name)
            .expect("inserted right above where it was missing");
        family.seen = self.round;
        (family, &mut self.changed)
    }

    pub(crate) fn set_kind(&mut self, name: &[u8], kind: MetricType) {
        let (family, changed) = self.family(name);
        if family.kind != kind {
            family.kind = kind;
            *changed = true;
        }
    }

    pub(crate) fn set_help(&mut self, name: &[u8], help: &str) {
        let (family, changed) = self.family(name);
        if family.help != help {
            help.clone_into(&mut family.help);
            *changed = true;
        }
    }

    pub(crate) fn set_unit(&mut self, name: &[u8], unit: &[u8]) {
        let (family, changed) = self.family(name);
        if family.unit.as_bytes() != unit {
            family.unit = String::from_utf8_lossy(unit).into_owned();
            *changed = true;
        }
    }

    pub(crate) fn finish(&mut self) {
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
