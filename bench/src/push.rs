//! Remote-write requests made once; only values and timestamps are written anew.

use crate::population::Population;

/// Timestamps between 2004 and 2109 in milliseconds take this many bytes as a varint.
const TIME_BYTES: usize = 6;

/// The requests that push a population, each with some of its series and one sample of each.
pub(crate) struct Requests {
    population: Population,
    requests: Vec<Request>,
}

struct Request {
    message: Vec<u8>,
    /// Where each sample's value and timestamp are.
    places: Vec<(usize, usize)>,
    first: usize,
}

impl Requests {
    /// `series` with the labels `job` and `instance`, `per_request` of them in one request.
    pub(crate) fn new(
        job: &str,
        instance: &str,
        series: usize,
        per_request: usize,
        seed: u64,
    ) -> Self {
        let population = Population::new(series, seed);
        let mut requests = Vec::new();
        for first in (0..series).step_by(per_request) {
            let mut request = Request {
                message: Vec::new(),
                places: Vec::new(),
                first,
            };
            for index in first..series.min(first + per_request) {
                let described = population.describe(index);
                let mut labels: Vec<(&str, &str)> = described
                    .labels
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                labels.push(("__name__", &described.name));
                labels.push(("job", job));
                labels.push(("instance", instance));
                labels.sort_unstable();
                request.add(&labels);
            }
            requests.push(request);
        }
        Self {
            population,
            requests,
        }
    }

    /// Moves all values one step on and hands over each request, compressed, with its number of samples.
    pub(crate) fn round(
        &mut self,
        time_ms: i64,
        mut send: impl FnMut(&[u8], usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.population.advance();
        let mut encoder = snap::raw::Encoder::new();
        for request in &mut self.requests {
            request.update(&self.population, time_ms);
            let body = encoder.compress_vec(&request.message)?;
            send(&body, request.places.len())?;
        }
        Ok(())
    }
}

impl Request {
    /// Adds `timeseries = 1 { labels = 1 { name = 1, value = 2 }, samples = 2 { value = 1, timestamp = 2 } }`.
    fn add(&mut self, labels: &[(&str, &str)]) {
        let mut series = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut series, 1, &label);
        }
        let mut sample = vec![1 << 3 | 1];
        sample.extend([0; 8]);
        sample.push(2 << 3);
        sample.extend([0; TIME_BYTES]);
        field(&mut series, 2, &sample);
        field(&mut self.message, 1, &series);
        let end = self.message.len();
        self.places.push((end - TIME_BYTES - 9, end - TIME_BYTES));
    }

    fn update(&mut self, population: &Population, time_ms: i64) {
        let mut time = [0; TIME_BYTES];
        let mut rest = time_ms.cast_unsigned();
        for (i, byte) in time.iter_mut().enumerate() {
            let more = if i + 1 < TIME_BYTES { 0x80 } else { 0 };
            *byte = (rest & 0x7f) as u8 | more;
            rest >>= 7;
        }
        for (i, (value, at)) in self.places.iter().enumerate() {
            let index = self.first + i;
            let mut number = population.values()[index] as f64;
            if population.shape(index).thousandths {
                number /= 1_000.0;
            }
            self.message[*value..value + 8].copy_from_slice(&number.to_le_bytes());
            self.message[*at..at + TIME_BYTES].copy_from_slice(&time);
        }
    }
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut rest = bytes.len();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend(bytes);
}
