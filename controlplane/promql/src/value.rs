//! Query results.

use std::sync::Arc;

use bellwether_model::{FloatHistogram, Labels};

use crate::floats::Floats;

/// The value of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The series' labels.
    pub labels: Labels,
    /// Evaluation time in milliseconds since the epoch.
    pub t: i64,
    /// The value.
    pub point: Point,
}

/// One series of a range vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixSeries {
    /// The series' labels.
    pub labels: Labels,
    /// Float samples in time order.
    pub floats: Floats,
    /// Histogram samples in time order; no time is in both lists.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// What a query returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number without labels.
    Scalar {
        /// Milliseconds since the epoch.
        t: i64,
        /// Value.
        v: f64,
    },
    /// A string literal.
    String {
        /// Milliseconds since the epoch.
        t: i64,
        /// Text.
        s: String,
    },
    /// An instant vector; the order counts after `sort`, `topk` and the like.
    Vector(Vec<VectorSample>),
    /// A range vector, sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

impl Value {
    /// The name of the value's type in Prometheus' API: `scalar`, `string`, `vector`, `matrix`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar { .. } => "scalar",
            Self::String { .. } => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }
}
