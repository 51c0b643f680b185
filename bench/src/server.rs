//! The servers under test, started as their users start them.

use std::fmt::{self, Write as _};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::http;
use crate::process::Process;

/// How long any wait for a server may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Bellwether,
    Prometheus,
    Victoria,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bellwether => "Bellwether",
            Self::Prometheus => "Prometheus",
            Self::Victoria => "VictoriaMetrics",
        })
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) bellwether: PathBuf,
    /// Folder of `prometheus` and `victoria-metrics`.
    pub(crate) reference: PathBuf,
}

/// A running server with its data directory.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
}

/// Where a server sends what it scrapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding {
    pub(crate) address: SocketAddr,
    /// Name of the protobuf message.
    pub(crate) message: &'static str,
}

/// What a server scrapes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scraping<'a> {
    pub(crate) targets: &'a [SocketAddr],
    pub(crate) interval_s: u64,
    pub(crate) forwarding: Option<Forwarding>,
    /// A whole configuration instead of all that.
    pub(crate) instead: Option<&'a str>,
}

impl Server {
    /// Starts a server on a directory and waits until it answers.
    pub(crate) fn start(
        programs: &Programs,
        kind: Kind,
        dir: &Path,
        scraping: Scraping<'_>,
    ) -> anyhow::Result<Self> {
        Self::start_with(programs, kind, dir, scraping, &[])
    }

    /// [`Server::start`] with more flags.
    pub(crate) fn start_with(
        programs: &Programs,
        kind: Kind,
        dir: &Path,
        scraping: Scraping<'_>,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut server = Self::launch_with(programs, kind, dir, scraping, flags)?;
        let health = match kind {
            Kind::Victoria => "/health",
            Kind::Bellwether | Kind::Prometheus => "/-/ready",
        };
        let address = server.address;
        server.wait_until("ready", || Ok(http::get(address, health).is_ok()))?;
        Ok(server)
    }

    /// Starts a server on a directory and returns at once.
    pub(crate) fn launch(
        programs: &Programs,
        kind: Kind,
        dir: &Path,
        scraping: Scraping<'_>,
    ) -> anyhow::Result<Self> {
        Self::launch_with(programs, kind, dir, scraping, &[])
    }

    fn launch_with(
        programs: &Programs,
        kind: Kind,
        dir: &Path,
        scraping: Scraping<'_>,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let config = dir.join("config.yml");
        fs::write(&config, configuration(scraping))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = dir.join("data");
        let mut command = match kind {
            Kind::Bellwether => {
                let mut command = Command::new(&programs.bellwether);
                command.arg("server");
                command
            }
            Kind::Prometheus => Command::new(programs.reference.join("prometheus")),
            Kind::Victoria => Command::new(programs.reference.join("victoria-metrics")),
        };
        match kind {
            Kind::Bellwether | Kind::Prometheus => command.args([
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
                "--web.enable-admin-api".to_owned(),
            ]),
            Kind::Victoria => command.args([
                format!("-promscrape.config={}", config.display()),
                format!("-storageDataPath={}", data.display()),
                format!("-httpListenAddr={address}"),
                "-search.latencyOffset=0s".to_owned(),
            ]),
        };
        command.args(flags);
        let process = Process::start(&mut command, &dir.join("log"))?;
        Ok(Self {
            kind,
            process,
            address,
            dir: dir.to_owned(),
        })
    }

    /// Goes on with another configuration: the same targets and more sections. Wants `--web.enable-lifecycle`.
    pub(crate) fn reconfigure(&self, scraping: Scraping<'_>, sections: &str) -> anyhow::Result<()> {
        let text = configuration(scraping) + sections;
        fs::write(self.dir.join("config.yml"), text)?;
        http::post(self.address, "/-/reload")?;
        Ok(())
    }

    /// Waits until one of the server's own metrics has reached a value.
    pub(crate) fn wait_until_metric(&mut self, name: &str, value: f64) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.metric(name)? < value {
            if !self.process.is_running() || start.elapsed() > PATIENCE {
                bail!(
                    "{}: {name} is below {value}:\n{}",
                    self.kind,
                    self.log_end()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Waits for a condition; the end of the server or of all patience is an error.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        mut condition: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !condition()? {
            if !self.process.is_running() || start.elapsed() > PATIENCE {
                bail!("{} is not {what}:\n{}", self.kind, self.log_end());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let skip = log.lines().count().saturating_sub(10);
        log.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// Sum of one of the server's own metrics over its series.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        Ok(self.values(name)?.into_iter().sum())
    }

    /// The largest of them.
    pub(crate) fn largest(&self, name: &str) -> anyhow::Result<f64> {
        Ok(self.values(name)?.into_iter().fold(0.0, f64::max))
    }

    fn values(&self, name: &str) -> anyhow::Result<Vec<f64>> {
        let page = http::get(self.address, "/metrics")?;
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' '])
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        Ok(values.collect())
    }

    /// Samples stored since the start.
    pub(crate) fn samples(&self) -> anyhow::Result<f64> {
        self.metric(match self.kind {
            Kind::Victoria => "vm_rows_inserted_total",
            Kind::Bellwether | Kind::Prometheus => "prometheus_tsdb_head_samples_appended_total",
        })
    }

    /// An instant query's answer, without what differs between servers: the values, sorted.
    pub(crate) fn query(&self, query: &str, time_s: i64) -> anyhow::Result<Vec<String>> {
        let path = format!("/api/v1/query?query={}&time={time_s}", http::encode(query));
        let answer: serde_json::Value = serde_json::from_str(&http::get(self.address, &path)?)?;
        let result = answer["data"]["result"]
            .as_array()
            .context("the answer is no vector")?;
        let mut values: Vec<String> = result
            .iter()
            .map(|element| element["value"][1].as_str().unwrap_or_default().to_owned())
            .collect();
        values.sort();
        Ok(values)
    }

    /// Where remote write goes.
    pub(crate) fn push_path(&self) -> &'static str {
        "/api/v1/write"
    }
}

fn configuration(scraping: Scraping<'_>) -> String {
    if let Some(text) = scraping.instead {
        return text.to_owned();
    }
    if scraping.targets.is_empty() {
        return "scrape_configs: []\n".to_owned();
    }
    let interval = scraping.interval_s;
    let mut text = format!(
        "global:\n  scrape_interval: {interval}s\n  scrape_timeout: {interval}s\nscrape_configs:\n  \
         - job_name: bench\n    static_configs:\n      - targets:\n"
    );
    for target in scraping.targets {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "          - {target}");
    }
    if let Some(to) = scraping.forwarding {
        let _ = writeln!(
            text,
            "remote_write:\n- url: http://{}/write\n  protobuf_message: {}",
            to.address, to.message
        );
    }
    text
}
