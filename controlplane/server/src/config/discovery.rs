//! Discovery that a configuration asks for and this build cannot run.
//!
//! Such a configuration is valid, so checking the file alone accepts it; a server must not start with it, because
//! the targets would silently be missing.

use super::Config;
use super::error::ConfigError;

impl Config {
    /// What cannot run, as sentences that name section and key.
    #[must_use]
    pub fn not_runnable(&self) -> Vec<String> {
        let jobs = self.all_scrape_configs().map(|config| {
            let place = format!("scrape config with job name {:?}", config.job_name);
            (place, &config.sd)
        });
        let alertmanagers = self.alerting.alertmanagers.iter().enumerate();
        let alertmanagers = alertmanagers
            .map(|(index, config)| (format!("alerting.alertmanagers[{index}]"), &config.sd));
        jobs.chain(alertmanagers)
            .flat_map(|(place, sd)| {
                sd.not_runnable().into_iter().map(move |(key, reason)| {
                    format!("{key} of {place} cannot run in this build: {reason}")
                })
            })
            .collect()
    }

    /// Refuses what cannot run. `file` is the configuration's name for messages.
    ///
    /// # Errors
    /// [`ConfigError::NotRunnable`].
    pub fn check_runnable(&self, file: &str) -> Result<(), ConfigError> {
        match self.not_runnable().as_slice() {
            [] => Ok(()),
            reasons => Err(ConfigError::NotRunnable {
                file: file.to_owned(),
                reasons: reasons.join("; "),
            }),
        }
    }
}
