//! Kinds that need no service registry: fixed targets, files, a URL, DNS.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::keys::config_struct;
use super::{PromDuration, SdConfigError, seconds, url, zero};

/// One entry of `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StaticConfig {
    /// `host:port` addresses.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl super::Keys for StaticConfig {
    fn keys() -> Vec<&'static str> {
        vec!["targets", "labels"]
    }

    fn take<'de, A: serde::de::MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            "targets" => super::keys::take_value(&mut self.targets, map)?,
            "labels" => super::keys::take_value(&mut self.labels, map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de> Deserialize<'de> for StaticConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config: Self = super::keys::deserialize(deserializer, "static_configs")?;
        match config.labels.keys().find(|name| name.is_empty()) {
            Some(name) => Err(serde::de::Error::custom(format!(
                "{name:?} is not a valid label name"
            ))),
            None => Ok(config),
        }
    }
}

config_struct! {
    /// One entry of `file_sd_configs`.
    pub struct FileSdConfig in "file_sd_configs" {
        files: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(300),
    }
}

impl FileSdConfig {
    /// Paths; the last part may hold `*`.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    fn check(&self) -> Result<(), SdConfigError> {
        if self.files.is_empty() {
            return Err("file service discovery config must contain at least one path name".into());
        }
        match self.files.iter().find(|name| !is_file_pattern(name)) {
            Some(name) => Err(format!("path name {name:?} is not valid for file discovery").into()),
            None => Ok(()),
        }
    }

    /// The patterns, relative ones seen from `base_dir`.
    pub(crate) fn paths(&self, base_dir: &std::path::Path) -> Vec<PathBuf> {
        self.files.iter().map(|file| base_dir.join(file)).collect()
    }
}

/// Ends in `.json`, `.yml` or `.yaml` (all small or all capital), and has a `*` only in its last part.
fn is_file_pattern(name: &str) -> bool {
    let ending = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    ending.is_some_and(|stem| {
        stem.find('*')
            .is_none_or(|star| !stem[star..].contains('/'))
    })
}

config_struct! {
    /// One entry of `http_sd_configs`.
    pub struct HttpSdConfig in "http_sd_configs" with http {
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(60),
        url: String = String::new(),
    }
}

impl HttpSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        url::check_http(&self.url)?;
        super::check_http(&self.http)
    }
}

config_struct! {
    /// One entry of `dns_sd_configs`.
    pub struct DnsSdConfig in "dns_sd_configs" {
        names: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(30),
        kind as "type": String = "SRV".to_owned(),
        port: i64 = 0,
    }
}

impl DnsSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.names.is_empty() {
            return Err("DNS-SD config must contain at least one SRV record name".into());
        }
        match self.kind.to_ascii_uppercase().as_str() {
            "SRV" => Ok(()),
            "A" | "AAAA" | "MX" | "NS" if self.port == 0 => {
                Err("a port is required in DNS-SD configs for all record types except SRV".into())
            }
            "A" | "AAAA" | "MX" | "NS" => Ok(()),
            _ => Err(format!("invalid DNS-SD records type {}", self.kind).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_patterns() {
        for (pattern, good) in [
            ("a.json", true),
            ("dir/*.yml", true),
            ("dir/x*y*.yaml", true),
            ("x.YML", true),
            (".json", true),
            ("*/a.yml", false),
            ("a.txt", false),
            ("a.Json", false),
        ] {
            assert_eq!(is_file_pattern(pattern), good, "{pattern}");
        }
    }
}
