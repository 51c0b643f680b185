//! Metric families of a page in the text format, grouped as Prometheus' own library groups them.

use std::collections::BTreeMap;

use bellwether_exposition::{Entry, Format, ParseError, Parser};
use bellwether_model::MetricType;

/// Labels of a sample in the order in which they were written.
pub(super) type WrittenLabels = Vec<(String, String)>;

/// A family: what stands under one name, buckets and sums included.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Whether there is a `# HELP` line.
    pub(super) has_help: bool,
    /// `Unknown` where no `# TYPE` line came before the samples.
    pub(super) kind: MetricType,
    has_type: bool,
    /// Each metric's labels and how often they occur. The samples of a histogram or summary are one metric.
    pub(super) metrics: Vec<(WrittenLabels, usize)>,
    known: BTreeMap<WrittenLabels, usize>,
    /// Buckets or quantiles of the first metric.
    pub(super) parts: usize,
}

impl Family {
    /// Series of the family, as Prometheus' tool counts them: as if all metrics had as many buckets as the first.
    pub(super) fn cardinality(&self) -> usize {
        match self.kind {
            MetricType::Histogram | MetricType::Summary => self.metrics.len() * (2 + self.parts),
            _ => self.metrics.iter().map(|(_, count)| count).sum(),
        }
    }

    fn is_composed(&self) -> bool {
        matches!(self.kind, MetricType::Histogram | MetricType::Summary)
    }

    fn add(&mut self, mut labels: WrittenLabels) {
        let part = match self.kind {
            MetricType::Histogram => "le",
            MetricType::Summary => "quantile",
            _ => "",
        };
        let before = labels.len();
        labels.retain(|(name, _)| name != part);
        let is_part = labels.len() < before;
        // Labels of a composed metric may stand in any order.
        let mut key = labels.clone();
        let is_composed = self.is_composed();
        if is_composed {
            key.sort();
        }
        let next = self.metrics.len();
        let index = *self.known.entry(key).or_insert(next);
        match self.metrics.get_mut(index) {
            Some((_, count)) => *count += usize::from(!is_composed),
            None => self.metrics.push((labels, 1)),
        }
        self.parts += usize::from(is_part && index == 0);
    }
}

/// Why a page has no families.
#[derive(Debug, thiserror::Error)]
pub(super) enum FamilyError {
    #[error("text format parsing error in line {}: {}", .0.line, .0.message)]
    Parse(#[from] ParseError),
    #[error("text format parsing error in line {line}: {message}")]
    Line { line: usize, message: String },
}

/// The families of a page that have samples, by name.
pub(super) fn read(page: &[u8]) -> Result<BTreeMap<String, Family>, FamilyError> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut parser = Parser::new(Format::Text, page);
    let line_of = |name: &[u8]| line_in(page, name);
    while let Some(entry) = parser.next()? {
        match entry {
            Entry::Help { name, .. } => {
                let text = String::from_utf8_lossy(name);
                let family = families.entry(place(&families, &text)).or_default();
                if std::mem::replace(&mut family.has_help, true) {
                    let message = format!("second HELP line for metric name {text:?}");
                    return Err(FamilyError::Line {
                        line: line_of(name),
                        message,
                    });
                }
            }
            Entry::Type { name, kind } => {
                let text = String::from_utf8_lossy(name);
                let family = families.entry(place(&families, &text)).or_default();
                if std::mem::replace(&mut family.has_type, true) {
                    let message = format!(
                        "second TYPE line for metric name {text:?}, or TYPE reported after samples"
                    );
                    return Err(FamilyError::Line {
                        line: line_of(name),
                        message,
                    });
                }
                family.kind = kind;
            }
            Entry::Series(line) => {
                let labels = line.labels(&parser)?;
                let name = labels.name.clone().into_owned();
                if let Some(twice) = labels.duplicate() {
                    let message = format!("duplicate label names for metric {name:?}: {twice:?}");
                    return Err(parser.error_at(&line, message).into());
                }
                let family = families.entry(place(&families, &name)).or_default();
                family.has_type = true;
                let pairs = labels.labels.iter();
                family.add(
                    pairs
                        .map(|pair| (pair.name.to_string(), pair.value.to_string()))
                        .collect(),
                );
            }
            Entry::Unit { .. } | Entry::Comment => {}
        }
    }
    families.retain(|_, family| !family.metrics.is_empty());
    Ok(families)
}

/// The line that a part of the page stands on.
fn line_in(page: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(page.as_ptr() as usize);
    let before = &page[..offset.min(page.len())];
    1 + before.iter().filter(|b| **b == b'\n').count()
}

/// The family that a name belongs to: its own, or that of the summary or histogram whose part it is.
fn place(families: &BTreeMap<String, Family>, name: &str) -> String {
    if families.contains_key(name) {
        return name.to_owned();
    }
    let is = |base: &str, kind| families.get(base).is_some_and(|family| family.kind == kind);
    let parts = [
        ("_count", MetricType::Summary),
        ("_sum", MetricType::Summary),
        ("_count", MetricType::Histogram),
        ("_sum", MetricType::Histogram),
        ("_bucket", MetricType::Histogram),
    ];
    let base = parts.into_iter().find_map(|(suffix, kind)| {
        let base = name.strip_suffix(suffix)?;
        is(base, kind).then(|| base.to_owned())
    });
    base.unwrap_or_else(|| name.to_owned())
}
