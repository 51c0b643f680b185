//! Adding points.

use std::mem::take;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
};

use super::{Total, exponential};

/// A kind of points that can be added.
pub(super) trait Point: Clone + Default + Into<Total> {
    /// The total of a stream of this kind.
    fn of(total: &mut Total) -> Option<&mut Self>;

    fn attributes(&self) -> &[KeyValue];

    /// Start and time in nanoseconds.
    fn times(&self) -> (u64, u64);

    /// Exchanges what belongs to a point alone and not to the total: attributes and exemplars.
    fn swap_own(&mut self, other: &mut Self);

    /// Adds the values of a later point.
    fn add(&mut self, point: &mut Self);

    fn set_time(&mut self, time: u64);

    /// Adds a point to the total and makes it the total; false where it does not fit.
    fn take_in(&mut self, point: &mut Self) -> bool {
        let mut own = Self::default();
        own.swap_own(point);
        let ((start, time), (point_start, point_time)) = (self.times(), point.times());
        if time == 0 {
            // The first of its stream.
            self.clone_from(point);
        } else if point_start < start || point_time <= time {
            return false;
        } else {
            self.add(point);
            self.set_time(point_time);
        }
        point.clone_from(self);
        point.swap_own(&mut own);
        true
    }
}

impl From<NumberDataPoint> for Total {
    fn from(point: NumberDataPoint) -> Self {
        Self::Number(point)
    }
}

impl Point for NumberDataPoint {
    fn of(total: &mut Total) -> Option<&mut Self> {
        match total {
            Total::Number(point) => Some(point),
            _ => None,
        }
    }

    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn swap_own(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.attributes, &mut other.attributes);
        std::mem::swap(&mut self.exemplars, &mut other.exemplars);
    }

    /// A stream that changes between integers and floats counts anew.
    fn add(&mut self, point: &mut Self) {
        self.value = match (self.value, point.value) {
            (Some(Value::AsDouble(a)), Some(Value::AsDouble(b))) => Some(Value::AsDouble(a + b)),
            (Some(Value::AsInt(a)), Some(Value::AsInt(b))) => Some(Value::AsInt(a.wrapping_add(b))),
            (old, new) => new.or(old),
        };
    }

    fn set_time(&mut self, time: u64) {
        self.time_unix_nano = time;
    }
}

impl From<HistogramDataPoint> for Total {
    fn from(point: HistogramDataPoint) -> Self {
        Self::Histogram(point)
    }
}

impl Point for HistogramDataPoint {
    fn of(total: &mut Total) -> Option<&mut Self> {
        match total {
            Total::Histogram(point) => Some(point),
            _ => None,
        }
    }

    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn swap_own(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.attributes, &mut other.attributes);
        std::mem::swap(&mut self.exemplars, &mut other.exemplars);
    }

    /// With other bounds, the histogram counts anew.
    fn add(&mut self, point: &mut Self) {
        if self.explicit_bounds != point.explicit_bounds {
            *self = take(point);
            return;
        }
        for (sum, n) in self.bucket_counts.iter_mut().zip(&point.bucket_counts) {
            *sum = sum.wrapping_add(*n);
        }
        self.count = self.count.wrapping_add(point.count);
        self.sum = both(self.sum, point.sum, |a, b| a + b);
        self.min = both(self.min, point.min, f64::min);
        self.max = both(self.max, point.max, f64::max);
    }

    fn set_time(&mut self, time: u64) {
        self.time_unix_nano = time;
    }
}

impl From<ExponentialHistogramDataPoint> for Total {
    fn from(point: ExponentialHistogramDataPoint) -> Self {
        Self::Exponential(Box::new(point))
    }
}

impl Point for ExponentialHistogramDataPoint {
    fn of(total: &mut Total) -> Option<&mut Self> {
        match total {
            Total::Exponential(point) => Some(point),
            _ => None,
        }
    }

    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn swap_own(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.attributes, &mut other.attributes);
        std::mem::swap(&mut self.exemplars, &mut other.exemplars);
    }

    fn add(&mut self, point: &mut Self) {
        exponential::add_buckets(self, point);
        self.count = self.count.wrapping_add(point.count);
        self.zero_count = self.zero_count.wrapping_add(point.zero_count);
        self.sum = both(self.sum, point.sum, |a, b| a + b);
        self.min = both(self.min, point.min, f64::min);
        self.max = both(self.max, point.max, f64::max);
    }

    fn set_time(&mut self, time: u64) {
        self.time_unix_nano = time;
    }
}

/// What only one of two points knows is not known of both.
fn both(a: Option<f64>, b: Option<f64>, join: impl Fn(f64, f64) -> f64) -> Option<f64> {
    Some(join(a?, b?))
}
