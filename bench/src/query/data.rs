//! The same samples for all servers, made once and kept.
//!
//! Bellwether takes the samples by remote write and writes Prometheus' format, so its directories serve both:
//! `blocks` has two-hour blocks and nothing else, `head` has the write-ahead log and nothing else. VictoriaMetrics
//! has its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::http::{self, Pusher};
use crate::push::Requests;
use crate::server::{Kind, Programs, Scraping, Server};
use crate::sleep;

/// The first sample, in seconds since the epoch: a multiple of every range in use, and long ago, so that what was
/// made once stays right.
pub(crate) const START: i64 = 1_728_000_000;
/// Series of one `instance`.
const PER_INSTANCE: usize = 1_000;

/// Where a server finds the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Blocks,
    Head,
}

impl Place {
    /// The name of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Head => "head",
        }
    }
}

/// How many samples there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) series: usize,
    pub(crate) seconds: i64,
    /// Seconds between a series' samples.
    pub(crate) step: i64,
}

impl Shape {
    /// The time of the last sample, in seconds since the epoch.
    pub(crate) fn end(self) -> i64 {
        START + self.seconds - self.step
    }
}

/// Prepared directories of one shape.
pub(crate) struct Data<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) shape: Shape,
    cache: PathBuf,
}

impl<'a> Data<'a> {
    /// `cache` is where prepared directories are kept.
    pub(crate) fn new(programs: &'a Programs, shape: Shape, cache: &Path) -> Self {
        let name = format!("{}x{}s-{}s", shape.series, shape.seconds, shape.step);
        Self {
            programs,
            shape,
            cache: cache.join(name),
        }
    }

    /// Starts a server on a copy of its samples in an empty directory.
    pub(crate) fn start(&self, kind: Kind, place: Place, dir: &Path) -> anyhow::Result<Server> {
        let source = self.prepared(kind, place)?;
        copy(&source, &dir.join("data"))?;
        self.start_again(kind, place, dir)
    }

    /// Starts a server on a directory that [`Data::start`] filled.
    pub(crate) fn start_again(
        &self,
        kind: Kind,
        place: Place,
        dir: &Path,
    ) -> anyhow::Result<Server> {
        Server::start_with(
            self.programs,
            kind,
            dir,
            Scraping::default(),
            flags(kind, place),
        )
    }

    /// The folder with a server's samples; makes it when it is not there.
    fn prepared(&self, kind: Kind, place: Place) -> anyhow::Result<PathBuf> {
        let dir = self.cache.join(match kind {
            Kind::Victoria => "victoria",
            Kind::Bellwether | Kind::Prometheus => place.name(),
        });
        if dir.is_dir() {
            return Ok(dir);
        }
        eprintln!("making {}", dir.display());
        fs::create_dir_all(&self.cache)?;
        let scratch = tempfile::Builder::new()
            .prefix("making")
            .tempdir_in(&self.cache)?;
        let maker = match kind {
            Kind::Victoria => Kind::Victoria,
            Kind::Bellwether | Kind::Prometheus => Kind::Bellwether,
        };
        let mut server = Server::start_with(
            self.programs,
            maker,
            scratch.path(),
            Scraping::default(),
            flags(maker, place),
        )?;
        self.feed(&server)?;
        let made = match (maker, place) {
            (Kind::Victoria, _) => {
                http::get(server.address, "/internal/force_flush")?;
                http::get(server.address, "/internal/force_merge")?;
                server.data()
            }
            (_, Place::Head) => server.data(),
            (_, Place::Blocks) => self.cut(&mut server)?,
        };
        server.process.stop()?;
        // All at once, so that a folder under its name is complete.
        fs::rename(made, &dir)?;
        Ok(dir)
    }

    /// Sends all samples.
    fn feed(&self, server: &Server) -> anyhow::Result<()> {
        let mut pusher = Pusher::connect(server.address, server.push_path())?;
        let mut instances: Vec<Requests> = (0..self.shape.series.div_ceil(PER_INSTANCE))
            .map(|i| {
                let series = PER_INSTANCE.min(self.shape.series - i * PER_INSTANCE);
                Requests::new("bench", &format!("one-{i}"), series, series, i as u64 + 1)
            })
            .collect();
        let mut time = START;
        while time < START + self.shape.seconds {
            for instance in &mut instances {
                instance.round(time * 1000, |body, _| pusher.push(body))?;
            }
            time += self.shape.step;
        }
        Ok(())
    }

    /// Waits until all blocks that are due are there and writes the rest as a block.
    fn cut(&self, server: &mut Server) -> anyhow::Result<PathBuf> {
        const PATIENCE: Duration = Duration::from_secs(300);
        let from = Instant::now();
        let mut known = (0.0, Instant::now());
        // Blocks are cut in rounds of a minute, the first of which may come while samples still arrive.
        while known.1.elapsed() < Duration::from_secs(65) && self.shape.seconds > 2 * 3600 {
            if from.elapsed() > PATIENCE {
                bail!("blocks are still being made");
            }
            sleep(1);
            let blocks = server.metric("prometheus_tsdb_blocks_loaded")?;
            if blocks != known.0 {
                known = (blocks, Instant::now());
            }
        }
        let answer = http::post(server.address, "/api/v1/admin/tsdb/snapshot")?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let name = answer["data"]["name"]
            .as_str()
            .context("a snapshot's name")?;
        Ok(server.data().join("snapshots").join(name))
    }
}

/// Old samples must stay, and no block must be made or merged while queries are measured.
fn flags(kind: Kind, place: Place) -> &'static [&'static str] {
    match (kind, place) {
        (Kind::Victoria, _) => &["-retentionPeriod=100y"],
        (_, Place::Blocks) => &[
            "--storage.tsdb.retention.time=100y",
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
        ],
        (_, Place::Head) => &[
            "--storage.tsdb.retention.time=100y",
            "--storage.tsdb.min-block-duration=48h",
            "--storage.tsdb.max-block-duration=48h",
        ],
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
