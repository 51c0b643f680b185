//! Random expressions over the test's series. The generator follows the language's types, so that nearly every
//! expression is valid; some are broken afterwards, for the errors. What Prometheus 3.5 does not know is left out:
//! `anchored`, `smoothed`, `fill`, `</`, `>/`, `histogram_quantiles`, `first_over_time`, `ts_of_first_over_time`,
//! `start_timestamp`, `start()` and its like, `min_of`, `max_of`.

use crate::data::START;
use crate::random::Random;

const COUNTERS: &[&str] = &[
    "c_total",
    "c_total",
    "lat_count",
    "lat_sum",
    "lat_bucket",
    "short",
];
const GAUGES: &[&str] = &["g", "g", "odd", "short", "c_total", "mix", "target_info"];
const NATIVE: &[&str] = &["h", "h", "gh", "ch", "mix", "neg", "lat_bucket"];
const MATCHERS: &[&str] = &[
    "job=\"api\"",
    "job=\"db\"",
    "job!=\"api\"",
    "job=~\"a.*|d.\"",
    "job!~\"a.+\"",
    "instance=\"a\"",
    "instance=~\"a|b\"",
    "instance=~\"[bc]\"",
    "instance!~\"(?i:A)\"",
    "zone=\"\"",
    "zone=~\".+\"",
    "nosuch=\"\"",
    "nosuch!=\"x\"",
    "\"job\"='api'",
];
const DURATIONS: &[&str] = &[
    "30s",
    "1m",
    "45s",
    "90s",
    "2m",
    "5m",
    "7m",
    "10m",
    "15m",
    "1m30s",
    "61",
    "0x5a",
    "2 * 1m",
    "(1m + 30s)",
];
const LABELS: &[&str] = &[
    "job", "instance", "zone", "le", "kind", "part", "nosuch", "__name__",
];
const NUMBERS: &[&str] = &[
    "0", "1", "2", "-1", "0.5", "1e3", "NaN", "Inf", "-Inf", "0x1F", "1_000", "5m", ".25", "017",
    "1e-9", "3", "0.9", "1e300",
];
const MATH: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "rad",
    "deg",
    "sgn",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
    "timestamp",
    "histogram_count",
    "histogram_sum",
    "histogram_avg",
    "histogram_stddev",
    "histogram_stdvar",
    "sort",
    "sort_desc",
    "absent",
];
const COUNTER_WINDOWS: &[&str] = &["rate", "increase", "irate", "resets", "changes"];
const WINDOWS: &[&str] = &[
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "resets",
    "changes",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
    "ts_of_last_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
];
const AGGREGATIONS: &[&str] = &[
    "sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

/// The expression of a seed.
pub(crate) fn expression(seed: u64) -> String {
    let mut g = Generator {
        random: Random::new(seed),
    };
    let depth = 1 + g.random.below(3) as u32;
    let text = match g.random.below(20) {
        0 => g.scalar(depth),
        1 => g.matrix(false, depth),
        2 => g.string(),
        _ => g.vector(depth),
    };
    if g.random.one_in(15) {
        g.broken(&text)
    } else {
        text
    }
}

struct Generator {
    random: Random,
}

impl Generator {
    fn pick(&mut self, all: &[&'static str]) -> &'static str {
        self.random.pick(all)
    }

    fn metric(&mut self) -> &'static str {
        let family = match self.random.below(3) {
            0 => COUNTERS,
            1 => GAUGES,
            _ => NATIVE,
        };
        self.pick(family)
    }

    fn selector_of(&mut self, metric: &str) -> String {
        let mut matchers = Vec::new();
        for _ in 0..self.random.below(3) {
            matchers.push(self.pick(MATCHERS).to_owned());
        }
        match self.random.below(12) {
            0 => {
                matchers.insert(0, format!("\"{metric}\""));
                format!("{{{}}}", matchers.join(", "))
            }
            1 => {
                matchers.push(format!("__name__=~\"{metric}|g\""));
                format!("{{{}}}", matchers.join(","))
            }
            _ if matchers.is_empty() => metric.to_owned(),
            _ => format!("{metric}{{{}}}", matchers.join(", ")),
        }
    }

    /// ` offset 5m`, ` @ 1700000500`, or nothing mostly.
    fn modifiers(&mut self) -> String {
        let mut out = String::new();
        if self.random.one_in(6) {
            let sign = if self.random.one_in(4) { "-" } else { "" };
            let duration = self.pick(&["30s", "1m", "5m", "77s", "0s"]);
            out += &format!(" offset {sign}{duration}");
        }
        if self.random.one_in(8) {
            let at = START as f64 / 1000.0 + self.random.below(3000) as f64;
            out += &match self.random.below(4) {
                0 => " @ start()".to_owned(),
                1 => " @ end()".to_owned(),
                2 => format!(" @ {at}"),
                _ => format!(" @ {:.3}", at + 0.5),
            };
        }
        out
    }

    fn selector(&mut self) -> String {
        let metric = self.metric();
        self.selector_of(metric) + &self.modifiers()
    }

    fn matrix(&mut self, counter: bool, depth: u32) -> String {
        let duration = self.pick(DURATIONS);
        if depth > 0 && self.random.one_in(5) {
            let step = self.pick(&["", "30s", "1m", "17s", "45"]);
            let inner = self.vector(depth - 1);
            let inner = if inner.contains([' ', '-']) {
                format!("({inner})")
            } else {
                inner
            };
            return format!("{inner}[{duration}:{step}]{}", self.modifiers());
        }
        let metric = if counter {
            self.pick(COUNTERS)
        } else {
            self.metric()
        };
        format!(
            "{}[{duration}]{}",
            self.selector_of(metric),
            self.modifiers()
        )
    }

    fn string(&mut self) -> String {
        self.pick(&[
            "\"text\"",
            "'single \\' quote'",
            "`raw \\n`",
            "\"\\u00e9 \\x41 \\101\"",
            "(\"in parentheses\")",
        ])
        .to_owned()
    }

    fn scalar(&mut self, depth: u32) -> String {
        if depth == 0 || self.random.one_in(2) {
            return self.pick(NUMBERS).to_owned();
        }
        match self.random.below(7) {
            0 => "time()".to_owned(),
            1 => "pi()".to_owned(),
            2 => format!("scalar({})", self.vector(depth - 1)),
            3 => format!("-{}", self.scalar(depth - 1)),
            4 => format!("({})", self.scalar(depth - 1)),
            5 => {
                let op = self.pick(ARITHMETIC);
                format!("{} {op} {}", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            _ => {
                let op = self.pick(COMPARISONS);
                format!(
                    "{} {op} bool {}",
                    self.scalar(depth - 1),
                    self.scalar(depth - 1)
                )
            }
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(24) {
            0 => self.selector(),
            1..=3 => self.window(depth),
            4..=7 => self.aggregation(depth),
            8 | 9 => self.math(depth),
            10..=12 => self.binary(depth),
            13 | 14 => self.with_scalar(depth),
            15 => self.set_operation(depth),
            16 => self.labels(depth),
            17..=19 => self.histogram(depth),
            20 => format!("-{}", self.operand(depth - 1)),
            21 => format!("({})", self.vector(depth - 1)),
            22 => self.picking(depth),
            _ => self.special(depth),
        }
    }

    /// A vector that may stand beside an operator.
    fn operand(&mut self, depth: u32) -> String {
        let text = self.vector(depth);
        if text.contains(' ') && self.random.one_in(2) {
            format!("({text})")
        } else {
            text
        }
    }

    fn window(&mut self, depth: u32) -> String {
        if self.random.one_in(2) {
            let f = self.pick(COUNTER_WINDOWS);
            return format!("{f}({})", self.matrix(true, depth - 1));
        }
        let matrix = self.matrix(false, depth - 1);
        match self.random.below(7) {
            0 => format!("quantile_over_time({}, {matrix})", self.scalar(depth - 1)),
            1 => format!("predict_linear({matrix}, {})", self.scalar(depth - 1)),
            2 => {
                let factors = ["0.3", "0.7", "0.5", "1", "0"];
                let (a, b) = (self.pick(&factors), self.pick(&factors));
                format!("double_exponential_smoothing({matrix}, {a}, {b})")
            }
            _ => format!("{}({matrix})", self.pick(WINDOWS)),
        }
    }

    fn label_list(&mut self) -> String {
        let n = self.random.below(3);
        let labels: Vec<&str> = (0..n).map(|_| self.pick(LABELS)).collect();
        format!("({})", labels.join(", "))
    }

    fn grouping(&mut self) -> String {
        match self.random.below(4) {
            0 => String::new(),
            1 => format!(" without {}", self.label_list()),
            _ => format!(" by {}", self.label_list()),
        }
    }

    fn aggregation(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        let grouping = self.grouping();
        match self.random.below(8) {
            0 => format!("quantile{grouping} ({}, {inner})", self.scalar(depth - 1)),
            1 => format!("count_values{grouping} (\"value\", {inner})"),
            2 => format!("{}({inner}){grouping}", self.pick(AGGREGATIONS)),
            _ => format!("{}{grouping} ({inner})", self.pick(AGGREGATIONS)),
        }
    }

    /// Aggregations that pick series.
    fn picking(&mut self, depth: u32) -> String {
        let op = self.pick(&["topk", "bottomk", "topk", "limitk", "limit_ratio"]);
        let k = match op {
            "limit_ratio" => self.pick(&["0.5", "-0.5", "1", "0", "2", "-3", "NaN"]),
            _ => self.pick(&["1", "2", "3", "0", "100", "1.9", "-1"]),
        };
        let inner = self.vector(depth - 1);
        format!("{op}{} ({k}, {inner})", self.grouping())
    }

    fn math(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        match self.random.below(8) {
            0 => format!("clamp({inner}, {}, {})", self.scalar(0), self.scalar(0)),
            1 => format!("clamp_min({inner}, {})", self.scalar(depth - 1)),
            2 => format!("clamp_max({inner}, {})", self.scalar(depth - 1)),
            3 => format!("round({inner}, {})", self.scalar(0)),
            4 => format!("round({inner})"),
            _ => format!("{}({inner})", self.pick(MATH)),
        }
    }

    fn binary(&mut self, depth: u32) -> String {
        // Sides of one metric match more often.
        let metric = self.metric();
        let side = |g: &mut Self| {
            if g.random.one_in(2) {
                g.selector_of(metric)
            } else {
                g.operand(depth - 1)
            }
        };
        let (l, r) = (side(self), side(self));
        let mut op = if self.random.one_in(3) {
            let op = self.pick(COMPARISONS);
            if self.random.one_in(3) {
                format!("{op} bool")
            } else {
                op.to_owned()
            }
        } else {
            self.pick(ARITHMETIC).to_owned()
        };
        if self.random.one_in(2) {
            let word = self.pick(&["on", "ignoring"]);
            op += &format!(" {word} {}", self.label_list());
            if self.random.one_in(2) {
                let word = self.pick(&["group_left", "group_right"]);
                op += &format!(" {word} {}", self.label_list());
            }
        }
        format!("{l} {op} {r}")
    }

    fn with_scalar(&mut self, depth: u32) -> String {
        let op = match self.random.below(4) {
            0 => self.pick(COMPARISONS).to_owned(),
            1 => format!("{} bool", self.pick(COMPARISONS)),
            _ => self.pick(ARITHMETIC).to_owned(),
        };
        let (vector, scalar) = (self.operand(depth - 1), self.scalar(depth - 1));
        if self.random.one_in(3) {
            format!("{scalar} {op} {vector}")
        } else {
            format!("{vector} {op} {scalar}")
        }
    }

    fn set_operation(&mut self, depth: u32) -> String {
        let op = self.pick(&["and", "or", "unless"]);
        let matching = match self.random.below(3) {
            0 => format!(" on {}", self.label_list()),
            1 => format!(" ignoring {}", self.label_list()),
            _ => String::new(),
        };
        format!(
            "{} {op}{matching} {}",
            self.operand(depth - 1),
            self.operand(depth - 1)
        )
    }

    fn labels(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        let target = self.pick(&["new", "job", "__name__", "instance", "\u{e9}t\u{e9}", ""]);
        if self.random.one_in(3) {
            let separator = self.pick(&["-", "", "/"]);
            let (a, b) = (self.pick(LABELS), self.pick(LABELS));
            return format!("label_join({inner}, \"{target}\", \"{separator}\", \"{a}\", \"{b}\")");
        }
        let replacement = self.pick(&["$1", "x-$1", "${1}y", "fixed", "", "$$", "$2", "$name"]);
        let source = self.pick(LABELS);
        let pattern = self.pick(&["(.*)", "a(.)i", "(?P<name>.).*", "", "(", "b|d(b)?"]);
        format!(
            "label_replace({inner}, \"{target}\", \"{replacement}\", \"{source}\", \"{pattern}\")"
        )
    }

    fn histogram(&mut self, depth: u32) -> String {
        let inner = match self.random.below(5) {
            0 => self.vector(depth - 1),
            1 => {
                let metric = self.pick(NATIVE);
                self.selector_of(metric)
            }
            2 => "lat_bucket".to_owned(),
            3 => {
                let grouping = self.pick(&["", " by (job, le)", " by (le)", " without (instance)"]);
                let metric = self.pick(NATIVE);
                let duration = self.pick(DURATIONS);
                format!("sum{grouping} (rate({metric}[{duration}]))")
            }
            _ => {
                let metric = self.pick(NATIVE);
                let f = self.pick(&[
                    "rate",
                    "increase",
                    "delta",
                    "irate",
                    "avg_over_time",
                    "sum_over_time",
                ]);
                let duration = self.pick(DURATIONS);
                format!("{f}({metric}[{duration}])")
            }
        };
        match self.random.below(4) {
            0 => {
                let bounds = ["-Inf", "-1", "0", "0.3", "1", "2.5", "10", "+Inf", "NaN"];
                let (a, b) = (self.pick(&bounds), self.pick(&bounds));
                format!("histogram_fraction({a}, {b}, {inner})")
            }
            1 => format!(
                "{}({inner})",
                self.pick(&["histogram_count", "histogram_sum", "histogram_avg"])
            ),
            _ => {
                let q = self.pick(&[
                    "0", "0.1", "0.5", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN",
                ]);
                format!("histogram_quantile({q}, {inner})")
            }
        }
    }

    fn special(&mut self, depth: u32) -> String {
        match self.random.below(6) {
            0 => format!("vector({})", self.scalar(depth - 1)),
            1 => self
                .pick(&[
                    "minute()",
                    "hour()",
                    "month()",
                    "year()",
                    "day_of_week()",
                    "days_in_month()",
                ])
                .to_owned(),
            2 => format!("absent({})", self.selector()),
            3 => {
                let f = self.pick(&["sort_by_label", "sort_by_label_desc"]);
                format!("{f}({}, \"{}\")", self.vector(depth - 1), self.pick(LABELS))
            }
            4 => "absent(nothing{a=\"b\", c=~\"d\", e=\"f\", e=\"g\"})".to_owned(),
            _ => format!("{}({})", self.pick(WINDOWS), self.matrix(false, depth - 1)),
        }
    }

    /// Leaves out, doubles or exchanges a piece.
    fn broken(&mut self, text: &str) -> String {
        let at: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        let from = at[self.random.below(at.len() as u64) as usize];
        let until = at
            .iter()
            .copied()
            .find(|i| *i > from + 1)
            .unwrap_or(text.len());
        let (before, piece, after) = (&text[..from], &text[from..until], &text[until..]);
        match self.random.below(3) {
            0 => format!("{before}{after}"),
            1 => format!("{before}{piece}{piece}{after}"),
            _ => {
                let other = self.pick(&[
                    ")", "(", "[", "]", "{", "}", ",", "=", "5x", "by", "#", "\"", "@", "bool",
                ]);
                format!("{before}{other}{after}")
            }
        }
    }
}
