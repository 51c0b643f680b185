//! Throughput of the parser: a page of 10,000 samples, with and without knowledge of the previous order.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use bellwether_exposition::{Entry, Format, Parser};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A page as a busy HTTP service shows it.
fn page() -> String {
    let mut page = String::new();
    for family in 0..50 {
        page.push_str(&format!(
            "# HELP http_requests_{family}_total Requests by route and status.\n# TYPE http_requests_{family}_total counter\n"
        ));
        for i in 0..200 {
            let value = f64::from(i) * 37.25;
            page.push_str(&format!(
                "http_requests_{family}_total{{method=\"GET\",route=\"/api/v1/things/{i}\",status=\"200\",zone=\"eu-central-1\"}} {value}\n"
            ));
        }
    }
    page.push_str("# EOF\n");
    page
}

fn bench(c: &mut Criterion) {
    let page = page();
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Bytes(page.len() as u64));
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut parser = Parser::new(format, page.as_bytes());
                let mut sum = 0.0;
                while let Some(entry) = parser.next().unwrap() {
                    if let Entry::Series(line) = entry {
                        sum += line.value + line.series.len() as f64;
                    }
                }
                black_box(sum)
            });
        });
        let mut order = Vec::new();
        let mut parser = Parser::new(format, page.as_bytes());
        while let Some(entry) = parser.next().unwrap() {
            if let Entry::Series(line) = entry {
                order.push(line.series);
            }
        }
        group.bench_function(format!("{name}, order known"), |b| {
            b.iter(|| {
                let mut parser = Parser::new(format, page.as_bytes());
                let mut sum = 0.0;
                let mut next = 0;
                while let Some(entry) = parser
                    .next_expecting(order.get(next).copied().unwrap_or_default())
                    .unwrap()
                {
                    if let Entry::Series(line) = entry {
                        sum += line.value;
                        next += 1;
                    }
                }
                black_box(sum)
            });
        });
        group.bench_function(format!("{name}, labels of every line"), |b| {
            b.iter(|| {
                let mut parser = Parser::new(format, page.as_bytes());
                let mut count = 0;
                while let Some(entry) = parser.next().unwrap() {
                    if let Entry::Series(line) = entry {
                        count += line.labels(&parser).unwrap().labels.len();
                    }
                }
                black_box(count)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
