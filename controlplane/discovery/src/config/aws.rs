//! Amazon Web Services: one kind for each service, and `aws_sd_configs`, which names the service as its role.

use super::keys::{config_struct, config_words};
use super::{PromDuration, SdConfigError, Secret, seconds, zero};

config_struct! {
    /// A filter of resources.
    pub struct AwsFilter in "filters" {
        name: String = String::new(),
        values: Vec<String> = Vec::new(),
    }
}

impl AwsFilter {
    #[allow(clippy::unused_self)] // every configuration has a check
    fn check(&self) -> Result<(), SdConfigError> {
        Ok(())
    }
}

/// A service with its own key: the keys that all have, and those of its own.
macro_rules! aws_service {
    ($(#[$meta:meta])* $name:ident, $place:literal { $($own:tt)* }) => {
        config_struct! {
            $(#[$meta])*
            pub struct $name in $place with http {
                endpoint: String = String::new(),
                region: String = String::new(),
                #[serde(skip_serializing_if = "zero")]
                access_key: String = String::new(),
                #[serde(skip_serializing_if = "zero")]
                secret_key: Secret = Secret::default(),
                #[serde(skip_serializing_if = "zero")]
                profile: String = String::new(),
                #[serde(skip_serializing_if = "zero")]
                role_arn: String = String::new(),
                #[serde(skip_serializing_if = "zero")]
                external_id: String = String::new(),
                #[serde(skip_serializing_if = "zero")]
                refresh_interval: PromDuration = seconds(60),
                port: i64 = 80,
                $($own)*
            }
        }
    };
}

/// Services whose own keys need no check.
macro_rules! only_http_is_checked {
    ($($name:ident)*) => {
        $(
            impl $name {
                fn check(&self) -> Result<(), SdConfigError> {
                    super::check_http(&self.http)
                }
            }
        )*
    };
}

aws_service!(
    /// One entry of `ec2_sd_configs`.
    Ec2SdConfig, "ec2_sd_configs" {
        filters: Vec<AwsFilter> = Vec::new(),
    }
);

impl Ec2SdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        if self.filters.iter().any(|filter| filter.values.is_empty()) {
            return Err("EC2 SD configuration filter values cannot be empty".into());
        }
        super::check_http(&self.http)
    }
}

aws_service!(
    /// One entry of `ecs_sd_configs`.
    EcsSdConfig, "ecs_sd_configs" {
        #[serde(skip_serializing_if = "zero")]
        clusters: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        request_concurrency: i64 = 20,
    }
);

aws_service!(
    /// One entry of `elasticache_sd_configs`.
    ElasticacheSdConfig, "elasticache_sd_configs" {
        #[serde(skip_serializing_if = "zero")]
        clusters: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        request_concurrency: i64 = 10,
    }
);

aws_service!(
    /// One entry of `lightsail_sd_configs`.
    LightsailSdConfig, "lightsail_sd_configs" {}
);

aws_service!(
    /// One entry of `msk_sd_configs`.
    MskSdConfig, "msk_sd_configs" {
        #[serde(skip_serializing_if = "zero")]
        clusters: Vec<String> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        request_concurrency: i64 = 10,
    }
);

aws_service!(
    /// One entry of `rds_sd_configs`.
    RdsSdConfig, "rds_sd_configs" {
        #[serde(skip_serializing_if = "zero")]
        clusters: Vec<String> = Vec::new(),
        filters: Vec<AwsFilter> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        request_concurrency: i64 = 10,
    }
);

only_http_is_checked!(EcsSdConfig ElasticacheSdConfig LightsailSdConfig MskSdConfig RdsSdConfig);

config_words! {
    /// A service of `aws_sd_configs`.
    pub enum AwsRole, unknown "unknown AWS SD role {:?}" {
        Ec2 = "ec2",
        Ecs = "ecs",
        Elasticache = "elasticache",
        Lightsail = "lightsail",
        Msk = "msk",
        Rds = "rds",
    }
}

config_struct! {
    /// One entry of `aws_sd_configs`.
    pub struct AwsSdConfig in "aws_sd_configs" with http {
        role: Option<AwsRole> = None,
        #[serde(skip_serializing_if = "zero")]
        region: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        endpoint: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        access_key: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        secret_key: Secret = Secret::default(),
        #[serde(skip_serializing_if = "zero")]
        profile: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        role_arn: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        external_id: String = String::new(),
        #[serde(skip_serializing_if = "zero")]
        refresh_interval: PromDuration = seconds(0),
        #[serde(skip_serializing_if = "zero")]
        port: i64 = 0,
        #[serde(skip_serializing_if = "zero")]
        filters: Vec<AwsFilter> = Vec::new(),
        #[serde(skip_serializing_if = "zero")]
        clusters: Vec<String> = Vec::new(),
    }
}

impl AwsSdConfig {
    fn check(&self) -> Result<(), SdConfigError> {
        match self.role {
            Some(_) => Ok(()),
            None => Err("unknown AWS SD role \"\"".into()),
        }
    }
}
