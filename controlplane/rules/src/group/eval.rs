//! One evaluation of a group.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bellwether_model::storage::{AppendError, Appender};
use bellwether_model::{Labels, stale_nan};
use bellwether_promql::VectorSample;
use bellwether_telemetry::trace::{Context, KeyValue, SpanKind};

use super::Group;
use super::stored::Stored;
use crate::rule::{EvalContext, Health, Rule, RuleError};
use crate::time::Time;

/// A slot for a rule that runs beside others; given back when dropped.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn try_take(free: &'a AtomicUsize) -> Option<Self> {
        let take = |n: usize| n.checked_sub(1);
        let taken = free.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.ok().map(|_| Self(free))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Group {
    /// Evaluates all rules at a time. Blocks on queries and on the storage. Ends early between two rules when the
    /// group is stopped.
    pub(crate) fn evaluate(&self, at: Time) {
        let samples = AtomicUsize::new(0);
        let run = |i: usize| {
            samples.fetch_add(self.evaluate_rule(i, at), Ordering::Relaxed);
        };
        let finished = if self.batches.is_empty() {
            (0..self.rules.len()).all(|i| {
                !self.stop.is_cancelled() && {
                    run(i);
                    true
                }
            })
        } else {
            self.batches.iter().all(|batch| self.run_batch(batch, &run))
        };
        if finished {
            self.metrics.samples.set(samples.into_inner() as f64);
            self.end_stale_series(at);
        }
    }

    /// Runs the rules of a batch, beside each other as far as there are slots; false when the group was stopped.
    fn run_batch(&self, batch: &[usize], run: &(dyn Fn(usize) + Sync)) -> bool {
        std::thread::scope(|scope| {
            for &i in batch {
                if self.stop.is_cancelled() {
                    return false;
                }
                let free = self.context.slots.as_deref().filter(|_| batch.len() > 1);
                match free.and_then(Slot::try_take) {
                    Some(slot) => {
                        scope.spawn(move || {
                            let _slot = slot;
                            run(i);
                        });
                    }
                    None => run(i),
                }
            }
            true
        })
    }

    /// Evaluates one rule and stores what it yields; how many samples that were.
    fn evaluate_rule(&self, index: usize, at: Time) -> usize {
        let rule = &self.rules[index];
        let (began, clock) = (Time::now(), Instant::now());
        let traces = &self.context.traces;
        let span = traces.start("rule", SpanKind::Internal, &Context::new());
        span.set(|| vec![KeyValue::new("name", rule.name.clone())]);
        let _entered = span.enter();
        self.metrics.evaluations.inc();
        let context = EvalContext {
            queries: &*self.context.queries,
            cancel: &self.cancel,
            file: &self.key.file,
            group: &self.key.name,
            external_url: &self.context.external_url,
            template_metrics: &self.context.metrics.templates,
            query_offset: self.query_offset(),
            limit: self.limit,
        };
        let count = match rule.evaluate(at, context) {
            Ok(samples) => {
                set_health(rule, None);
                self.notify(rule, at);
                let count = samples.len();
                self.store(index, samples, at);
                count
            }
            Err(error) => {
                span.fail(&error.to_string());
                self.failed(rule, &error, "Evaluating rule failed");
                0
            }
        };
        let took = clock.elapsed();
        self.context.metrics.evaluation.observe(took.as_secs_f64());
        let histogram = &self.context.metrics.evaluation_histogram;
        histogram.observe(took.as_secs_f64());
        let mut status = rule.status.lock();
        status.evaluation_time = took;
        status.last_evaluation = Some(began);
        count
    }

    fn failed(&self, rule: &Rule, error: &RuleError, message: &str) {
        self.metrics.failures.inc();
        if !error.is_canceled() {
            let (group, file) = (&self.key.name, &self.key.file);
            tracing::warn!(group, file, rule = rule.name, %error, "{message}");
        }
        set_health(rule, Some(error));
    }

    fn notify(&self, rule: &Rule, at: Time) {
        let Some(alerting) = rule.alerting() else {
            return;
        };
        let due = alerting.take_due(at, self.context.options.resend_delay, self.interval);
        if !due.is_empty() {
            (self.context.notify)(&rule.query, due);
        }
    }

    /// One transaction: the samples, and stale markers for the series that had samples last time.
    fn store(&self, index: usize, samples: Vec<VectorSample>, at: Time) {
        let rule = &self.rules[index];
        let mut previous = self.previous[index].lock();
        let mut appender = self.context.appendable.appender();
        let mut returned = Stored::default();
        let mut dropped = Dropped::default();
        for (place, sample) in samples.into_iter().enumerate() {
            match previous.append(&mut *appender, place, &sample) {
                Ok(series) => returned.push(sample.labels, series),
                Err(error) => {
                    dropped.count(&error);
                    let labels = &sample.labels;
                    tracing::debug!(rule = rule.name, %labels, %error, "Rule evaluation result discarded");
                    set_health(rule, Some(&RuleError::Append(error)));
                }
            }
        }
        dropped.log(rule);
        let gone_at = at.before(self.query_offset()).millis();
        for labels in previous.vanished(&returned) {
            end_series(&mut *appender, labels, gone_at);
        }
        match appender.commit() {
            Ok(()) => *previous = returned,
            Err(error) => self.failed(rule, &error.into(), "Rule sample appending failed"),
        }
    }

    /// Ends the series of rules that are gone.
    pub(super) fn end_stale_series(&self, at: Time) {
        let mut stale = self.stale.lock();
        if stale.is_empty() {
            return;
        }
        let mut appender = self.context.appendable.appender();
        let at_ms = at.before(self.query_offset()).millis();
        for labels in stale.iter() {
            end_series(&mut *appender, labels, at_ms);
        }
        match appender.commit() {
            Ok(()) => stale.clear(),
            Err(error) => {
                tracing::warn!(group = self.key.name, %error, "Stale sample appending for previous configuration failed");
            }
        }
    }

    /// All series of the group are to be ended.
    pub(super) fn abandon_series(&self) {
        let mut stale = self.stale.lock();
        for previous in &self.previous {
            stale.extend(previous.lock().drain());
        }
    }
}

