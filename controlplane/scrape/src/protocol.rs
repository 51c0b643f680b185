//! Scrape protocols: the `Accept` header and what an answer's content type means.

use bellwether_exposition::Format;

use crate::config::EscapingScheme;

/// A format by its name in `scrape_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// Protobuf, the only one with native histograms.
    PrometheusProto,
    /// Text format 0.0.4.
    PrometheusText0_0_4,
    /// Text format 1.0.0, which quotes UTF-8 names.
    PrometheusText1_0_0,
    /// OpenMetrics 0.0.1.
    OpenMetricsText0_0_1,
    /// OpenMetrics 1.0.0.
    OpenMetricsText1_0_0,
}

const ALL: [ScrapeProtocol; 5] = [
    ScrapeProtocol::OpenMetricsText0_0_1,
    ScrapeProtocol::OpenMetricsText1_0_0,
    ScrapeProtocol::PrometheusProto,
    ScrapeProtocol::PrometheusText0_0_4,
    ScrapeProtocol::PrometheusText1_0_0,
];

impl ScrapeProtocol {
    /// Prometheus 3's default order of preference.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The default order where native histograms are wanted.
    pub const PROTO_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The protocol of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|p| p.as_str() == name)
    }

    /// All names, for messages.
    pub(crate) fn names() -> String {
        ALL.map(Self::as_str).join(" ")
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// How its pages are read.
    #[must_use]
    pub fn format(self) -> PageFormat {
        match self {
            Self::PrometheusProto => PageFormat::Protobuf,
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => {
                PageFormat::Lines(Format::Text)
            }
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => {
                PageFormat::Lines(Format::OpenMetrics)
            }
        }
    }
}

/// How a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFormat {
    /// Line by line.
    Lines(Format),
    /// Delimited protobuf messages.
    Protobuf,
}

/// The `Accept` header: falling weights in order of preference, then anything.
pub(crate) fn accept_header(protocols: &[ScrapeProtocol], escaping: EscapingScheme) -> String {
    let mut weight = ALL.len() + 1;
    let mut out = String::new();
    for protocol in protocols {
        out.push_str(protocol.media_type());
        // Only the 1.0.0 formats know the parameter.
        if matches!(
            protocol,
            ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0
        ) {
            out.push_str(";escaping=");
            out.push_str(escaping.as_str());
        }
        out.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    out.push_str(&format!("*/*;q=0.{weight}"));
    out
}

/// Why an answer cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No usable content type and no fallback.
    #[error(
        "received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target"
    )]
    Unsupported(String),
    /// No content type and no fallback.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    )]
    Blank,
    /// A content type that does not parse, and no fallback.
    #[error("cannot parse Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    Malformed(String),
}

/// The parser for an answer, by its content type and the configured fallback, as Prometheus 3 chooses.
pub(crate) fn negotiate(
    content_type: Option<&str>,
    fallback: Option<ScrapeProtocol>,
) -> Result<PageFormat, FormatError> {
    let content_type = content_type.unwrap_or("");
    let media = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let known = match media.as_str() {
        "application/openmetrics-text" => Some(PageFormat::Lines(Format::OpenMetrics)),
        "text/plain" => Some(PageFormat::Lines(Format::Text)),
        "application/vnd.google.protobuf" => Some(PageFormat::Protobuf),
        _ => None,
    };
    if let Some(format) = known {
        return Ok(format);
    }
    match fallback {
        Some(protocol) => Ok(protocol.format()),
        None if content_type.is_empty() => Err(FormatError::Blank),
        None if !media.contains('/') => Err(FormatError::Malformed(content_type.to_owned())),
        None => Err(FormatError::Unsupported(content_type.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_header_is_that_of_prometheus() {
        assert_eq!(
            accept_header(&ScrapeProtocol::DEFAULT, EscapingScheme::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept_header(
                &[
                    ScrapeProtocol::PrometheusProto,
                    ScrapeProtocol::PrometheusText0_0_4
                ],
                EscapingScheme::Underscores
            ),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
        );
    }

    #[test]
    fn content_type_decides_and_the_fallback_helps() {
        let text = Some(ScrapeProtocol::PrometheusText0_0_4);
        let lines = |format| Ok(PageFormat::Lines(format));
        for (content_type, fallback, want) in [
            (Some("text/plain; version=0.0.4"), None, lines(Format::Text)),
            (Some("text/plain"), None, lines(Format::Text)),
            (
                Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
                None,
                lines(Format::OpenMetrics),
            ),
            (None, None, Err(FormatError::Blank)),
            (Some(";;"), None, Err(FormatError::Malformed(";;".into()))),
            (None, text, lines(Format::Text)),
            (Some("application/json"), text, lines(Format::Text)),
            (
                Some("text/html"),
                None,
                Err(FormatError::Unsupported("text/html".into())),
            ),
            (
                Some("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"),
                text,
                Ok(PageFormat::Protobuf),
            ),
        ] {
            assert_eq!(negotiate(content_type, fallback), want, "{content_type:?}");
        }
    }
}
