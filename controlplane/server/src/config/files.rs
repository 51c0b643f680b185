//! The files that a configuration names: rule files and further scrape configurations.

use std::path::Path;

use bellwether_rules::glob;
use bellwether_scrape::ScrapeConfig;
use bellwether_yaml::Placed;
use bellwether_yaml::node::Place;
use hashbrown::HashMap;
use serde::Deserialize;

use super::error::ConfigError;
use super::load::{Config, from_yaml, invalid, joined};
use crate::flags::Features;

/// The name of each job and the file that it stands in, for the message about a second one.
pub(super) type Jobs = HashMap<String, String>;

/// What `scrape_configs` holds, positions and empty entries included.
pub(super) type RawScrapeConfigs = Vec<Placed<Option<ScrapeConfig>>>;

/// A file of `scrape_config_files`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScrapeConfigFile {
    scrape_configs: Option<RawScrapeConfigs>,
}

/// Only the last part of a path may hold a `*`.
pub(super) fn is_path_pattern(pattern: &str) -> bool {
    pattern
        .split_once('*')
        .is_none_or(|(_, rest)| !rest.contains('/'))
}

/// Patterns of files, seen from the working directory. `key` and `what` are for messages. Which files they name is
/// looked up at each load.
pub(super) fn patterns(
    patterns: Vec<Placed<String>>,
    file: &str,
    base_dir: &Path,
    key: &str,
    what: &str,
) -> Result<Vec<String>, ConfigError> {
    let check = |(index, pattern): (usize, Placed<String>)| {
        if is_path_pattern(&pattern.value) {
            return Ok(joined(base_dir, &pattern.value).display().to_string());
        }
        let message = format!(
            "invalid {what} file path {:?}: only the last part of the path may hold a *",
            pattern.value
        );
        let key = format!("{key}[{index}]");
        Err(invalid(file, pattern.place, key, message))
    };
    patterns.into_iter().enumerate().map(check).collect()
}

/// Checks scrape configurations of a file. `folder` is where relative paths in them start, when it is not that of the
/// main file.
pub(super) fn scrape_configs(
    configs: RawScrapeConfigs,
    file: &str,
    folder: Option<&Path>,
    config: &Config,
    jobs: &mut Jobs,
) -> Result<Vec<ScrapeConfig>, ConfigError> {
    let defaults = config.scrape_defaults(&Features::default());
    let mut checked = Vec::with_capacity(configs.len());
    for (index, raw) in configs.into_iter().enumerate() {
        let place = raw.place;
        let invalid =
            |message: String| invalid(file, place, format!("scrape_configs[{index}]"), message);
        let Some(mut scrape) = raw.value else {
            return Err(invalid("empty or null scrape config section".to_owned()));
        };
        scrape.base_dir = folder.map(Path::to_owned);
        if let Some(error) = scrape.resolve(&defaults).err().filter(|e| !e.is_late()) {
            return Err(invalid(error.to_string()));
        }
        if let Some(first) = jobs.insert(scrape.job_name.clone(), file.to_owned()) {
            let name = &scrape.job_name;
            let mut message = format!("found multiple scrape configs with job name {name:?}");
            if folder.is_some() {
                message += &format!(", first found in {first:?}");
            }
            return Err(invalid(message));
        }
        checked.push(scrape);
    }
    Ok(checked)
}

impl Config {
    /// Reads the files of `scrape_config_files`, whose jobs join those of the main file. Blocks on the disk.
    ///
    /// # Errors
    /// The first file that cannot be read or has a mistake.
    pub(super) fn read_scrape_config_files(&mut self, main: &str) -> Result<(), ConfigError> {
        let main_jobs = self.scrape_configs.iter();
        let mut jobs: Jobs = main_jobs
            .map(|scrape| (scrape.job_name.clone(), main.to_owned()))
            .collect();
        for pattern in self.scrape_config_files.clone() {
            let found = glob(Path::new(&pattern)).map_err(|error| {
                let message =
                    format!("error retrieving scrape config files for {pattern:?}: {error}");
                let place = Place::default();
                invalid(main, place, "scrape_config_files".to_owned(), message)
            })?;
            for path in found {
                let text =
                    std::fs::read_to_string(&path).map_err(|source| ConfigError::Include {
                        path: path.clone(),
                        source,
                    })?;
                let name = path.display().to_string();
                let content: ScrapeConfigFile = from_yaml(&name, &text)?;
                let configs = content.scrape_configs.unwrap_or_default();
                let folder = path.parent();
                let configs = scrape_configs(configs, &name, folder, self, &mut jobs)?;
                self.file_scrape_configs.extend(configs);
            }
        }
        Ok(())
    }
}
