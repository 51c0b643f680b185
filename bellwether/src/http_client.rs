//! Files with the keys of an HTTP client, as a scrape job has them: what `--http.config.file` names.

use std::path::Path;

use anyhow::Context as _;
use bellwether_http::{ClientSettings, HttpClientConfig};

/// Reads a file. Returns its text too.
pub(crate) fn read(path: &Path) -> anyhow::Result<(HttpClientConfig, String)> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("read {}", path.display()))?;
    let config = bellwether_yaml::from_str_with_nulls(&path.display().to_string(), &text)?;
    Ok((config, text))
}

/// What a client runs with, by a file or without one. Files that it names are meant from where it lies.
pub(crate) fn settings(file: Option<&Path>) -> anyhow::Result<ClientSettings> {
    let Some(path) = file else {
        return Ok(ClientSettings::default());
    };
    let (config, _) = read(path)?;
    config
        .resolve(path.parent().unwrap_or(Path::new("")))
        .context("HTTP client configuration")
}
