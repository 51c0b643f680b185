//! A batch as the body of a request.
//!
//! Float samples are written field by field into a buffer that is used again; what a request says of a series was
//! encoded when the series was born. Sources: `prompb/types.proto` and `prompb/io/prometheus/write/v2/types.proto`.

use bytes::Bytes;

use super::batch::{Batch, Counts, Item, Other};
use super::series::{Catalog, Name, Series};
use crate::encode::{push_histogram, push_label};
use crate::request::HistogramRecord;
use crate::wire::Writer;

/// Buffers that grow with a large request and are not kept beyond this.
const KEPT_BYTES: usize = 4 << 20;

/// Makes bodies, one after the other.
pub(crate) struct BodyWriter {
    /// The message, and for version 2 its series before the symbols are known.
    message: Writer,
    series: Writer,
    /// By symbol: the request that last had it, and its number there.
    local: Vec<(u32, u32)>,
    request: u32,
    /// Symbols of this request in order of their numbers, from 1.
    used: Vec<u32>,
    /// Texts that are no symbols of series: those of exemplars.
    extra: Vec<String>,
    refs: Writer,
    snappy: snap::raw::Encoder,
    packed: Vec<u8>,
}

/// A body and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// The snappy block.
    pub(crate) bytes: Bytes,
    /// What it holds.
    pub(crate) counts: Counts,
    /// What was left out for its age.
    pub(crate) too_old: Counts,
    /// Series with metadata.
    pub(crate) metadata: u64,
    /// Newest and oldest time in it.
    pub(crate) newest: i64,
    pub(crate) oldest: i64,
}

impl std::fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyWriter").finish_non_exhaustive()
    }
}

impl Default for BodyWriter {
    fn default() -> Self {
        Self {
            message: Writer::default(),
            series: Writer::default(),
            local: Vec::new(),
            request: 0,
            used: Vec::new(),
            extra: Vec::new(),
            refs: Writer::default(),
            snappy: snap::raw::Encoder::new(),
            packed: Vec::new(),
        }
    }
}

/// Bytes of a number as a varint.
#[inline]
fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// A `Sample` of both versions: value 1, timestamp 2; behind its own length.
#[inline]
fn push_sample(w: &mut Writer, t: i64, v: f64) {
    let t = t.cast_unsigned();
    // Key and value, key and time; a zero is written too, which costs nothing to readers.
    w.varint((9 + 1 + varint_len(t)) as u64);
    w.0.push(1 << 3 | 1);
    w.0.extend_from_slice(&v.to_bits().to_le_bytes());
    w.0.push(2 << 3);
    w.varint(t);
}

/// Bytes of [`push_sample`].
#[inline]
fn sample_len(t: i64) -> usize {
    let own = 9 + 1 + varint_len(t.cast_unsigned());
    own + varint_len(own as u64)
}

impl BodyWriter {
    /// The body of a batch without what is older than a time (milliseconds).
    ///
    /// # Errors
    /// When the message is larger than snappy's 4 GiB.
    pub(crate) fn write(
        &mut self,
        batch: &Batch,
        catalog: &Catalog,
        oldest_ms: Option<i64>,
    ) -> Result<Body, snap::Error> {
        self.begin(catalog);
        let mut body = Body {
            bytes: Bytes::new(),
            counts: Counts::default(),
            too_old: Counts::default(),
            metadata: 0,
            newest: 0,
            oldest: i64::MAX,
        };
        for item in &batch.items {
            let other = batch.other(item);
            let counts = if oldest_ms.is_some_and(|oldest| item.t < oldest) {
                count(&mut body.too_old, other);
                continue;
            } else {
                &mut body.counts
            };
            // A series is kept as long as a batch has something of it.
            let Some(series) = catalog.get(item.slot) else {
                continue;
            };
            count(counts, other);
            if item.t > 0 {
                body.newest = body.newest.max(item.t);
                body.oldest = body.oldest.min(item.t);
            }
            body.metadata += u64::from(series.metadata.is_some());
            match &series.name {
                Name::Encoded(labels) => self.series_v1(labels, item, other),
                Name::Symbols(symbols) => self.series_v2(symbols, series, item, other),
            }
        }
        self.finish(catalog);
        body.bytes = self.compress()?;
        Ok(body)
    }

