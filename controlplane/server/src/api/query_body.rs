//! The answer of a query, written piece by piece while the client reads.
//!
//! A large result is never held as text: each poll of the body turns the next few series into one chunk, so that
//! memory follows the chunk size and a slow client slows the writing down.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use bellwether_model::float;
use bellwether_promql::{MatrixSeries, Point, Value, VectorSample};

use super::histogram::push_histogram;
use super::json;
use super::piece::{Piece, Spare};
use super::times::{TIME_ROOM, TimeTexts};

/// Size at which a chunk is handed over: large enough that the cost per chunk vanishes, small enough to be
/// written without holding up an async thread.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of most points.
const POINT_BYTES: usize = 28;
/// Bytes of most label sets.
const LABELS_BYTES: usize = 256;

/// Answers with a query's value. `stats` is a ready JSON object or empty.
pub(crate) fn respond(
    value: Value,
    stats: &str,
    warnings: &[String],
    infos: &[String],
) -> Response {
    let mut tail = String::new();
    if !stats.is_empty() {
        tail.push_str(",\"stats\":");
        tail.push_str(stats);
    }
    tail.push('}');
    json::push_annotations(&mut tail, warnings, infos);
    tail.push('}');
    let mut writer = QueryBody::new(value, tail);
    let first = writer.chunk();
    if writer.is_done() {
        return (json::CONTENT_TYPE, first).into_response();
    }
    let chunks = std::iter::once(first).chain(std::iter::from_fn(move || {
        (!writer.is_done()).then(|| writer.chunk())
    }));
    let stream = futures_util::stream::iter(chunks.map(Ok::<_, Infallible>));
    (json::CONTENT_TYPE, Body::from_stream(stream)).into_response()
}

struct QueryBody {
    value: Value,
    /// What follows the result.
    tail: String,
    begun: bool,
    done: bool,
    /// Next element of the vector or matrix.
    element: usize,
    /// Next point of that series; the places of floats first, then histograms.
    point: usize,
    times: TimeTexts,
    spare: Spare,
}

impl QueryBody {
    fn new(value: Value, tail: String) -> Self {
        Self {
            value,
            tail,
            begun: false,
            done: false,
            element: 0,
            point: 0,
            times: TimeTexts::default(),
            spare: Spare::default(),
        }
    }

    fn is_done(&self) -> bool {
        self.done
    }

    /// The next piece of the text.
    fn chunk(&mut self) -> Bytes {
        let mut out = Piece::new((self.rest() + 512).min(CHUNK_BYTES + 4096), &self.spare);
        if !self.begun {
            self.begun = true;
            out.push_str(r#"{"status":"success","data":{"resultType":""#);
            out.push_str(self.value.type_name());
            out.push_str(r#"","result":["#);
        }
        while out.len() < CHUNK_BYTES {
            if !self.step(&mut out) {
                out.push_str("]");
                out.push_str(&self.tail);
                self.done = true;
                break;
            }
        }
        out.lend(&self.spare)
    }

    /// About how many bytes are left to be written, as far as they matter.
    fn rest(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } | Value::String { .. } => 0,
            Value::Vector(samples) => (samples.len() - self.element) * LABELS_BYTES,
            Value::Matrix(list) => {
                let mut bytes = 0;
                for series in &list[self.element..] {
                    bytes += LABELS_BYTES + series.floats.len() * POINT_BYTES;
                    if bytes > CHUNK_BYTES {
                        break;
                    }
                }
                bytes
            }
        }
    }

    /// Writes one vector element or a part of one series; false when there is nothing left.
    fn step(&mut self, out: &mut Piece) -> bool {
        match &mut self.value {
            Value::Scalar { t, v } => {
                out.with(|out| {
                    json::push_float_time(out, *t);
                    out.push(',');
                    json::push_value(out, *v);
                });
                false
            }
            Value::String { t, s } => {
                out.with(|out| {
                    json::push_float_time(out, *t);
                    out.push(',');
                    json::push_str(out, s);
                });
                false
            }
            Value::Vector(samples) => {
                let Some(sample) = samples.get(self.element) else {
                    return false;
                };
                if self.element > 0 {
                    out.push_str(",");
                }
                out.with(|out| push_sample(out, sample));
                self.element += 1;
                true
            }
            Value::Matrix(list) => {
                let Some(series) = list.get_mut(self.element) else {
                    return false;
                };
                if self.point == 0 && self.element > 0 {
                    out.push_str(",");
                }
                if push_series(out, series, &mut self.point, &mut self.times) {
                    // Written series are no longer needed: give their memory back while the rest is sent.
                    *series = MatrixSeries::default();
                    self.element += 1;
                    self.point = 0;
                }
                true
            }
        }
    }
}

fn push_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    json::push_labels(out, &sample.labels);
    match &sample.point {
        Point::Float(v) => {
            out.push_str(",\"value\":[");
            json::push_time(out, sample.t);
            out.push(',');
            json::push_value(out, *v);
        }
        Point::Histogram(h) => {
            out.push_str(",\"histogram\":[");
            json::push_time(out, sample.t);
            out.push(',');
            push_histogram(out, h);
        }
    }
    out.push_str("]}");
}

