//! The series that every server is fed with, and how their values move.
//!
//! A page holds *pods*: 8 counters, 4 gauges and one histogram of 10 buckets, a sum and a count, 24 series with
//! one `pod` label. Ten pods make a *group*, whose families stand together as the text format wants it. What does
//! not fill a group are plain counters.
//!
//! Values are kept as integers, those of gauges and sums in thousandths. Each has a fixed number of digits, so a
//! page can be brought up to date by writing over its digits.

use std::fmt::Write as _;

const COUNTERS: usize = 8;
const GAUGES: usize = 4;
const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf",
];
/// Buckets, sum, count.
const HISTOGRAM: usize = BOUNDS.len() + 2;
const POD: usize = COUNTERS + GAUGES + HISTOGRAM;
const PODS: usize = 10;
const GROUP: usize = PODS * POD;

/// A value's digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Characters, the point included.
    pub(crate) width: usize,
    /// Whether the last three digits follow a point.
    pub(crate) thousandths: bool,
}

/// What the `pod` label of a series says, and where its text has it.
pub(crate) struct Described {
    /// A family's header, where the series is its first.
    pub(crate) header: Option<(String, &'static str)>,
    pub(crate) name: String,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) shape: Shape,
}

/// The values of one target's series.
pub(crate) struct Population {
    /// In the order of the page.
    values: Vec<u64>,
    starts: Vec<u64>,
    /// How often each pod has been replaced.
    generations: Vec<u32>,
    random: Random,
    /// Pods still to be replaced, carried from scrape to scrape.
    due: f64,
    next_pod: usize,
}

impl Population {
    /// `seed` makes targets differ.
    pub(crate) fn new(series: usize, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let groups = series / GROUP;
        let mut values = vec![0; series];
        for (index, value) in values.iter_mut().enumerate() {
            *value = match place(index, groups) {
                Place::Counter { .. } | Place::Rest => {
                    let digits = 6 + (index % 3) as u32;
                    10u64.pow(digits - 1) + random.below(4 * 10u64.pow(digits - 1))
                }
                Place::Gauge { .. } => 10_000 + random.below(90_000),
                Place::Bucket { .. } => 0,
            };
        }
        for pod in 0..groups * PODS {
            let first = first_bucket(pod);
            let mut total = 100_000 + random.below(100_000);
            for bucket in 0..BOUNDS.len() {
                values[first + bucket] = total;
                total += random.below(40_000);
            }
            values[first + 10] = 100_000_000 + random.below(400_000_000);
            values[first + 11] = values[first + 9];
        }
        Self {
            starts: values.clone(),
            values,
            generations: vec![0; groups * PODS],
            random,
            due: 0.0,
            next_pod: 0,
        }
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// What the series is; `target` tells the targets of a job apart where nothing else does.
    pub(crate) fn describe(&self, index: usize) -> Described {
        let place = place(index, self.generations.len() / PODS);
        let (name, kind, mut labels, first) = match place {
            Place::Counter { pod, member } => (
                format!("app{:02}_requests_total", pod / PODS),
                "counter",
                vec![
                    ("method", ["GET", "PUT"][member % 2].to_owned()),
                    ("code", ["200", "302", "404", "500"][member / 2].to_owned()),
                ],
                pod % PODS == 0 && member == 0,
            ),
            Place::Gauge { pod, member } => (
                format!("app{:02}_queue_length", pod / PODS),
                "gauge",
                vec![(
                    "queue",
                    ["orders", "mails", "bills", "stock"][member].to_owned(),
                )],
                pod % PODS == 0 && member == 0,
            ),
            Place::Bucket { pod, member } => (
                format!("app{:02}_request_duration_seconds", pod / PODS),
                "histogram",
                match BOUNDS.get(member) {
                    Some(bound) => vec![("le", (*bound).to_owned())],
                    None => Vec::new(),
                },
                pod % PODS == 0 && member == 0,
            ),
            Place::Rest => (
                "app_rest_total".to_owned(),
                "counter",
                vec![("row", format!("{index:06}"))],
                index == self.generations.len() / PODS * GROUP,
            ),
        };
        if let Some(pod) = place.pod() {
            labels.push(("pod", self.pod_label(pod)));
        }
        let suffix = match place {
            Place::Bucket { member: 10, .. } => "_sum",
            Place::Bucket { member: 11, .. } => "_count",
            Place::Bucket { .. } => "_bucket",
            _ => "",
        };
        Described {
            header: first.then(|| (name.clone(), kind)),
            name: name + suffix,
            labels,
            shape: self.shape(index),
        }
    }

    fn pod_label(&self, pod: usize) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = write!(text, "{pod:04}-{:04}", self.generations[pod] % 10_000);
        text
    }