    fn begin(&mut self, catalog: &Catalog) {
        self.message.0.clear();
        self.series.0.clear();
        self.used.clear();
        self.extra.clear();
        if self.request == u32::MAX {
            self.local.clear();
            self.request = 0;
        }
        self.request += 1;
        self.local
            .resize(catalog.symbols.len().max(self.local.len()), (0, 0));
    }

    /// Version 1: series 1 of labels 1, samples 2, exemplars 3, histograms 4.
    #[inline]
    fn series_v1(&mut self, labels: &[u8], item: &Item, other: Option<&Other>) {
        let w = &mut self.message;
        let Some(other) = other else {
            let len = labels.len() + 1 + sample_len(item.t);
            w.0.push(1 << 3 | 2);
            w.varint(len as u64);
            w.0.extend_from_slice(labels);
            w.0.push(2 << 3 | 2);
            push_sample(w, item.t, item.v);
            return;
        };
        w.message(1, |w| {
            w.0.extend_from_slice(labels);
            match other {
                Other::Histogram(record) => w.message(4, |w| push_histogram(w, record)),
                Other::Exemplar(own) => w.message(3, |w| {
                    for label in own {
                        push_label(w, label.name, label.value);
                    }
                    w.double(2, item.v);
                    w.int(3, item.t);
                }),
            }
        });
    }

    /// The number of a symbol in this request.
    #[inline]
    fn local(&mut self, symbol: u32) -> u64 {
        let place = &mut self.local[symbol as usize];
        if place.0 != self.request {
            self.used.push(symbol);
            // Number 0 is the empty text.
            *place = (self.request, self.used.len() as u32);
        }
        u64::from(place.1)
    }

    /// Version 2: series 5 of label references 1, samples 2, histograms 3, exemplars 4, metadata 5.
    fn series_v2(&mut self, symbols: &[u32], series: &Series, item: &Item, other: Option<&Other>) {
        let mut refs = std::mem::take(&mut self.refs);
        refs.0.clear();
        for symbol in symbols {
            let local = self.local(*symbol);
            refs.varint(local);
        }
        let metadata = series
            .metadata
            .map(|m| (m.kind, self.local(m.help), self.local(m.unit)));
        let exemplar = match other {
            Some(Other::Exemplar(own)) => self.exemplar(own, item),
            _ => None,
        };
        let w = &mut self.series;
        let meta = metadata.map_or(0, |(kind, help, unit)| {
            let field = |value: u64| if value == 0 { 0 } else { 1 + varint_len(value) };
            field(kind) + field(help) + field(unit)
        });
        match other {
            None => {
                let mut len = 1 + varint_len(refs.0.len() as u64) + refs.0.len();
                len += 1 + sample_len(item.t);
                if metadata.is_some() {
                    len += 1 + varint_len(meta as u64) + meta;
                }
                w.0.push(5 << 3 | 2);
                w.varint(len as u64);
                w.bytes(1, &refs.0);
                w.0.push(2 << 3 | 2);
                push_sample(w, item.t, item.v);
                push_metadata(w, metadata);
            }
            Some(other) => w.message(5, |w| {
                w.bytes(1, &refs.0);
                match other {
                    Other::Histogram(record) => w.message(3, |w| push_histogram(w, record)),
                    Other::Exemplar(_) => w.bytes(4, exemplar.as_deref().unwrap_or_default()),
                }
                push_metadata(w, metadata);
            }),
        }
        self.refs = refs;
    }

    /// `Exemplar` of version 2: label references 1, value 2, timestamp 3.
    fn exemplar(&mut self, own: &bellwether_model::Labels, item: &Item) -> Option<Vec<u8>> {
        let mut refs = Writer::default();
        for label in own {
            for text in [label.name, label.value] {
                // Its own symbol: exemplars are few, and their texts rarely come twice.
                self.used.push(EXTRA | self.extra.len() as u32);
                self.extra.push(text.to_owned());
                refs.varint(self.used.len() as u64);
            }
        }
        let mut w = Writer::default();
        w.bytes(1, &refs.0);
        w.double(2, item.v);
        w.int(3, item.t);
        Some(w.0)
    }

    /// Version 2: symbols 4 before the series.
    fn finish(&mut self, catalog: &Catalog) {
        if self.series.0.is_empty() {
            return;
        }
        self.message.bytes(4, b"");
        for symbol in &self.used {
            let text = match symbol & EXTRA {
                0 => catalog.symbols.text(*symbol),
                _ => &self.extra[(symbol & !EXTRA) as usize],
            };
            self.message.bytes(4, text.as_bytes());
        }
        self.message.0.extend_from_slice(&self.series.0);
    }

