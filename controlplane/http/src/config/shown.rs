//! The keys as Prometheus shows them.

use std::path::Path;

use super::{Authorization, HttpClientConfig, TlsConfig};

impl HttpClientConfig {
    /// Makes the keys those that Prometheus shows in `/api/v1/status/config`: bearer tokens stand under
    /// `authorization`, its type is filled in, and paths start where `base_dir` does.
    pub fn show(&mut self, base_dir: &Path) {
        let credentials = self.bearer_token.take().filter(|token| !token.is_empty());
        let credentials_file = self.bearer_token_file.take().filter(|f| !f.is_empty());
        if credentials.is_some() || credentials_file.is_some() {
            self.authorization = Some(Authorization {
                scheme: String::new(),
                credentials,
                credentials_file,
                credentials_ref: None,
            });
        }
        if let Some(authorization) = &mut self.authorization {
            authorization.scheme = match authorization.scheme.trim() {
                "" => "Bearer".to_owned(),
                scheme => scheme.to_owned(),
            };
            join(base_dir, &mut authorization.credentials_file);
        }
        if let Some(basic) = &mut self.basic_auth {
            join(base_dir, &mut basic.username_file);
            join(base_dir, &mut basic.password_file);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            join(base_dir, &mut oauth2.client_secret_file);
            oauth2.tls_config.show(base_dir);
        }
        self.tls_config.show(base_dir);
        let files = self.http_headers.values_mut().flat_map(|h| &mut h.files);
        files.for_each(|file| join_text(base_dir, file));
    }
}

impl TlsConfig {
    /// Makes paths start where `base_dir` does.
    pub fn show(&mut self, base_dir: &Path) {
        for file in [&mut self.ca_file, &mut self.cert_file, &mut self.key_file] {
            join(base_dir, file);
        }
    }
}

fn join(base_dir: &Path, file: &mut Option<String>) {
    if let Some(file) = file {
        join_text(base_dir, file);
    }
}

fn join_text(base_dir: &Path, file: &mut String) {
    *file = bellwether_yaml::join_dir(base_dir, file);
}
