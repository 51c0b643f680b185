//! Recording rules: the result under another name, with labels.

use std::collections::HashSet;

use bellwether_model::labels::METRIC_NAME;
use bellwether_promql::VectorSample;

use super::{EvalContext, Rule, RuleError};
use crate::time::Time;

impl Rule {
    pub(super) fn record(
        &self,
        at: Time,
        context: EvalContext<'_>,
    ) -> Result<Vec<VectorSample>, RuleError> {
        let at_ms = at.before(context.query_offset).millis();
        let mut samples = context.query(&self.expr, &self.query, at_ms)?;
        for sample in &mut samples {
            let mut labels = sample.labels.to_builder();
            labels.set(METRIC_NAME, &self.name);
            for (name, value) in &self.labels {
                labels.set(name, value);
            }
            sample.labels = labels.build();
        }
        let mut seen = HashSet::with_capacity(samples.len());
        if !samples.iter().all(|s| seen.insert(&s.labels)) {
            return Err(RuleError::SameLabels("rule"));
        }
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
}