/// Writes points from `point` on until the chunk is full; true when the series is complete.
fn push_series(
    out: &mut Piece,
    series: &MatrixSeries,
    point: &mut usize,
    times: &mut TimeTexts,
) -> bool {
    let (floats, places) = (&series.floats, series.floats.slots());
    let total = places + series.histograms.len();
    if *point == 0 {
        out.push_str("{\"metric\":");
        out.with(|out| json::push_labels(out, &series.labels));
        out.push_str(match floats.is_empty() {
            true => "",
            false => ",\"values\":[",
        });
    }
    while *point < places {
        if let Some((t, v)) = floats.slot(*point) {
            push_point(out, times, t, v);
        }
        *point += 1;
        if *point == places {
            // Behind the last one, which is a sample, stands no comma.
            out.pop();
            out.push_str("]");
        } else if out.len() >= CHUNK_BYTES {
            return false;
        }
    }
    while let Some((t, h)) = series.histograms.get(*point - places) {
        let first = *point == places;
        out.push_str(if first { ",\"histograms\":[[" } else { ",[" });
        out.with(|out| {
            json::push_time(out, *t);
            out.push(',');
            push_histogram(out, h);
        });
        *point += 1;
        if *point == total {
            out.push_str("]]");
            break;
        }
        out.push_str("]");
        if out.len() >= CHUNK_BYTES {
            return false;
        }
    }
    out.push_str("}");
    true
}

/// Writes a point and a comma.
#[inline(always)]
fn push_point(out: &mut Piece, times: &mut TimeTexts, t: i64, v: f64) {
    const ROOM: usize = TIME_ROOM + float::JSON_ROOM + 3;
    let short = out.in_place(|room: &mut [u8; ROOM]| {
        let at = times.write(room.first_chunk_mut()?, t);
        let end = at + float::write_json(room.get_mut(at..)?.first_chunk_mut()?, v)?;
        room.get_mut(end..end + 3)?.copy_from_slice(b"\"],");
        Some(end + 3)
    });
    if !short {
        out.in_place(|room| Some(times.write(room, t)));
        out.with(|out| float::push_json(out, v));
        out.push_str("\"],");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bellwether_model::Labels;
    use bellwether_promql::Floats;

    fn text(value: Value) -> (String, usize) {
        let mut body = QueryBody::new(value, "}}".to_owned());
        let (mut out, mut chunks) = (String::new(), 0);
        while !body.is_done() {
            out.push_str(std::str::from_utf8(&body.chunk()).unwrap());
            chunks += 1;
        }
        (out, chunks)
    }

    #[test]
    fn an_empty_matrix_is_an_empty_list() {
        let (json, chunks) = text(Value::Matrix(Vec::new()));
        assert_eq!(
            json,
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
        );
        assert_eq!(chunks, 1);
    }

    #[test]
    fn many_chunks_make_one_document() {
        let series: Vec<MatrixSeries> = (0..40)
            .map(|s| MatrixSeries {
                labels: Labels::from_pairs([("s", s.to_string())]),
                floats: (0..s * 500)
                    .map(|i| (i64::from(i) * 1001, f64::from(i) / 7.0))
                    .collect(),
                histograms: Vec::new(),
            })
            .collect();
        let (json, chunks) = text(Value::Matrix(series));
        assert!(chunks > 10, "{chunks}");
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        let result = parsed["data"]["result"].as_array().unwrap();
        assert_eq!(result.len(), 40);
        for (s, series) in result.iter().enumerate() {
            let points = series["values"].as_array().map_or(0, Vec::len);
            assert_eq!(points, s * 500);
        }
    }

    #[test]
    fn steps_without_a_sample_are_left_out() {
        // Gaps at the beginning, at the end, and at every place of a chunk's end.
        let value = |s: i64, i: i64| match i {
            0..3 => bellwether_model::stale_nan(),
            _ if (i + s) % 3 == 0 || i + s > 3000 => bellwether_model::stale_nan(),
            _ => i as f64,
        };
        let series = |s: i64| MatrixSeries {
            labels: Labels::from_pairs([("s", s.to_string())]),
            floats: Floats::of_steps(5000, 1000, (0..3000).map(|i| value(s, i)).collect()),
            histograms: Vec::new(),
        };
        let (json, chunks) = text(Value::Matrix((0..40).map(series).collect()));
        assert!(chunks > 10, "{chunks}");
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        let result = parsed["data"]["result"].as_array().unwrap();
        for (s, series) in (0..).zip(result) {
            let steps = (0..3000).map(|i| (i, value(s, i)));
            let wanted: Vec<_> = steps
                .filter(|(_, v)| !v.is_nan())
                .map(|(i, v)| serde_json::json!([5 + i, v.to_string()]))
                .collect();
            assert_eq!(series["values"].as_array(), Some(&wanted));
        }
    }
}
