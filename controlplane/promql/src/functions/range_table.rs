//! The table of functions over range vectors.

use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, Window};

use super::counting::{Changes, Resets};
use super::extremes::Extreme;
use super::rate::{ExtrapolatedRate, InstantDelta};
use super::sums::{Of, Sums};
use super::{over_time, regression};

/// An entry of the table.
pub(crate) struct RangeDef {
    pub(crate) name: &'static str,
    /// Makes the function with its state.
    pub(crate) make: fn() -> Box<dyn RangeFunction>,
    /// The result keeps the metric name.
    pub(crate) keeps_name: bool,
    /// Makes sense for counters only; others get an annotation.
    pub(crate) wants_counter: bool,
}

/// A function without state between windows.
type Plain = fn(&Window<'_>, &mut Env<'_>) -> Result<Option<Sample>, QueryError>;

struct Stateless(Plain);

impl RangeFunction for Stateless {
    fn eval(
        &mut self,
        window: &Window<'_>,
        env: &mut Env<'_>,
    ) -> Result<Option<Sample>, QueryError> {
        (self.0)(window, env)
    }
}

const fn def(name: &'static str, make: fn() -> Box<dyn RangeFunction>) -> RangeDef {
    RangeDef {
        name,
        make,
        keeps_name: false,
        wants_counter: false,
    }
}

const fn keeping(mut def: RangeDef) -> RangeDef {
    def.keeps_name = true;
    def
}

const fn counter(mut def: RangeDef) -> RangeDef {
    def.wants_counter = true;
    def
}

/// The entry of a function, `None` for functions over other types.
pub(crate) fn find(name: &str) -> Option<&'static RangeDef> {
    TABLE.iter().find(|d| d.name == name)
}

static TABLE: &[RangeDef] = &[
    counter(def("rate", || Box::new(ExtrapolatedRate::RATE))),
    counter(def("increase", || Box::new(ExtrapolatedRate::INCREASE))),
    def("delta", || Box::new(ExtrapolatedRate::DELTA)),
    def("irate", || Box::new(InstantDelta { rate: true })),
    def("idelta", || Box::new(InstantDelta { rate: false })),
    def("resets", || Box::<Resets>::default()),
    def("changes", || Box::<Changes>::default()),
    def("max_over_time", || Box::new(Extreme::max(false))),
    def("min_over_time", || Box::new(Extreme::min(false))),
    def("ts_of_max_over_time", || Box::new(Extreme::max(true))),
    def("ts_of_min_over_time", || Box::new(Extreme::min(true))),
    def("sum_over_time", || Box::new(Sums::new(Of::Sum))),
    def("avg_over_time", || Box::new(Sums::new(Of::Mean))),
    def("count_over_time", || Box::new(Stateless(over_time::count))),
    keeping(def("last_over_time", || {
        Box::new(Stateless(over_time::last))
    })),
    keeping(def("first_over_time", || {
        Box::new(Stateless(over_time::first))
    })),
    def("ts_of_first_over_time", || {
        Box::new(Stateless(over_time::ts_of_first))
    }),
    def("ts_of_last_over_time", || {
        Box::new(Stateless(over_time::ts_of_last))
    }),
    def("present_over_time", || {
        Box::new(Stateless(over_time::present))
    }),
    def("absent_over_time", || {
        Box::new(Stateless(over_time::present))
    }),
    def("stddev_over_time", || Box::new(Sums::new(Of::Deviation))),
    def("stdvar_over_time", || Box::new(Sums::new(Of::Variance))),
    def("quantile_over_time", || {
        Box::new(Stateless(over_time::quantile))
    }),
    def("mad_over_time", || Box::new(Stateless(over_time::mad))),
    def("deriv", || Box::new(Stateless(regression::deriv))),
    def("predict_linear", || {
        Box::new(Stateless(regression::predict_linear))
    }),
    def("double_exponential_smoothing", || {
        Box::new(Stateless(regression::double_exponential_smoothing))
    }),
];
