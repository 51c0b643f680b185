//! How the stack's own parts reach the metrics server: its scheme, and the keys of their HTTP clients.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use bellwether_http::ClientSettings;
use bellwether_net::web::Gate;
use serde_json::Value;

use super::Stack;
use crate::http_client;

/// What a client of the metrics server has to know. Not to be printed: the keys may hold passwords.
#[derive(Clone)]
pub(crate) struct ServerAccess {
    /// `http://host:port`, or with `https`.
    pub(crate) url: String,
    /// TLS and credentials.
    pub(crate) client: ClientSettings,
    /// The keys of a scrape job, each a line; empty for plain HTTP.
    pub(crate) scrape_keys: String,
}

impl ServerAccess {
    /// A server on plain HTTP.
    pub(crate) fn plain(stack: &Stack) -> Self {
        Self {
            url: stack.url(stack.server_port),
            client: ClientSettings::default(),
            scrape_keys: String::new(),
        }
    }

    /// Reads and checks the files that the stack names. Blocks on the disk.
    pub(crate) fn load(stack: &Stack) -> anyhow::Result<Self> {
        let mut this = Self::plain(stack);
        if let Some(path) = &stack.server_web_config {
            let gate = Gate::open(path).with_context(|| {
                format!("{} (server.web_config in the stack file)", path.display())
            })?;
            if gate.is_tls() {
                this.url = this.url.replacen("http:", "https:", 1);
                this.scrape_keys.push_str("    scheme: https\n");
            }
        }
        if let Some(path) = &stack.server_client_config {
            this.read_client(path).with_context(|| {
                format!(
                    "{} (server.client_config in the stack file)",
                    path.display()
                )
            })?;
        }
        Ok(this)
    }

    /// Whether the scrape job may say what only the stack's owner should know.
    pub(crate) fn has_secrets(&self) -> bool {
        !self.scrape_keys.is_empty()
    }

    fn read_client(&mut self, path: &Path) -> anyhow::Result<()> {
        let (config, text) = http_client::read(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        self.client = config.resolve(base)?;
        // The same keys again as they stand in the file, secrets too: a job of the generated configuration.
        let mut keys: Value = bellwether_yaml::from_str(&path.display().to_string(), &text)?;
        let base = std::path::absolute(base)?;
        make_absolute(&mut keys, &base);
        for (key, value) in keys.as_object().into_iter().flatten() {
            let _ = writeln!(self.scrape_keys, "    {key}: {value}");
        }
        Ok(())
    }
}

/// Lets the files that client keys name begin at the root: the generated configuration lies elsewhere.
fn make_absolute(value: &mut Value, base: &Path) {
    let root = |file: &mut Value| {
        if let Some(text) = file.as_str().filter(|t| !t.is_empty()) {
            *file = base.join(text).display().to_string().into();
        }
    };
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                match value {
                    Value::String(_) if key.ends_with("_file") => root(value),
                    Value::Array(files) if key == "files" => files.iter_mut().for_each(root),
                    other => make_absolute(other, base),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|v| make_absolute(v, base)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stack::Overrides;

    fn stack(dir: &Path, section: &str) -> Stack {
        let file = dir.join("s.yml");
        std::fs::write(&file, format!("server: {{ {section} }}\n")).unwrap();
        Stack::load(Some(&file), &Overrides::default()).unwrap()
    }

    #[test]
    fn without_files_it_is_plain_http() {
        let access = ServerAccess::load(&Stack::load(None, &Overrides::default()).unwrap());
        let access = access.unwrap();
        assert_eq!(access.url, "http://127.0.0.1:9090");
        assert!(!access.has_secrets());
    }

    #[test]
    fn client_keys_are_those_of_the_scrape_job() {
        let dir = tempfile::tempdir().unwrap();
        let client = "tls_config:\n  ca_file: ca.pem\n  server_name: metrics\nbasic_auth: { username: me, password: \"p: w\" }\n\
                      http_headers: { X-Tenant: { files: [tenant] } }\n";
        std::fs::write(dir.path().join("client.yml"), client).unwrap();
        let access = ServerAccess::load(&stack(dir.path(), "client_config: client.yml")).unwrap();
        // Users without TLS.
        assert_eq!(access.url, "http://127.0.0.1:9090");
        let at = |name: &str| dir.path().join(name).display().to_string();
        for part in [
            format!("\"ca_file\":{:?}", at("ca.pem")),
            format!("\"files\":[{:?}]", at("tenant")),
            "\"password\":\"p: w\"".to_owned(),
        ] {
            assert!(
                access.scrape_keys.contains(&part),
                "{part} in\n{}",
                access.scrape_keys
            );
        }
        let job = format!("job_name: a\n{}", access.scrape_keys.replace("    ", ""));
        let job: Value = bellwether_yaml::from_str("job", &job).unwrap();
        assert_eq!(job["basic_auth"]["username"], "me");
    }

    #[test]
    fn mistakes_name_the_key_of_the_stack_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.yml"), "tls_confi: {}\n").unwrap();
        for (section, wanted) in [
            ("client_config: c.yml", "did you mean \"tls_config\"?"),
            (
                "client_config: none.yml",
                "server.client_config in the stack file",
            ),
            (
                "web_config: none.yml",
                "server.web_config in the stack file",
            ),
        ] {
            let error = ServerAccess::load(&stack(dir.path(), section))
                .map(drop)
                .unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(wanted), "{error}");
        }
    }
}
