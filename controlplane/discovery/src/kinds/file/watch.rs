//! Being told that something changed in a directory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bellwether_telemetry::Counter;
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Watches directories, as far as the system can.
pub(super) struct Watch {
    directories: BTreeSet<PathBuf>,
    errors: Counter,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Nothing is watched before [`Self::renew`].
    pub(super) fn new(directories: BTreeSet<PathBuf>, errors: Counter) -> Self {
        Self {
            directories,
            errors,
            changed: Arc::default(),
            watcher: None,
        }
    }

    /// Begins to watch the directories as they are now under their names.
    pub(super) async fn renew(self) -> Self {
        let failed = Self {
            watcher: None,
            directories: self.directories.clone(),
            errors: self.errors.clone(),
            changed: Arc::clone(&self.changed),
        };
        // Making and dropping watchers waits for the system.
        let renewed = tokio::task::spawn_blocking(move || self.renewed()).await;
        renewed.unwrap_or(failed)
    }

    fn renewed(mut self) -> Self {
        let changed = Arc::clone(&self.changed);
        let handler = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| tells_of_content(event.kind)) {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            for directory in &self.directories {
                // One that is missing may come; the next renewal sees it.
                if directory.is_dir() {
                    watcher.watch(directory, RecursiveMode::NonRecursive)?;
                }
            }
            Ok(watcher)
        });
        self.watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                self.errors.inc();
                tracing::warn!(%error, "cannot watch target files, looking at them every few seconds instead");
                None
            }
        };
        self
    }

    /// Waits for the next change.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Reading a file and changing its permissions change no content.
fn tells_of_content(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_))
    )
}
