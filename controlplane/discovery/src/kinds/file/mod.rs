//! `file_sd_configs`: targets from JSON or YAML files.
//!
//! The directories of the patterns are watched, so that a change counts within a moment. Not every file system tells
//! of changes, so the files' sizes and times are looked at every few seconds as well, and all files are read again
//! after `refresh_interval`. A file that does not parse keeps the targets it had; one that is gone takes them along.

mod glob;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::watch::Watch;
use crate::config::{FileSdConfig, StaticConfig};
use crate::discoverer::{BuildContext, Discoverer, Running, Updates};
use crate::group::{GroupsError, TargetGroup, from_json, named_groups};
use crate::metrics::SdMetrics;

/// How often the files' metadata is looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Writers change a file in several steps: the last one counts.
const SETTLE: Duration = Duration::from_millis(20);

struct FileDiscovery {
    patterns: Vec<PathBuf>,
    refresh: Duration,
    set: String,
    metrics: SdMetrics,
    /// Files whose times are among the metrics.
    noted: Mutex<BTreeSet<String>>,
}

/// What tells that a file changed.
type Stamp = (u64, Option<SystemTime>);

#[derive(Debug, Default)]
struct Files {
    stamps: BTreeMap<PathBuf, Stamp>,
    /// Number of groups of each file that was read.
    groups: BTreeMap<PathBuf, usize>,
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{0}")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Groups(#[from] GroupsError),
}

pub(super) fn build(config: &FileSdConfig, context: &BuildContext) -> Box<dyn Discoverer> {
    Box::new(FileDiscovery {
        patterns: config.paths(&context.base_dir),
        refresh: config.refresh_interval.0.max(Duration::from_millis(100)),
        set: context.set.clone(),
        metrics: context.metrics.clone(),
        noted: Mutex::default(),
    })
}

impl FileDiscovery {
    /// Reads what changed, or everything.
    fn look(&self, mut files: Files, everything: bool) -> (Files, Vec<TargetGroup>) {
        let started = Instant::now();
        let stamps = self.stamps();
        let mut groups = Vec::new();
        let gone: Vec<PathBuf> = files
            .groups
            .keys()
            .filter(|path| !stamps.contains_key(*path))
            .cloned()
            .collect();
        for path in gone {
            let count = files.groups.remove(&path).unwrap_or(0);
            groups.extend((0..count).map(|i| gone_group(&path, i)));
            self.forget_time(&path.to_string_lossy());
        }
        for (path, stamp) in &stamps {
            if !everything && files.stamps.get(path) == Some(stamp) {
                continue;
            }
            match read(path) {
                Ok(read) => {
                    let before = files.groups.insert(path.clone(), read.len()).unwrap_or(0);
                    groups.extend((read.len()..before).map(|i| gone_group(path, i)));
                    groups.extend(read);
                    self.note_time(path, stamp);
                }
                Err(error) => {
                    self.metrics.file_read_errors.inc();
                    tracing::error!(
                        discovery = "file",
                        config = self.set,
                        path = %path.display(),
                        %error,
                        "Error reading file"
                    );
                }
            }
        }
        files.stamps = stamps;
        let duration = started.elapsed().as_secs_f64();
        self.metrics.file_scan.observe(duration);
        (files, groups)
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut stamps = BTreeMap::new();
        for path in self.patterns.iter().flat_map(|p| glob::expand(p)) {
            if let Ok(meta) = std::fs::metadata(&path) {
                stamps.insert(path, (meta.len(), meta.modified().ok()));
            }
        }
        stamps
    }

    fn note_time(&self, path: &Path, stamp: &Stamp) {
        let since = stamp.1.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let name = path.to_string_lossy();
        let gauge = self.metrics.file_mtime(&name);
        gauge.set(since.unwrap_or_default().as_secs() as f64);
        self.noted.lock().insert(name.into_owned());
    }

    fn forget_time(&self, name: &str) {
        self.metrics.remove_file_mtime(name);
        self.noted.lock().remove(name);
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        let parent = |pattern: &PathBuf| match pattern.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        self.patterns.iter().map(parent).collect()
    }

    async fn discover(self: Arc<Self>, updates: Updates) {
        let mut watch = Watch::new(self.directories(), self.metrics.file_watcher_errors.clone());
        let mut files = Files::default();
        let mut last_read: Option<Instant> = None;
        loop {
            let everything = last_read.is_none_or(|at| at.elapsed() >= self.refresh);
            if everything {
                // A directory may be new, or be another one under the same name.
                watch = watch.renew().await;
                last_read = Some(Instant::now());
            }
            let first = files.stamps.is_empty() && everything;
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || this.look(files, everything)).await;
            let Ok((now, groups)) = looked else { return };
            files = now;
            if (first || !groups.is_empty()) && updates.send(groups).await.is_err() {
                return;
            }
            let pause = POLL_INTERVAL.min(self.refresh);
            if tokio::time::timeout(pause, watch.changed()).await.is_ok() {
                tokio::time::sleep(SETTLE).await;
            }
        }
    }
}

