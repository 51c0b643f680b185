//! The keys as Prometheus shows them.

use std::path::Path;

use bellwether_yaml::join_dir;

use super::SdConfigs;

impl SdConfigs {
    /// Makes the keys those that Prometheus shows in `/api/v1/status/config`: paths start where `base_dir` does, and
    /// what a kind fills in is there.
    pub fn show(&mut self, base_dir: &Path) {
        for consul in &mut self.consul_sd_configs {
            consul.http = consul.http_with_login();
        }
        for outscale in &mut self.outscale_sd_configs {
            if outscale.endpoint.is_empty() {
                let region = &outscale.region;
                outscale.endpoint = format!("https://api.{region}.outscale.com/api/v1");
            }
        }
        self.show_http(base_dir);
        for openstack in &mut self.openstack_sd_configs {
            openstack.tls_config.show(base_dir);
        }
        for triton in &mut self.triton_sd_configs {
            triton.tls_config.show(base_dir);
        }
        for file in self.files() {
            *file = join_dir(base_dir, file);
        }
    }

    /// The paths outside the keys of HTTP clients and TLS.
    fn files(&mut self) -> impl Iterator<Item = &mut String> {
        let files = self.file_sd_configs.iter_mut().flat_map(|c| &mut c.files);
        let kubernetes = self.kubernetes_sd_configs.iter_mut();
        let marathon = self.marathon_sd_configs.iter_mut();
        let oci = self.oci_sd_configs.iter_mut();
        let outscale = self.outscale_sd_configs.iter_mut();
        let scaleway = self.scaleway_sd_configs.iter_mut();
        files
            .chain(kubernetes.map(|c| &mut c.kubeconfig_file))
            .chain(marathon.map(|c| &mut c.auth_token_file))
            .chain(oci.flat_map(|c| [&mut c.key_file, &mut c.key_passphrase_file]))
            .chain(outscale.map(|c| &mut c.secret_key_file))
            .chain(scaleway.map(|c| &mut c.secret_key_file))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bellwether_yaml::from_str_with_nulls;

    use super::*;

    #[test]
    fn paths_are_joined_and_logins_filled_in() {
        let mut sd = SdConfigs {
            file_sd_configs: from_str_with_nulls("f", "[{files: [./a.yml, /b.yml]}]").unwrap(),
            consul_sd_configs: from_str_with_nulls("f", "[{username: u, password: p}]").unwrap(),
            http_sd_configs: from_str_with_nulls("f", "[{url: 'http://a', bearer_token_file: t}]")
                .unwrap(),
            ..SdConfigs::default()
        };
        sd.show(Path::new("x"));
        assert_eq!(sd.file_sd_configs[0].files, ["x/a.yml", "/b.yml"]);
        let login = sd.consul_sd_configs[0].http.basic_auth.as_ref();
        assert_eq!(login.unwrap().username, "u");
        let bearer = sd.http_sd_configs[0].http.authorization.as_ref();
        assert_eq!(bearer.unwrap().credentials_file.as_deref(), Some("x/t"));
    }
}
