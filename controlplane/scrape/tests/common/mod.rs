//! A storage in memory and a target that serves what a test tells it to.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_model::storage::{AppendError, Appendable, Appender, SeriesRef};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata, is_stale_nan};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Samples by series; transactions become visible as a whole.
#[derive(Default)]
pub struct MemoryStorage {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    refs: HashMap<Labels, SeriesRef>,
    labels: Vec<Labels>,
    samples: BTreeMap<Labels, Vec<(i64, f64)>>,
    exemplars: Vec<(Labels, Exemplar)>,
    /// References below are unknown, as after a garbage collection.
    forgotten_below: u64,
    commits: usize,
}

struct MemoryAppender<'s> {
    storage: &'s MemoryStorage,
    samples: Vec<(Labels, i64, f64)>,
    exemplars: Vec<(Labels, Exemplar)>,
}

impl Appendable for MemoryStorage {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(MemoryAppender {
            storage: self,
            samples: Vec::new(),
            exemplars: Vec::new(),
        })
    }
}

impl MemoryAppender<'_> {
    fn labels(&self, series: SeriesRef) -> Result<Labels, AppendError> {
        let inner = self.storage.inner.lock();
        if series.0 <= inner.forgotten_below {
            return Err(AppendError::UnknownSeries);
        }
        inner
            .labels
            .get(series.0 as usize - 1)
            .cloned()
            .ok_or(AppendError::UnknownSeries)
    }
}

impl Appender for MemoryAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut inner = self.storage.inner.lock();
        if let Some(series) = inner.refs.get(labels) {
            return Ok(*series);
        }
        inner.labels.push(labels.clone());
        let series = SeriesRef(inner.labels.len() as u64);
        inner.refs.insert(labels.clone(), series);
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        let labels = self.labels(series)?;
        let last = {
            let inner = self.storage.inner.lock();
            self.samples
                .iter()
                .rev()
                .find(|(l, ..)| *l == labels)
                .map(|(_, t, v)| (*t, *v))
                .or_else(|| inner.samples.get(&labels).and_then(|s| s.last().copied()))
        };
        match last {
            Some((last, _)) if t < last => Err(AppendError::OutOfOrder),
            Some((last, value)) if t == last && value.to_bits() != v.to_bits() => {
                Err(AppendError::DuplicateTimestamp(None))
            }
            Some((last, _)) if t == last => Ok(()),
            _ => {
                self.samples.push((labels, t, v));
                Ok(())
            }
        }
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

    fn append_exemplar(
        &mut self,
        series: SeriesRef,
        exemplar: Exemplar,
    ) -> Result<(), AppendError> {
        let labels = self.labels(series)?;
        self.exemplars.push((labels, exemplar));
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), AppendError> {
        let mut inner = self.storage.inner.lock();
        for (labels, t, v) in self.samples {
            inner.samples.entry(labels).or_default().push((t, v));
        }
        inner.exemplars.extend(self.exemplars);
        inner.commits += 1;
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

impl MemoryStorage {
    /// Samples of the series whose text form holds all `parts`.
    pub fn samples(&self, parts: &[&str]) -> Vec<(i64, f64)> {
        let inner = self.inner.lock();
        let mut found = inner
            .samples
            .iter()
            .filter(|(labels, _)| parts.iter().all(|part| labels.to_string().contains(part)));
        let samples = found.next().map(|(_, s)| s.clone()).unwrap_or_default();
        assert!(found.next().is_none(), "{parts:?} is ambiguous");
        samples
    }

    /// The newest value of a series.
    pub fn last(&self, parts: &[&str]) -> Option<f64> {
        self.samples(parts).last().map(|(_, v)| *v)
    }

    /// Whether the newest value of a series is a stale marker.
    pub fn is_stale(&self, parts: &[&str]) -> bool {
        self.last(parts).is_some_and(is_stale_nan)
    }

    /// All series with their newest values.
    pub fn all(&self) -> Vec<(Labels, f64)> {
        let inner = self.inner.lock();
        let newest = |(labels, samples): (&Labels, &Vec<(i64, f64)>)| {
            Some((labels.clone(), samples.last()?.1))
        };
        inner.samples.iter().filter_map(newest).collect()
    }

    /// All series in order.
    pub fn series(&self) -> Vec<String> {
        let inner = self.inner.lock();
        inner.samples.keys().map(ToString::to_string).collect()
    }

    pub fn exemplars(&self) -> Vec<(Labels, Exemplar)> {
        self.inner.lock().exemplars.clone()
    }

    pub fn commits(&self) -> usize {
        self.inner.lock().commits
    }

    /// Makes every reference handed out so far unknown; the labels get new ones.
    pub fn forget_references(&self) {
        let mut inner = self.inner.lock();
        inner.forgotten_below = inner.labels.len() as u64;
        inner.refs.clear();
    }
}

/// What the target answers.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub delay: Duration,
}

impl Answer {
    pub fn text(body: &str) -> Self {
        Self {
            status: "200 OK",
            headers: vec![("Content-Type", "text/plain; version=0.0.4".into())],
            body: body.as_bytes().to_vec(),
            delay: Duration::ZERO,
        }
    }
}

/// A target on a free port.
pub struct TestTarget {
    pub address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestTarget {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestTarget {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let (a, r, c) = (answer.clone(), requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *c.lock() += 1;
                tokio::spawn(serve(stream, a.clone(), r.clone()));
            }
        });
        Self {
            address,
            answer,
            requests,
            connections,
            task,
        }
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    /// Request heads so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => head.extend_from_slice(&buffer[..n]),
        }
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        requests
            .lock()
            .push(String::from_utf8_lossy(&std::mem::take(&mut head)).into_owned());
        let answer = answer.lock().clone();
        tokio::time::sleep(answer.delay).await;
        let mut out = format!(
            "HTTP/1.1 {}\r\nContent-Length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        if stream.write_all(out.as_bytes()).await.is_err()
            || stream.write_all(&answer.body).await.is_err()
        {
            return;
        }
    }
}

/// Waits until a condition holds; panics with its name when it never does.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