    pub(crate) fn shape(&self, index: usize) -> Shape {
        let place = place(index, self.generations.len() / PODS);
        let thousandths = matches!(
            place,
            Place::Gauge { .. } | Place::Bucket { member: 10, .. }
        );
        let digits = self.starts[index].max(1).ilog10() as usize + 1;
        Shape {
            width: digits + usize::from(thousandths),
            thousandths,
        }
    }

    /// Moves every value one scrape on.
    pub(crate) fn advance(&mut self) {
        let groups = self.generations.len() / PODS;
        for group in 0..groups {
            let base = group * GROUP;
            for index in base..base + PODS * COUNTERS {
                self.count(index, 0xf);
            }
            for index in base + PODS * COUNTERS..base + PODS * (COUNTERS + GAUGES) {
                let step = self.random.below(1_000);
                self.values[index] = (self.values[index] + step)
                    .saturating_sub(500)
                    .clamp(10_000, 99_999);
            }
            for pod in group * PODS..(group + 1) * PODS {
                self.observe(pod);
            }
        }
        for index in groups * GROUP..self.values.len() {
            self.count(index, 0xf);
        }
    }

    fn count(&mut self, index: usize, mask: u64) {
        let value = self.values[index] + (self.random.next() & mask);
        // A counter that would outgrow its digits starts again.
        self.values[index] = if same_digits(value, self.starts[index]) {
            value
        } else {
            self.starts[index]
        };
    }

    /// Up to seven observations of a histogram.
    fn observe(&mut self, pod: usize) {
        let first = first_bucket(pod);
        let observations = self.random.below(8);
        let mut below = [0u64; BOUNDS.len()];
        for _ in 0..observations {
            below[self.random.below(BOUNDS.len() as u64) as usize] += 1;
        }
        let mut total = 0;
        for (bucket, new) in below.iter().enumerate() {
            total += new;
            self.values[first + bucket] += total;
        }
        self.values[first + 10] += observations * self.random.below(900);
        self.values[first + 11] = self.values[first + 9];
        if (first..first + HISTOGRAM).any(|i| !same_digits(self.values[i], self.starts[i])) {
            self.values[first..first + HISTOGRAM]
                .copy_from_slice(&self.starts[first..first + HISTOGRAM]);
        }
    }

    /// Replaces pods, so that `share` of them is new (a fraction, may be below one pod). Returns their series by
    /// index and the new text of their label.
    pub(crate) fn replace(&mut self, share: f64) -> Vec<(Vec<usize>, String)> {
        let pods = self.generations.len();
        self.due += share * pods as f64;
        let mut replaced = Vec::new();
        while self.due >= 1.0 && pods > 0 {
            self.due -= 1.0;
            let pod = self.next_pod;
            self.next_pod = (pod + 1) % pods;
            self.generations[pod] += 1;
            replaced.push((self.series_of(pod), self.pod_label(pod)));
        }
        replaced
    }

    fn series_of(&self, pod: usize) -> Vec<usize> {
        let base = pod / PODS * GROUP;
        let pod = pod % PODS;
        let counters = base + pod * COUNTERS;
        let gauges = base + PODS * COUNTERS + pod * GAUGES;
        let buckets = base + PODS * (COUNTERS + GAUGES) + pod * HISTOGRAM;
        (counters..counters + COUNTERS)
            .chain(gauges..gauges + GAUGES)
            .chain(buckets..buckets + HISTOGRAM)
            .collect()
    }
}

/// What a place in the page holds.
#[derive(Clone, Copy)]
enum Place {
    Counter { pod: usize, member: usize },
    Gauge { pod: usize, member: usize },
    Bucket { pod: usize, member: usize },
    Rest,
}

impl Place {
    fn pod(self) -> Option<usize> {
        match self {
            Self::Counter { pod, .. } | Self::Gauge { pod, .. } | Self::Bucket { pod, .. } => {
                Some(pod)
            }
            Self::Rest => None,
        }
    }
}

fn place(index: usize, groups: usize) -> Place {
    let group = index / GROUP;
    if group >= groups {
        return Place::Rest;
    }
    let within = index % GROUP;
    let pods = group * PODS;
    if within < PODS * COUNTERS {
        return Place::Counter {
            pod: pods + within / COUNTERS,
            member: within % COUNTERS,
        };
    }
    let within = within - PODS * COUNTERS;
    if within < PODS * GAUGES {
        return Place::Gauge {
            pod: pods + within / GAUGES,
            member: within % GAUGES,
        };
    }
    let within = within - PODS * GAUGES;
    Place::Bucket {
        pod: pods + within / HISTOGRAM,
        member: within % HISTOGRAM,
    }
}

fn first_bucket(pod: usize) -> usize {
    pod / PODS * GROUP + PODS * (COUNTERS + GAUGES) + pod % PODS * HISTOGRAM
}

fn same_digits(a: u64, b: u64) -> bool {
    a.max(1).ilog10() == b.max(1).ilog10()
}

/// Xorshift: fast, and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
