//! A target's page in the text format, made once and brought up to date in place.

use std::fmt::Write as _;

use crate::population::{Population, Shape};

/// A page and where its numbers and pod labels are.
pub(crate) struct Page {
    population: Population,
    text: Vec<u8>,
    values: Vec<(usize, Shape)>,
    /// Offset of the pod label's value, 0 without one.
    pods: Vec<usize>,
}

impl Page {
    pub(crate) fn new(series: usize, seed: u64) -> Self {
        let population = Population::new(series, seed);
        let mut text = String::new();
        let mut values = Vec::with_capacity(series);
        let mut pods = Vec::with_capacity(series);
        // Writing into a string cannot fail.
        for index in 0..series {
            let described = population.describe(index);
            if let Some((family, kind)) = described.header {
                let _ = writeln!(text, "# HELP {family} A family of the benchmark.");
                let _ = writeln!(text, "# TYPE {family} {kind}");
            }
            let _ = write!(text, "{}{{", described.name);
            let mut pod = 0;
            for (i, (name, value)) in described.labels.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(text, "{comma}{name}=\"");
                if *name == "pod" {
                    pod = text.len();
                }
                let _ = write!(text, "{value}\"");
            }
            text.push_str("} ");
            pods.push(pod);
            values.push((text.len(), described.shape));
            text.extend(std::iter::repeat_n('0', described.shape.width));
            text.push('\n');
        }
        let mut page = Self {
            population,
            text: text.into_bytes(),
            values,
            pods,
        };
        page.write_values();
        page
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Moves all values one scrape on and replaces `share` of the pods.
    pub(crate) fn advance(&mut self, share: f64) {
        for (series, label) in self.population.replace(share) {
            for index in series {
                let at = self.pods[index];
                self.text[at..at + label.len()].copy_from_slice(label.as_bytes());
            }
        }
        self.population.advance();
        self.write_values();
    }

    fn write_values(&mut self) {
        for ((at, shape), value) in self.values.iter().zip(self.population.values()) {
            write_number(&mut self.text[*at..*at + shape.width], *value, *shape);
        }
    }
}

fn write_number(out: &mut [u8], mut value: u64, shape: Shape) {
    let point = shape.thousandths.then(|| shape.width - 4);
    for (i, byte) in out.iter_mut().enumerate().rev() {
        if Some(i) == point {
            *byte = b'.';
        } else {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_value_and_pages_keep_their_size() {
        let mut page = Page::new(1_000, 3);
        let size = page.text().len();
        let mut last = String::new();
        for _ in 0..50 {
            page.advance(0.01);
            assert_eq!(page.text().len(), size);
            let text = String::from_utf8(page.text().to_vec()).unwrap();
            let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
            assert_eq!(lines.len(), 1_000);
            for (index, line) in lines.iter().enumerate() {
                let (_, number) = line.split_once("} ").unwrap();
                let shape = page.population.shape(index);
                let divisor = if shape.thousandths { 1_000.0 } else { 1.0 };
                let want = page.population.values()[index] as f64 / divisor;
                assert!(
                    (number.parse::<f64>().unwrap() - want).abs() < 1e-6,
                    "{line}"
                );
            }
            assert_ne!(text, last);
            last = text;
        }
        assert!(last.contains("-0001\""), "pods are replaced");
        assert!((60..=85).contains(&(size / 1_000)), "{size} bytes");
    }

    #[test]
    fn histograms_are_cumulative() {
        let mut page = Page::new(240, 1);
        for _ in 0..2_000 {
            page.advance(0.0);
        }
        let text = String::from_utf8(page.text().to_vec()).unwrap();
        let mut last = 0.0;
        for line in text.lines().filter(|l| l.contains("_bucket")) {
            let value: f64 = line.split_once("} ").unwrap().1.parse().unwrap();
            if !line.contains("le=\"0.005\"") {
                assert!(value >= last, "{line}");
            }
            last = value;
        }
    }
}
