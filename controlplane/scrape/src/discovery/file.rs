//! Targets from JSON or YAML files.
//!
//! The files are looked at every few seconds and read again when a name, size or time of change differs, and
//! in any case after the refresh interval. A file that does not parse keeps the targets it had.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bellwether_model::LabelsBuilder;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Discoverer, TargetGroup, group};
use crate::config::{FileSdConfig, StaticConfig};

/// How often the files' metadata is looked at; cheap, and a change shows soon.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A file pattern of `file_sd_configs`: `*` only in the last part, which ends in `.json`, `.yml` or `.yaml`.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), ()> {
    let (dir, file) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let ending = [".json", ".yml", ".yaml"]
        .iter()
        .any(|ending| file.len() > ending.len() && file.ends_with(ending));
    if ending && !dir.contains('*') && file.matches('*').count() <= 1 {
        Ok(())
    } else {
        Err(())
    }
}

/// One entry of `file_sd_configs`.
#[derive(Debug)]
pub(crate) struct FileDiscovery {
    patterns: Vec<PathBuf>,
    refresh: Duration,
    job: String,
}

/// What tells that a file changed.
type Stamp = (u64, Option<SystemTime>);

#[derive(Debug, Default)]
struct Files {
    stamps: BTreeMap<PathBuf, Stamp>,
    groups: BTreeMap<PathBuf, Vec<TargetGroup>>,
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    #[error("{0}")]
    Yaml(String),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("target {0:?} is not a valid hostname")]
    Address(String),
}

impl FileDiscovery {
    pub(crate) fn new(config: &FileSdConfig, base_dir: &Path, job: &str) -> Self {
        Self {
            patterns: config.files.iter().map(|f| base_dir.join(f)).collect(),
            refresh: config.refresh_interval.0.max(Duration::from_millis(100)),
            job: job.to_owned(),
        }
    }

    /// Reads what changed. `None`: nothing did.
    fn look(&self, mut files: Files, force: bool) -> (Files, Option<Vec<TargetGroup>>) {
        let mut stamps = BTreeMap::new();
        for pattern in &self.patterns {
            for path in expand(pattern) {
                if let Ok(meta) = std::fs::metadata(&path) {
                    stamps.insert(path, (meta.len(), meta.modified().ok()));
                }
            }
        }
        if stamps == files.stamps && !force {
            return (files, None);
        }
        files.groups.retain(|path, _| stamps.contains_key(path));
        for (path, stamp) in &stamps {
            if !force && files.stamps.get(path) == Some(stamp) {
                continue;
            }
            match read(path) {
                Ok(groups) => {
                    files.groups.insert(path.clone(), groups);
                }
                Err(error) => tracing::warn!(
                    job = self.job,
                    file = %path.display(),
                    %error,
                    "cannot take targets from file, keeping those it had"
                ),
            }
        }
        files.stamps = stamps;
        let groups = files.groups.values().flatten().cloned().collect();
        (files, Some(groups))
    }
}

impl Discoverer for FileDiscovery {
    fn run(
        self: Box<Self>,
        updates: mpsc::Sender<Vec<TargetGroup>>,
        shutdown: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let this = std::sync::Arc::new(*self);
            let mut files = Files::default();
            let mut last_read: Option<Instant> = None;
            loop {
                let force = last_read.is_none_or(|at| at.elapsed() >= this.refresh);
                let looker = std::sync::Arc::clone(&this);
                let looked = tokio::task::spawn_blocking(move || looker.look(files, force)).await;
                let Ok((now, groups)) = looked else { return };
                files = now;
                if force {
                    last_read = Some(Instant::now());
                }
                if let Some(groups) = groups
                    && updates.send(groups).await.is_err()
                {
                    return;
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(POLL_INTERVAL.min(this.refresh)) => {}
                }
            }
        })
    }
}

/// The existing files of a pattern, sorted.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .map_or("".into(), |n| n.to_string_lossy());
    let Some((prefix, suffix)) = name.split_once('*') else {
        return vec![pattern.to_owned()];
    };
    let dir = match pattern.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.len() >= prefix.len() + suffix.len()
                && name.starts_with(prefix)
                && name.ends_with(suffix)
        })
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, FileError> {
    let text = std::fs::read_to_string(path)?;
    let configs: Vec<StaticConfig> = if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text)?
    } else {
        serde_saphyr::from_str::<Option<Vec<StaticConfig>>>(&text)
            .map_err(|e| FileError::Yaml(e.to_string()))?
            .unwrap_or_default()
    };
    let file = path.to_string_lossy();
    configs
        .iter()
        .map(|config| {
            if let Some(bad) = config.targets.iter().find(|t| t.contains('/')) {
                return Err(FileError::Address(bad.clone()));
            }
            let mut group = group(&config.targets, &config.labels);
            let mut labels: LabelsBuilder = group.labels.to_builder();
            labels.set("__meta_filepath", &file);
            group.labels = labels.build();
            Ok(group)
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(files: &[&str]) -> FileSdConfig {
        FileSdConfig {
            files: files.iter().map(|f| (*f).to_owned()).collect(),
            ..FileSdConfig::default()
        }
    }

    fn addresses(groups: &[TargetGroup]) -> Vec<String> {
        groups
            .iter()
            .flat_map(TargetGroup::members)
            .map(|l| l.value("__address__").to_owned())
            .collect()
    }

    #[test]
    fn patterns() {
        for (pattern, good) in [
            ("a.json", true),
            ("dir/*.yml", true),
            ("dir/x*.yaml", true),
            ("*/a.yml", false),
            ("a.txt", false),
            (".json", false),
            ("a*b*.json", false),
        ] {
            assert_eq!(check_pattern(pattern).is_ok(), good, "{pattern}");
        }
    }

    #[test]
    fn files_are_read_again_when_they_change_and_a_bad_one_keeps_its_targets() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.json", r#"[{"targets":["a:1"],"labels":{"x":"y"}}]"#);
        write("b.yml", "- targets: ['b:1', 'b:2']\n");
        write("c.txt", "no");
        let discovery = FileDiscovery::new(&config(&["*.json", "b.yml"]), dir.path(), "job");
        let (files, groups) = discovery.look(Files::default(), false);
        let groups = groups.unwrap();
        assert_eq!(addresses(&groups), ["a:1", "b:1", "b:2"]);
        assert_eq!(groups[0].labels.value("x"), "y");
        assert!(
            groups[0]
                .labels
                .value("__meta_filepath")
                .ends_with("a.json")
        );
        let (files, groups) = discovery.look(files, false);
        assert_eq!(groups, None);
        write("b.yml", "- targets: ['b:3']\n");
        let (files, groups) = discovery.look(files, false);
        assert_eq!(addresses(&groups.unwrap()), ["a:1", "b:3"]);
        write("b.yml", "- targets: {broken\n");
        let (files, groups) = discovery.look(files, false);
        assert_eq!(addresses(&groups.unwrap()), ["a:1", "b:3"]);
        std::fs::remove_file(dir.path().join("a.json")).unwrap();
        let (_, groups) = discovery.look(files, false);
        assert_eq!(addresses(&groups.unwrap()), ["b:3"]);
    }
}