fn set_health(rule: &Rule, error: Option<&RuleError>) {
    let mut status = rule.status.lock();
    status.health = if error.is_none() {
        Health::Good
    } else {
        Health::Bad
    };
    status.last_error = error.map(ToString::to_string).unwrap_or_default();
}

/// Writes a stale marker. That the series has a newer sample is expected where another rule writes it now.
fn end_series(appender: &mut dyn Appender, labels: &Labels, at_ms: i64) {
    let result = appender
        .series(labels)
        .and_then(|series| appender.append(series, at_ms, stale_nan()));
    match result {
        Ok(())
        | Err(AppendError::OutOfOrder | AppendError::TooOld | AppendError::DuplicateTimestamp(_)) =>
            {}
        Err(error) => tracing::warn!(%labels, %error, "Adding stale sample failed"),
    }
}

/// Results that the storage refused, by reason.
#[derive(Default)]
struct Dropped {
    out_of_order: usize,
    too_old: usize,
    duplicate: usize,
    other: usize,
}

impl Dropped {
    fn count(&mut self, error: &AppendError) {
        match error {
            AppendError::OutOfOrder => self.out_of_order += 1,
            AppendError::TooOld => self.too_old += 1,
            AppendError::DuplicateTimestamp(_) => self.duplicate += 1,
            _ => self.other += 1,
        }
    }

    fn log(&self, rule: &Rule) {
        for (num_dropped, message) in [
            (
                self.out_of_order,
                "Error on ingesting out-of-order result from rule evaluation",
            ),
            (
                self.too_old,
                "Error on ingesting too old result from rule evaluation",
            ),
            (
                self.duplicate,
                "Error on ingesting results from rule evaluation with different value but same timestamp",
            ),
            (self.other, "Rule evaluation results discarded"),
        ] {
            if num_dropped > 0 {
                tracing::warn!(rule = rule.name, num_dropped, "{message}");
            }
        }
    }
}
