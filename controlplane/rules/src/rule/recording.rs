//! Recording rules: the result under another name, with labels.

use std::collections::HashSet;

use bellwether_model::Labels;
use bellwether_model::labels::METRIC_NAME;
use bellwether_promql::VectorSample;
use parking_lot::Mutex;

use super::{EvalContext, Rule, RuleError};
use crate::time::Time;

/// What the labels of the latest results became. Results mostly come with the same labels in the same order.
#[derive(Debug, Default)]
pub(crate) struct Recording(Mutex<Vec<(Labels, Labels)>>);

impl Rule {
    pub(super) fn record(
        &self,
        recording: &Recording,
        at: Time,
        context: EvalContext<'_>,
    ) -> Result<Vec<VectorSample>, RuleError> {
        let at_ms = at.before(context.query_offset).millis();
        let mut samples = context.query(&self.expr, &self.query, at_ms)?;
        self.rename(&mut recording.0.lock(), &mut samples)?;
        let count = samples.len();
        if context.limit > 0 && count > usize::try_from(context.limit).unwrap_or(usize::MAX) {
            return Err(RuleError::Limit {
                limit: context.limit,
                count,
                what: "series",
            });
        }
        Ok(samples)
    }

    /// Gives results the rule's name and labels.
    fn rename(
        &self,
        known: &mut Vec<(Labels, Labels)>,
        samples: &mut [VectorSample],
    ) -> Result<(), RuleError> {
        let is_known = known.len() == samples.len()
            && (known.iter().zip(&*samples)).all(|((of, _), sample)| *of == sample.labels);
        if !is_known {
            // Empty, should this fail.
            known.clear();
            let renamed = samples.iter().map(|s| (s.labels.clone(), self.renamed(s)));
            let renamed: Vec<_> = renamed.collect();
            let mut seen = HashSet::with_capacity(renamed.len());
            if !renamed.iter().all(|(_, labels)| seen.insert(labels)) {
                return Err(RuleError::SameLabels("rule"));
            }
            *known = renamed;
        }
        for (sample, (_, labels)) in samples.iter_mut().zip(known) {
            sample.labels = labels.clone();
        }
        Ok(())
    }

    fn renamed(&self, sample: &VectorSample) -> Labels {
        let mut labels = sample.labels.to_builder();
        labels.set(METRIC_NAME, &self.name);
        for (name, value) in &self.labels {
            labels.set(name, value);
        }
        labels.build()
    }
}
