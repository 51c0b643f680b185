//! Requests with delta temporality made cumulative before they are written.

use std::time::Instant;

use bellwether_model::storage::Appendable;
use bellwether_otlp::MetricsRequest;
use bellwether_otlp::cumulative::{self, Cumulative};
use parking_lot::Mutex;

use super::{OtlpError, OtlpSettings, OtlpStats, write};

/// [`write()`] that adds delta points up. The totals live in memory: after a restart they begin anew, which is a
/// counter reset.
#[derive(Debug, Default)]
pub struct DeltaToCumulative {
    totals: Mutex<Cumulative>,
}

impl DeltaToCumulative {
    /// Writes a request as [`write()`] does. Points that are not newer than the total of their stream are dropped.
    ///
    /// # Errors
    /// As [`write()`]; points of a request that storage refused are in the totals even so, and come with the next
    /// ones.
    pub fn write(
        &self,
        storage: &dyn Appendable,
        settings: &OtlpSettings,
        request: &[u8],
        now_ms: i64,
    ) -> Result<OtlpStats, OtlpError> {
        let body = |e: bellwether_otlp::DecodeError| OtlpError::Body(e.to_string());
        if !cumulative::has_delta(&MetricsRequest::new(request).map_err(body)?) {
            return write(storage, settings, request, now_ms);
        }
        // Held until the samples are stored: requests that bring points of the same streams must not overtake each
        // other on the way.
        let mut totals = self.totals.lock();
        let converted = totals.convert(request, Instant::now()).map_err(body)?;
        if converted.dropped > 0 {
            tracing::debug!(
                points = converted.dropped,
                "delta points out of order, dropped"
            );
        }
        match converted.request {
            Some(request) => write(storage, settings, &request, now_ms),
            None => Ok(OtlpStats::default()),
        }
    }
}