impl Drop for FileDiscovery {
    fn drop(&mut self) {
        for name in self.noted.lock().iter() {
            self.metrics.remove_file_mtime(name);
        }
    }
}

impl Discoverer for FileDiscovery {
    fn run(self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running {
        let this: Arc<Self> = Arc::from(self);
        Box::pin(async move {
            shutdown.run_until_cancelled(this.discover(updates)).await;
        })
    }
}

fn gone_group(path: &Path, index: usize) -> TargetGroup {
    TargetGroup::gone(&format!("{}:{index}", path.display()))
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, FileError> {
    let text = std::fs::read_to_string(path)?;
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let configs = if is_json {
        from_json(text.as_bytes())?
    } else {
        from_yaml(&text)?
    };
    let name = path.to_string_lossy();
    Ok(named_groups(configs, &name, ("__meta_filepath", &name))?)
}

fn from_yaml(text: &str) -> Result<Vec<Option<StaticConfig>>, GroupsError> {
    bellwether_yaml::from_str_with_nulls("", text)
        .map_err(|e| GroupsError::Yaml(e.to_string().trim_start_matches(':').to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bellwether_telemetry::Registry;

    use super::*;

    fn discovery(dir: &Path, patterns: &[&str]) -> FileDiscovery {
        FileDiscovery {
            patterns: patterns.iter().map(|p| dir.join(p)).collect(),
            refresh: Duration::from_secs(300),
            set: "job".to_owned(),
            metrics: SdMetrics::new(&Registry::new()),
            noted: Mutex::default(),
        }
    }

    /// Source (without the directory) and addresses of each group.
    fn shown(groups: &[TargetGroup]) -> Vec<(String, Vec<String>)> {
        let name = |g: &TargetGroup| g.source.rsplit('/').next().unwrap().to_owned();
        let addresses = |g: &TargetGroup| {
            let members = g.members();
            members.map(|l| l.value("__address__").to_owned()).collect()
        };
        groups.iter().map(|g| (name(g), addresses(g))).collect()
    }

    fn want(groups: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let texts = |list: &&[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        groups
            .iter()
            .map(|(name, list)| ((*name).to_owned(), texts(list)))
            .collect()
    }

    #[test]
    fn files_are_read_again_when_they_change_and_a_bad_one_keeps_its_targets() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.json", r#"[{"targets":["a:1"],"labels":{"x":"y"}}]"#);
        write("b.yml", "- targets: ['b:1', 'b:2']\n- targets: ['b:3']\n");
        write("c.txt", "no");
        let discovery = discovery(dir.path(), &["*.json", "b.yml", "missing.yml"]);
        let (files, groups) = discovery.look(Files::default(), true);
        let all = want(&[
            ("a.json:0", &["a:1"]),
            ("b.yml:0", &["b:1", "b:2"]),
            ("b.yml:1", &["b:3"]),
        ]);
        assert_eq!(shown(&groups), all);
        assert_eq!(groups[0].labels.value("x"), "y");
        let path = groups[0].labels.value("__meta_filepath").to_owned();
        assert!(path.ends_with("a.json"));

        let (files, groups) = discovery.look(files, false);
        assert_eq!(shown(&groups), want(&[]));
        write("b.yml", "- targets: ['b:4', 'b:5']\n");
        let (files, groups) = discovery.look(files, false);
        let changed = want(&[("b.yml:1", &[]), ("b.yml:0", &["b:4", "b:5"])]);
        assert_eq!(shown(&groups), changed);
        write("b.yml", "- targets: {broken\n");
        let (files, groups) = discovery.look(files, false);
        assert_eq!(shown(&groups), want(&[]));
        assert!((discovery.metrics.file_read_errors.get() - 1.0).abs() < f64::EPSILON);
        std::fs::remove_file(dir.path().join("b.yml")).unwrap();
        let (_, groups) = discovery.look(files, false);
        assert_eq!(shown(&groups), want(&[("b.yml:0", &[])]));
    }

    #[test]
    fn mistakes_in_files() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, error) in [
            ("null.json", "[null]", "nil target group item found"),
            (
                "unknown.json",
                r#"[{"targets":[],"label":{}}]"#,
                "did you mean \"labels\"?",
            ),
            (
                "unknown.yml",
                "- target: [a]\n",
                "did you mean \"targets\"?",
            ),
            ("type.yml", "- targets: 5\n", "expected a list"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let found = read(&path).unwrap_err().to_string();
            assert!(found.contains(error), "{name}: {found}");
        }
        let empty = dir.path().join("empty.yml");
        std::fs::write(&empty, "").unwrap();
        assert_eq!(read(&empty).unwrap(), []);
    }
}
