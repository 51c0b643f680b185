//! `http_sd_configs`: a URL that answers with target groups in JSON.

use http::StatusCode;
use http::header::HeaderValue;

use crate::api::{Answer, Api, ApiError, client};
use crate::config::HttpSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{TargetGroup, from_json, named_groups};
use crate::refresh::{Refresh, Refresher};

struct HttpDiscovery {
    api: Api,
    url: String,
    failures: bellwether_telemetry::Counter,
}

pub(super) fn build(
    config: &HttpSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let client = client(&config.http, context, "http")?;
    let interval = config.refresh_interval.0;
    let seconds = HeaderValue::from_str(&interval.as_secs_f64().to_string())
        .map_err(|e| BuildError::Other(e.to_string()))?;
    // The URL is the whole base: a slash at its end is part of it.
    let api = Api::exactly(client, &config.url, interval)
        .header("x-prometheus-refresh-interval-seconds", seconds);
    let discovery = HttpDiscovery {
        api,
        url: config.url.clone(),
        failures: context.metrics.http_failures.clone(),
    };
    Ok(Refresher::boxed(discovery, "http", interval, context))
}

impl HttpDiscovery {
    fn groups(&self, answer: Answer) -> Result<Vec<TargetGroup>, ApiError> {
        if answer.status != StatusCode::OK {
            return Err(ApiError::Status {
                status: answer.status,
                body: String::new(),
            });
        }
        let answer = answer.must_be_json()?;
        from_json(&answer.body)
            .and_then(|configs| named_groups(configs, &self.url, ("__meta_url", &self.url)))
            .map_err(|e| ApiError::Other(format!("{}: {e}", self.url)))
    }
}

impl Refresh for HttpDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let groups = match self.api.get("").await {
            Ok(answer) => self.groups(answer),
            Err(error) => Err(error),
        };
        groups.inspect_err(|_| self.failures.inc())
    }
}
