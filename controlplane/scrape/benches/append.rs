//! A page of known series into a transaction: parsing, the look-up and the call per sample.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use bellwether_exposition::Format;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};
use bellwether_scrape::append::{PageContext, TargetMemory, append_page};
use bellwether_scrape::protocol::PageFormat;
use bellwether_scrape::{ScrapeConfig, ScrapeDefaults};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const FAMILIES: usize = 50;
const SERIES: usize = 200;

/// Counts and forgets.
#[derive(Default)]
struct Sink {
    next: u64,
    sum: f64,
}

impl Appender for Sink {
    fn series(&mut self, _: &Labels) -> Result<SeriesRef, AppendError> {
        self.next += 1;
        Ok(SeriesRef(self.next))
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        self.sum += v + (series.0 as f64) + t as f64;
        Ok(())
    }

    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: Histogram) -> Result<(), AppendError> {
        Ok(())
    }

    fn append_float_histogram(
        &mut self,
        _: SeriesRef,
        _: i64,
        _: FloatHistogram,
    ) -> Result<(), AppendError> {
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), AppendError> {
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

/// The families in the given order, so that pages can differ in it.
fn page(families: impl Iterator<Item = usize>, value: f64) -> String {
    let mut page = String::new();
    for family in families {
        page.push_str(&format!(
            "# HELP http_requests_{family}_total Requests by route and status.\n# TYPE http_requests_{family}_total counter\n"
        ));
        for i in 0..SERIES {
            page.push_str(&format!(
                "http_requests_{family}_total{{method=\"GET\",route=\"/api/v1/things/{i}\",status=\"200\",zone=\"eu-central-1\"}} {}\n",
                value * i as f64
            ));
        }
    }
    page
}

fn bench(c: &mut Criterion) {
    let config = ScrapeConfig {
        job_name: "bench".into(),
        ..ScrapeConfig::default()
    };
    let settings = config.resolve(&ScrapeDefaults::default()).unwrap();
    let target_labels = Labels::from_pairs([("instance", "localhost:9090"), ("job", "bench")]);
    let context = PageContext {
        settings: &settings,
        target_labels: &target_labels,
        time_ms: 1_700_000_000_000,
    };
    let forward = page(0..FAMILIES, 37.25);
    let backward = page((0..FAMILIES).rev(), 11.5);
    let scrape = |memory: &mut TargetMemory, page: &str| {
        let mut sink = Sink::default();
        let (stats, result) = append_page(
            &context,
            memory,
            &mut sink,
            PageFormat::Lines(Format::Text),
            page.as_bytes(),
        );
        result.unwrap();
        black_box(sink.sum);
        stats
    };
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements((FAMILIES * SERIES) as u64));
    group.bench_function("known series, same order", |b| {
        let mut memory = TargetMemory::default();
        scrape(&mut memory, &forward);
        b.iter(|| scrape(&mut memory, &forward));
    });
    group.bench_function("known series, families in another order each time", |b| {
        let mut memory = TargetMemory::default();
        scrape(&mut memory, &forward);
        let mut turn = false;
        b.iter(|| {
            turn = !turn;
            scrape(&mut memory, if turn { &backward } else { &forward })
        });
    });
    group.bench_function("new series", |b| {
        b.iter_batched_ref(
            TargetMemory::default,
            |memory| scrape(memory, &forward),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
