//! Scripts in Prometheus' test language.