    fn compress(&mut self) -> Result<Bytes, snap::Error> {
        let raw = &self.message.0;
        self.packed
            .resize(snap::raw::max_compress_len(raw.len()), 0);
        let len = self.snappy.compress(raw, &mut self.packed)?;
        let bytes = Bytes::copy_from_slice(&self.packed[..len]);
        for buffer in [&mut self.packed, &mut self.message.0, &mut self.series.0] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        Ok(bytes)
    }
}

/// Marks numbers of [`BodyWriter::extra`] among symbols.
const EXTRA: u32 = 1 << 31;

/// `Metadata` 5: type 1, help 3, unit 4.
fn push_metadata(w: &mut Writer, metadata: Option<(u64, u64, u64)>) {
    if let Some((kind, help, unit)) = metadata {
        w.message(5, |w| {
            w.uint(1, kind);
            w.uint(3, help);
            w.uint(4, unit);
        });
    }
}

fn count(counts: &mut Counts, other: Option<&Other>) {
    match other {
        None => counts.samples += 1,
        Some(Other::Histogram(_)) => counts.histograms += 1,
        Some(Other::Exemplar(_)) => counts.exemplars += 1,
    }
}

/// Whether version 1 has no way to say a histogram.
pub(crate) fn has_custom_bounds(record: &HistogramRecord) -> bool {
    let schema = match record {
        HistogramRecord::Integer(_, h) => h.schema,
        HistogramRecord::Float(_, h) => h.schema,
    };
    schema == bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Message;
    use crate::request::{TimeSeries, decode};
    use crate::wire::Cursor;
    use bellwether_model::{Histogram, Labels, Metadata, MetricType};

    fn labels(n: usize) -> Labels {
        Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())])
    }

    fn open(body: &Body) -> Vec<u8> {
        snap::raw::Decoder::new()
            .decompress_vec(&body.bytes)
            .unwrap()
    }

    fn batch(catalog: &mut Catalog) -> Batch {
        let mut batch = Batch::new();
        for (n, v) in [0.0, -1.5, f64::NAN, f64::INFINITY].into_iter().enumerate() {
            let slot = catalog.add(&labels(n));
            batch.push(slot, 1_700_000_000_000 + n as i64, v);
        }
        let slot = batch.items[1].slot;
        let own = Labels::from_pairs([("trace_id", "x")]);
        batch.push_other(slot, 1_700_000_000_900, 7.0, Other::Exemplar(own));
        let histogram = Histogram {
            count: 3,
            ..Histogram::default()
        };
        let record = HistogramRecord::Integer(1_700_000_000_950, Box::new(histogram));
        batch.push_other(slot, 1_700_000_000_950, 0.0, Other::Histogram(record));
        batch
    }

    #[test]
    fn version_1_reads_back() {
        let mut catalog = Catalog::new(Message::V1, false);
        let batch = batch(&mut catalog);
        let mut writer = BodyWriter::default();
        for _ in 0..2 {
            let body = writer.write(&batch, &catalog, None).unwrap();
            assert_eq!(body.counts, batch.counts);
            assert_eq!(
                (body.oldest, body.newest),
                (1_700_000_000_000, 1_700_000_000_950)
            );
            let bytes = open(&body);
            let mut request = decode(&bytes);
            let mut series = TimeSeries::default();
            let mut found = Vec::new();
            while request.next_series(&mut series).unwrap() {
                found.push(series.clone());
            }
            assert_eq!(found.len(), 6);
            for (n, item) in batch.items[..4].iter().enumerate() {
                let text = n.to_string();
                assert_eq!(found[n].labels, [("__name__", "m"), ("n", text.as_str())]);
                assert_eq!(found[n].samples[0].t, item.t);
                assert_eq!(found[n].samples[0].v.to_bits(), item.v.to_bits());
            }
            assert_eq!(found[4].exemplars[0].labels, [("trace_id", "x")]);
            assert_eq!(found[4].exemplars[0].value, 7.0);
            assert!(
                matches!(&found[5].histograms[0], HistogramRecord::Integer(_, h) if h.count == 3)
            );
        }
    }

    #[test]
    fn what_is_too_old_is_left_out() {
        let mut catalog = Catalog::new(Message::V1, false);
        let batch = batch(&mut catalog);
        let mut writer = BodyWriter::default();
        let body = writer
            .write(&batch, &catalog, Some(1_700_000_000_003))
            .unwrap();
        assert_eq!((body.counts.samples, body.too_old.samples), (1, 3));
        assert_eq!((body.counts.exemplars, body.too_old.exemplars), (1, 0));
    }

    /// Every symbol once, the empty one first; references and metadata lead to the right texts.
    #[test]
    fn version_2_reads_back() {
        let mut catalog = Catalog::new(Message::V2, false);
        let batch = batch(&mut catalog);
        let metadata = Metadata {
            kind: MetricType::Counter,
            help: "Says more.".to_owned(),
            unit: String::new(),
        };
        catalog.set_metadata(batch.items[0].slot, &metadata);
        let mut writer = BodyWriter::default();
        for _ in 0..2 {
            let body = writer.write(&batch, &catalog, None).unwrap();
            assert_eq!(body.metadata, 1);
            let bytes = open(&body);
            let (symbols, series) = read_v2(&bytes);
            assert_eq!(symbols[0], "");
            let mut sorted: Vec<&String> = symbols.iter().skip(1).collect();
            sorted.sort();
            let before = sorted.len();
            sorted.dedup();
            assert_eq!(sorted.len(), before, "{symbols:?}");
            assert_eq!(series.len(), 6);
            for (n, series) in series[..4].iter().enumerate() {
                let texts: Vec<&str> = series
                    .refs
                    .iter()
                    .map(|r| symbols[*r as usize].as_str())
                    .collect();
                assert_eq!(texts, ["__name__", "m", "n", n.to_string().as_str()]);
                assert_eq!(
                    series.sample,
                    Some((batch.items[n].t, batch.items[n].v.to_bits()))
                );
            }
            let (kind, help) = series[0].metadata.unwrap();
            assert_eq!((kind, symbols[help as usize].as_str()), (1, "Says more."));
            let texts: Vec<&str> = series[4]
                .exemplar
                .iter()
                .map(|r| symbols[*r as usize].as_str())
                .collect();
            assert_eq!(texts, ["trace_id", "x"]);
        }
    }

    #[derive(Default)]
    struct V2Series {
        refs: Vec<u64>,
        sample: Option<(i64, u64)>,
        exemplar: Vec<u64>,
        metadata: Option<(u64, u64)>,
    }

    fn read_v2(bytes: &[u8]) -> (Vec<String>, Vec<V2Series>) {
        let (mut symbols, mut all) = (Vec::new(), Vec::new());
        let mut cursor = Cursor::new("Request", bytes);
        while let Some(field) = cursor.next().unwrap() {
            if field.number == 4 {
                symbols.push(field.text("symbol").unwrap().to_owned());
                continue;
            }
            let mut series = V2Series::default();
            let mut inner = field.message("TimeSeries").unwrap();
            while let Some(field) = inner.next().unwrap() {
                match field.number {
                    1 => field.push_uints(&mut series.refs).unwrap(),
                    2 => {
                        let sample = crate::request::sample(field.message("Sample").unwrap());
                        let sample = sample.unwrap();
                        series.sample = Some((sample.t, sample.v.to_bits()));
                    }
                    4 => {
                        let mut exemplar = field.message("Exemplar").unwrap();
                        while let Some(field) = exemplar.next().unwrap() {
                            if field.number == 1 {
                                field.push_uints(&mut series.exemplar).unwrap();
                            }
                        }
                    }
                    5 => {
                        let (mut kind, mut help) = (0, 0);
                        let mut metadata = field.message("Metadata").unwrap();
                        while let Some(field) = metadata.next().unwrap() {
                            match field.number {
                                1 => kind = field.uint().unwrap(),
                                3 => help = field.uint().unwrap(),
                                _ => {}
                            }
                        }
                        series.metadata = Some((kind, help));
                    }
                    _ => {}
                }
            }
            all.push(series);
        }
        (symbols, all)
    }

    #[test]
    fn lengths_of_varints() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX] {
            let mut w = Writer::default();
            w.varint(value);
            assert_eq!(w.0.len(), varint_len(value), "{value}");
        }
    }
}
