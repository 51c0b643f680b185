//! What a configuration asks for and this build cannot do.
//!
//! Such a configuration is valid, so checking the file alone accepts it; a server must not start with it, because
//! targets, alerts or samples would silently be missing.

use super::Config;
use super::error::ConfigError;
use crate::flags::Features;

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
        let discovery = jobs.chain(alertmanagers).flat_map(|(place, sd)| {
            sd.not_runnable().into_iter().map(move |(key, reason)| {
                format!("{key} of {place} cannot run in this build: {reason}: remove the key, or let file_sd_configs or http_sd_configs bring these targets")
            })
        });
        let mut reasons: Vec<String> = discovery.collect();
        reasons.extend(self.requests_not_runnable());
        reasons.extend(self.remotes_not_runnable());
        reasons
    }

    /// Jobs and Alertmanagers that no request can be sent to.
    fn requests_not_runnable(&self) -> impl Iterator<Item = String> {
        let defaults = self.scrape_defaults(&Features::default());
        let jobs = self.all_scrape_configs().filter_map(move |scrape| {
            let error = scrape.resolve(&defaults).err()?;
            Some(format!(
                "scrape config with job name {:?}: {error}",
                scrape.job_name
            ))
        });
        let alertmanagers = self.alerting.not_runnable(&self.base_dir);
        let alertmanagers =
            alertmanagers.map(|(index, error)| format!("alerting.alertmanagers[{index}]: {error}"));
        jobs.chain(alertmanagers)
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
