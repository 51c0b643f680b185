//! `remote_write` and `remote_read`: entries with names that must not come twice.

use std::path::Path;

use bellwether_remote::config::{ReadSettings, RemoteReadConfig, RemoteWriteConfig, WriteSettings};
use hashbrown::HashSet;
use serde_saphyr::Spanned;

use super::error::ConfigError;
use super::load::invalid;

/// Entries of a section as written; a place without content is none.
pub(super) type Entries<T> = Option<Vec<Spanned<Option<T>>>>;

/// An entry of a section.
trait Entry: Clone {
    const SECTION: &'static str;
    /// In messages.
    const WORDS: &'static str;

    fn name(&self) -> &str;
    fn check(&self, base_dir: &Path) -> Result<(), String>;
}

impl Entry for RemoteWriteConfig {
    const SECTION: &'static str = "remote_write";
    const WORDS: &'static str = "remote write";

    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, base_dir: &Path) -> Result<(), String> {
        self.resolve(base_dir).map(drop).map_err(|e| e.to_string())
    }
}

impl Entry for RemoteReadConfig {
    const SECTION: &'static str = "remote_read";
    const WORDS: &'static str = "remote read";

    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, base_dir: &Path) -> Result<(), String> {
        self.resolve(base_dir).map(drop).map_err(|e| e.to_string())
    }
}

/// The checked entries of `remote_write`.
pub(super) fn write(
    raw: Entries<RemoteWriteConfig>,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<RemoteWriteConfig>, ConfigError> {
    entries(raw, file, base_dir)
}

/// The checked entries of `remote_read`.
pub(super) fn read(
    raw: Entries<RemoteReadConfig>,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<RemoteReadConfig>, ConfigError> {
    entries(raw, file, base_dir)
}

fn entries<T: Entry>(raw: Entries<T>, file: &str, base_dir: &Path) -> Result<Vec<T>, ConfigError> {
    let mut names = HashSet::new();
    let mut all = Vec::new();
    for (index, entry) in raw.unwrap_or_default().into_iter().enumerate() {
        let wrong = |message: String| {
            let path = format!("{}[{index}]", T::SECTION);
            invalid(file, entry.referenced, path, message)
        };
        let Some(config) = entry.value.clone() else {
            return Err(wrong(format!("empty or null {} config section", T::WORDS)));
        };
        if !config.name().is_empty() && !names.insert(config.name().to_owned()) {
            return Err(wrong(format!(
                "found multiple {} configs with job name {:?}",
                T::WORDS,
                config.name()
            )));
        }
        config.check(base_dir).map_err(wrong)?;
        all.push(config);
    }
    Ok(all)
}

impl super::Config {
    /// What remote write runs with.
    pub(crate) fn write_settings(&self) -> Result<Vec<WriteSettings>, String> {
        let all = self.remote_write.iter().map(|c| c.resolve(&self.base_dir));
        all.collect::<Result<_, _>>().map_err(|e| e.to_string())
    }

    /// What remote read runs with.
    pub(crate) fn read_settings(&self) -> Result<Vec<ReadSettings>, String> {
        let all = self.remote_read.iter().map(|c| c.resolve(&self.base_dir));
        all.collect::<Result<_, _>>().map_err(|e| e.to_string())
    }
}
