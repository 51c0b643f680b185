//! `remote_write` and `remote_read`: entries with names that must not come twice.

use std::path::Path;

use bellwether_remote::config::{
    ReadSettings, RemoteConfigError, RemoteReadConfig, RemoteWriteConfig, WriteSettings,
};
use bellwether_scrape::config::ValidationScheme;
use bellwether_yaml::Placed;
use hashbrown::HashSet;

use super::error::ConfigError;
use super::load::invalid;

/// Entries of a section as written; a place without content is none.
pub(super) type Entries<T> = Option<Vec<Placed<Option<T>>>>;

/// An entry of a section.
trait Entry: Clone {
    const SECTION: &'static str;
    /// In messages.
    const WORDS: &'static str;

    fn name(&self) -> &str;
    /// How label names are checked.
    fn set_names(&mut self, scheme: ValidationScheme);
    /// What is wrong, if anything is.
    fn problem(&self, base_dir: &Path) -> Option<RemoteConfigError>;
}

impl Entry for RemoteWriteConfig {
    const SECTION: &'static str = "remote_write";
    const WORDS: &'static str = "remote write";

    fn name(&self) -> &str {
        &self.name
    }

    fn set_names(&mut self, scheme: ValidationScheme) {
        self.names = scheme;
    }

    fn problem(&self, base_dir: &Path) -> Option<RemoteConfigError> {
        self.resolve(base_dir).err()
    }
}

impl Entry for RemoteReadConfig {
    const SECTION: &'static str = "remote_read";
    const WORDS: &'static str = "remote read";

    fn name(&self) -> &str {
        &self.name
    }

    fn set_names(&mut self, _: ValidationScheme) {}

    fn problem(&self, base_dir: &Path) -> Option<RemoteConfigError> {
        self.resolve(base_dir).err()
    }
}

/// The checked entries of `remote_write`.
pub(super) fn write(
    raw: Entries<RemoteWriteConfig>,
    scheme: ValidationScheme,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<RemoteWriteConfig>, ConfigError> {
    entries(raw, scheme, file, base_dir)
}

/// The checked entries of `remote_read`.
pub(super) fn read(
    raw: Entries<RemoteReadConfig>,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<RemoteReadConfig>, ConfigError> {
    entries(raw, ValidationScheme::default(), file, base_dir)
}

fn entries<T: Entry>(
    raw: Entries<T>,
    scheme: ValidationScheme,
    file: &str,
    base_dir: &Path,
) -> Result<Vec<T>, ConfigError> {
    let mut names = HashSet::new();
    let mut all = Vec::new();
    for (index, entry) in raw.unwrap_or_default().into_iter().enumerate() {
        let wrong = |message: String| {
            let path = format!("{}[{index}]", T::SECTION);
            invalid(file, entry.place, path, message)
        };
        let Some(mut config) = entry.value.clone() else {
            return Err(wrong(format!("empty or null {} config section", T::WORDS)));
        };
        if !config.name().is_empty() && !names.insert(config.name().to_owned()) {
            return Err(wrong(format!(
                "found multiple {} configs with job name {:?}",
                T::WORDS,
                config.name()
            )));
        }
        config.set_names(scheme);
        if let Some(problem) = config.problem(base_dir).filter(|p| !p.is_late()) {
            return Err(wrong(problem.to_string()));
        }
        all.push(config);
    }
    Ok(all)
}

fn not_runnable<T: Entry>(entries: &[T], base_dir: &Path) -> Vec<String> {
    let entries = entries.iter().enumerate();
    let problems = entries.filter_map(|(index, entry)| {
        let problem = entry.problem(base_dir)?;
        Some(format!("{}[{index}]: {problem}", T::SECTION))
    });
    problems.collect()
}

impl super::Config {
    /// Remote systems that no request can be sent to.
    pub(super) fn remotes_not_runnable(&self) -> Vec<String> {
        let mut reasons = not_runnable(&self.remote_write, &self.base_dir);
        reasons.extend(not_runnable(&self.remote_read, &self.base_dir));
        reasons
    }

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
