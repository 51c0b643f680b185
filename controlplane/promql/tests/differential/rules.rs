//! What is known to differ between Prometheus 3.5, which is compared with, and 3.14, which is followed. Each rule takes
//! its difference out of the answers; what is left has to be equal.

use std::collections::BTreeMap;

use crate::answer::{Answer, Data, Number};
use crate::compare::Case;

pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// Whether the rule changed the case.
    apply: fn(&mut Case) -> bool,
}

const fn rule(name: &'static str, reason: &'static str, apply: fn(&mut Case) -> bool) -> Rule {
    Rule {
        name,
        reason,
        apply,
    }
}

pub(crate) const RULES: &[Rule] = &[
    rule(
        "sort in range queries",
        "since 3.12 it warns that it has no effect",
        |case| {
            drop_from(&mut case.ours.warnings, |t| {
                t.contains("sort is ineffective for range queries")
            })
        },
    ),
    rule(
        "conflicting counter resets",
        "since 3.7 it is a warning to combine histograms with and without a reset",
        |case| {
            drop_from(&mut case.ours.warnings, |t| {
                t.contains("conflicting counter resets during histogram")
            })
        },
    ),
    rule(
        "details of repaired histograms",
        "since 3.13 the info about a histogram that was made monotonic says what was repaired, and comes with histograms without observations too",
        |case| {
            let mut changed = false;
            let repaired = |t: &String| t.contains("needed to be fixed for monotonicity");
            let nested = case.expr.matches("histogram_quantile").count() > 1;
            if !case.theirs.infos.iter().any(repaired) && (nested || has_nan(&case.ours)) {
                changed = drop_from(&mut case.ours.infos, |t| repaired(&t.to_owned()));
            }
            for text in &mut case.ours.infos {
                if let (Some(from), Some(until)) = (text.find(", from buckets "), text.rfind(" ("))
                {
                    text.replace_range(from..until, "");
                    changed = true;
                }
            }
            changed
        },
    ),
    rule(
        "empty metric names in annotations",
        "since 3.14 annotations about the buckets of histograms leave them out",
        |case| {
            let mut changed = false;
            for list in [&mut case.theirs.warnings, &mut case.theirs.infos] {
                for text in list.iter_mut().filter(|t| named_once(t) && case.late_names) {
                    if text.contains(" for metric name \"\"") {
                        changed |= cut_name(text);
                    }
                }
            }
            changed
        },
    ),
    rule(
        "metric names in annotations",
        "since 3.14 annotations about the buckets of histograms name the metric only when names are dropped late",
        |case| {
            let mut changed = false;
            if case.late_names {
                return false;
            }
            for list in [&mut case.theirs.warnings, &mut case.theirs.infos] {
                for text in list.iter_mut().filter(|t| named_once(t)) {
                    changed |= cut_name(text);
                }
            }
            if changed {
                // What differed by the name only is one annotation now, with the place of any of them.
                for answer in [&mut case.ours, &mut case.theirs] {
                    for list in [&mut answer.warnings, &mut answer.infos] {
                        list.iter_mut().filter(|t| named_once(t)).for_each(|t| {
                            cut_place(t);
                        });
                        list.sort();
                        list.dedup();
                    }
                }
            }
            changed
        },
    ),
    rule(
        "places of repaired histograms",
        "since 3.13 the first place stays, before it was the last one",
        |case| {
            if case.ours.infos == case.theirs.infos {
                return false;
            }
            let mut changed = false;
            for list in [&mut case.ours.infos, &mut case.theirs.infos] {
                for text in list.iter_mut() {
                    if text.contains("needed to be fixed for monotonicity") {
                        changed |= cut_place(text);
                    }
                }
            }
            changed
        },
    ),
    rule(
        "range vectors of native histograms",
        "3.5 now and then returns buckets of another sample, which do not add up to the count",
        |case| {
            let (Ok(ours), Ok(theirs)) = (&mut case.ours.result, &case.theirs.result) else {
                return false;
            };
            if ours.kind != "matrix" || !case.expr.contains('[') {
                return false;
            }
            let adds_up = |n: &Number| match n {
                Number::Float(_) => true,
                Number::Histogram(count, _, buckets) => {
                    let sum: f64 = buckets.iter().map(|b| b.3).sum();
                    (sum - count).abs() <= 1e-9 * count.abs()
                }
            };
            let mut changed = false;
            for (labels, points) in &mut ours.series {
                let Some((_, their)) = theirs.series.iter().find(|(l, _)| l == labels) else {
                    continue;
                };
                for (t, point) in points {
                    if let Some(other) = their.get(t)
                        && adds_up(point)
                        && !adds_up(other)
                    {
                        changed = true;
                        *point = other.clone();
                    }
                }
            }
            changed
        },
    ),
    rule(
        "functions of the query's times",
        "3.5 does not know start() and end() as functions",
        |case| {
            let unknown = |e: &String| e.contains("unexpected \"(\"");
            let applies = case.theirs.result.as_ref().is_err_and(unknown)
                && ["start()", "end()"].iter().any(|f| case.expr.contains(f));
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "custom buckets among floats",
        "a sum ends at the first sample of another type, and 3.5 has series in the order of its hash maps",
        |case| {
            let mixed = |t: &String| t.contains("mix of histograms and floats for aggregation");
            case.theirs.warnings.iter().any(mixed)
                && drop_from(&mut case.ours.infos, |t| {
                    t.contains("mismatched custom buckets")
                })
        },
    ),
    rule(
        "the first mixture of an aggregation",
        "what cannot be added to the first samples ends it and is named, and 3.5 has series in the order of its hash maps",
        |case| {
            let mixed = |t: &str| {
                t.contains("mix of histograms and floats for aggregation")
                    || t.contains("mix of histograms with exponential and custom buckets schemas")
            };
            let (ours, theirs) = (&mut case.ours.warnings, &mut case.theirs.warnings);
            let both = [&*ours, &*theirs]
                .iter()
                .all(|list| list.iter().any(|t| mixed(t)));
            if ours == theirs || !both {
                return false;
            }
            drop_from(ours, mixed);
            drop_from(theirs, mixed);
            true
        },
    ),
    rule(
        "custom buckets of different bounds",
        "since 3.8 they are brought to their common bounds, before there was no result",
        |case| {
            let refused = case.theirs.warnings.iter().any(|t| {
                t.contains("histograms with incompatible custom buckets")
                    || t.contains("incompatible bucket layout") && !case.ours.warnings.contains(t)
            });
            case.skip |= refused;
            refused
        },
    ),
    rule("strings in parentheses", "3.5 fails on them", |case| {
        let fails = |e: &String| e.contains("unexpected result in StepInvariantExpr");
        let fails = case.theirs.result.as_ref().is_err_and(fails);
        case.skip |= fails;
        fails
    }),
    rule(
        "wording of errors about durations",
        "since 3.6 they name what a duration may be made of",
        |case| {
            let Err(text) = &mut case.ours.result else {
                return false;
            };
            let old = text
                .replace("number, duration, step(), or range()", "number or duration")
                .replace(
                    "number, duration, step(), range(), or",
                    "number, duration, or",
                )
                .replace(
                    "in subquery or range selector, expected number",
                    "in subquery selector, expected number",
                );
            let changed = *text != old;
            *text = old;
            changed
        },
    ),
    rule(
        "errors of matching before filtering",
        "since 3.9 series that match several others are an error also where the comparison drops them",
        |case| {
            let ambiguous = |e: &String| e.starts_with("multiple matches for labels: ");
            let applies = case.ours.result.as_ref().is_err_and(ambiguous)
                && !case.theirs.result.as_ref().is_err_and(ambiguous)
                && case.expr.contains(['<', '>', '=']);
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "equal series that do not overlap",
        "since 3.9 a negation, the label functions and names that go away late join them, before they were an error",
        |case| {
            let equal = |e: &String| e == "vector cannot contain metrics with the same labelset";
            let applies = case.theirs.result.as_ref().is_err_and(equal)
                && case.ours.result.is_ok()
                && (case.late_names
                    || ["label_replace", "label_join", "-"]
                        .iter()
                        .any(|f| case.expr.contains(f)));
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "a name included by grouping",
        "since 3.10 group_left(__name__) keeps the name also with bool",
        |case| {
            let applies = case.expr.contains("bool")
                && case.expr.contains("group_")
                && case.expr.contains("__name__")
                && !same_points(case);
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "buckets under functions of counts and sums",
        "3.5 does not read buckets below histogram_count and its like even where something around needs them",
        |case| {
            let stats = ["histogram_count", "histogram_sum", "histogram_avg"];
            stats.iter().any(|f| case.expr.contains(f))
                && drop_from(&mut case.ours.infos, |t| {
                    t.contains("mismatched custom buckets")
                })
        },
    ),
    rule(
        "negated histograms",
        "since 3.8 a negative factor makes them gauges, which rates warn about",
        |case| {
            case.expr.contains('-')
                && drop_from(&mut case.ours.warnings, |t| {
                    t.contains("this native histogram metric is not a counter")
                        && !case.theirs.warnings.iter().any(|w| w == t)
                })
        },
    ),
    rule(
        "places of errors after aggregations",
        "3.5 takes the end of a parenthesis inside an aggregation or of its grouping for that of the aggregation",
        |case| {
            let (Err(ours), Err(theirs)) = (&case.ours.result, &case.theirs.result) else {
                return false;
            };
            let text = |e: &str| e.split_once(": parse error: ").map(|(_, t)| t.to_owned());
            let applies = case.expr.contains(')')
                && text(ours).is_some()
                && text(ours) == text(theirs)
                && !theirs.ends_with(&format!(": {ours}"));
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "errors inside brackets",
        "since 3.6 a duration has a grammar of its own there, with calls and commas",
        |case| {
            let (Err(ours), Err(theirs)) = (&case.ours.result, &case.theirs.result) else {
                return false;
            };
            let applies = [ours, theirs].iter().all(|e| e.contains("parse error"))
                && case.expr.contains('[')
                && ["duration", "expected ':'", "subquery", "unexpected colon"]
                    .iter()
                    .any(|t| theirs.contains(t) || ours.contains(t))
                && !theirs.ends_with(&format!(": {ours}"));
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "deviations of NaN",
        "since 3.14 mad_over_time is NaN where a sample is",
        |case| {
            case.expr.contains("mad_over_time")
                && take_theirs(case, |ours, theirs| ours.is_nan() && !theirs.is_nan())
        },
    ),
    rule(
        "series without the label they are sorted by",
        "Prometheus calls an empty text neither less nor greater, so that they may stand anywhere",
        |case| {
            let (Ok(ours), Ok(theirs)) = (&mut case.ours.result, &case.theirs.result) else {
                return false;
            };
            let applies = case.expr.starts_with("sort_by_label") && ours.kind == "vector";
            let Some(label) = case.expr.rsplit('"').nth(1).filter(|_| applies) else {
                return false;
            };
            let without = |s: &(String, _)| !s.0.contains(&format!("{label}="));
            let some = ours.series.iter().any(without);
            if some {
                let order = |l: &str| theirs.series.iter().position(|s| s.0 == l);
                ours.series.sort_by_key(|s| order(&s.0));
            }
            some
        },
    ),
    rule(
        "means of native histograms",
        "since 3.8 they are compensated sums, so that a rank at the border of two buckets may fall into the other one",
        |case| {
            case.expr.contains("avg")
                && ["histogram_quantile", "histogram_fraction"]
                    .iter()
                    .any(|f| case.expr.contains(f))
                && take_their_values(case)
        },
    ),
    rule(
        "angles and remainders of large numbers",
        "the last digit of a power decides them",
        |case| {
            ["^", "exp", "sinh", "cosh"]
                .iter()
                .any(|f| case.expr.contains(f))
                && ["sin", "cos", "tan", "%"]
                    .iter()
                    .any(|f| case.expr.contains(f))
                && take_their_values(case)
        },
    ),
    rule(
        "deviations far below the numbers",
        "what is left of numbers that are almost equal depends on the order of summation",
        |case| {
            let deviations = ["stddev", "stdvar"].iter().any(|f| case.expr.contains(f));
            let close = deviations
                && take_theirs(case, |ours, theirs| {
                    ours.abs() < 1e-9 && theirs.abs() < 1e-9 && ours != theirs
                });
            let of_times = deviations && case.expr.contains("time");
            widen(case, of_times, 1e-5) || close
        },
    ),
    rule("the name of @ in errors", "3.5 does not know it", |case| {
        let Err(text) = &mut case.theirs.result else {
            return false;
        };
        let new = text.replace("\"<Item 57400>\" <op:@>", "<op:@>");
        let changed = *text != new;
        *text = new;
        changed
    }),
    rule(
        "labels of absent series at a fixed time",
        "3.5 forgets them when the selector has an @ modifier",
        |case| {
            let fixed = case.expr.contains("absent") && case.expr.contains('@');
            let Ok(theirs) = &case.theirs.result else {
                return false;
            };
            case.skip |= fixed && theirs.series.iter().any(|(labels, _)| labels == "{}");
            case.skip
        },
    ),
    rule(
        "labels of absent series outside of the data",
        "Prometheus' storage puts matchers into another order, if it is asked at all",
        |case| {
            let twice = case.expr.contains("absent")
                && ["!=", "!~"].iter().any(|op| case.expr.contains(op))
                && !same_points(case);
            case.skip |= twice;
            twice
        },
    ),
    rule(
        "names of groups",
        "3.5 takes whether the name of a group is to go from another series",
        |case| {
            let applies = case.late_names
                && ["by (__name__", "__name__)", "without"]
                    .iter()
                    .any(|g| case.expr.contains(g))
                && !same_points(case);
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "zero buckets of custom histograms",
        "Prometheus cannot print them, which divisions by zero and NaN make",
        |case| {
            let prints = |e: &String| e.contains("custom buckets have no zero bucket");
            let fails = case.theirs.result.as_ref().is_err_and(prints);
            case.skip |= fails;
            fails
        },
    ),
    rule(
        "names below last_over_time",
        "3.5 forgets that the name of a computed series is to go",
        |case| {
            let applies = case.late_names
                && case.expr.contains("last_over_time")
                && case.expr.contains(':')
                && !same_points(case);
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "which of equal values are picked",
        "the first of equal values stay, and 3.5 has series of computed vectors in the order of its hash maps",
        |case| {
            let picks = ["topk", "bottomk", "limitk"];
            let buckets = ["histogram_quantile", "histogram_fraction"];
            let of_buckets = buckets.iter().any(|f| case.expr.contains(f)) && !same_series(case);
            let notes =
                case.ours.warnings != case.theirs.warnings || case.ours.infos != case.theirs.infos;
            let applies = picks.iter().any(|p| case.expr.contains(p))
                && (of_buckets || notes || !same_points(case));
            case.skip |= applies;
            applies
        },
    ),
    rule(
        "a ratio or number of series that is not a number",
        "since 3.6 it is an error also where there are no series, with another text",
        |case| {
            let Err(text) = &case.ours.result else {
                return false;
            };
            let new = text == "Ratio value is NaN" || text == "Parameter value is NaN";
            let old = |e: &String| e.contains(" value NaN is NaN") || !e.contains("parse error");
            let excused = new
                && match &case.theirs.result {
                    Ok(_) => true,
                    Err(text) => old(text),
                };
            case.skip |= excused;
            excused
        },
    ),
    rule(
        "rates of native histograms",
        "since 3.6 they are not extrapolated beyond the time when their count was zero",
        |case| {
            let rates = ["rate(", "increase("].iter().any(|f| case.expr.contains(f));
            let native = ["h", "gh", "ch", "mix", "neg", "lat_bucket"];
            let selected = |name: &&str| {
                let ends =
                    |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
                case.expr.match_indices(*name).any(|(at, _)| {
                    ends(case.expr[..at].chars().next_back())
                        && ends(case.expr[at + name.len()..].chars().next())
                })
            };
            let applies = rates && native.iter().any(selected);
            if applies && case.ours.warnings != case.theirs.warnings {
                // Such a rate may itself be a quantile.
                for answer in [&mut case.ours, &mut case.theirs] {
                    drop_from(&mut answer.warnings, |t| {
                        t.contains("quantile value should be between")
                    });
                }
            }
            applies && take_their_values(case)
        },
    ),
    rule(
        "which duplicates an error names",
        "since 3.14 the two series are sorted; in 3.5 the order of computed series is that of its hash maps",
        |case| {
            let (Err(ours), Err(theirs)) = (&mut case.ours.result, &mut case.theirs.result) else {
                return false;
            };
            let both = [&*ours, &*theirs];
            if both
                .iter()
                .any(|t| !t.contains("found duplicate series for the match group"))
            {
                return false;
            }
            for text in [&mut *ours, &mut *theirs] {
                if let Some(at) = text.find(" hand-side of the operation: [") {
                    text.truncate(at);
                }
            }
            if ours != theirs {
                // The group, up to ` on the left`.
                for text in [ours, theirs] {
                    if let (Some(from), Some(until)) = (text.find('{'), text.rfind(" on the ")) {
                        text.replace_range(from..until, "");
                    }
                }
            }
            true
        },
    ),
    rule(
        "order of floating-point sums",
        "3.5 adds series in the order of its hash maps, which changes from run to run",
        |case| {
            let sums = ["sum", "avg", "stddev", "stdvar", "quantile"];
            let any = sums.iter().any(|s| case.expr.contains(s));
            widen(case, any, 1e-12)
        },
    ),
    rule(
        "last digits of functions",
        "Go computes exponentials, powers and angles by other approximations than the system's library",
        |case| {
            let functions = [
                "^",
                "exp(",
                "sin",
                "cos",
                "tan",
                "log",
                "ln(",
                "histogram_quantile",
                "histogram_std",
            ];
            let any = functions.iter().any(|f| case.expr.contains(f));
            widen(case, any, 1e-12)
        },
    ),
    rule(
        "histogram_fraction",
        "since 3.8 a bound in the first bucket of a classic histogram has a result, and the formula is another one",
        |case| {
            if !case.expr.contains("histogram_fraction") {
                return false;
            }
            take_theirs(case, |ours, theirs| !ours.is_nan() && theirs.is_nan());
            // A number passes comparisons that NaN does not.
            case.skip |= case.expr.contains(['<', '>', '=']) && !same_series(case);
            widen(case, true, 1e-12)
        },
    ),
    rule(
        "places of annotations in parentheses",
        "since 3.9 parentheses around arguments are removed before the evaluation",
        |case| {
            if !case.expr.contains("((") && !case.expr.contains(", (") {
                return false;
            }
            let mut changed = false;
            for (ours, theirs) in [
                (&mut case.ours.warnings, &mut case.theirs.warnings),
                (&mut case.ours.infos, &mut case.theirs.infos),
            ] {
                if ours != theirs {
                    for list in [ours, theirs] {
                        changed |= list.iter_mut().map(cut_place).fold(false, |a, b| a | b);
                        list.sort();
                        list.dedup();
                    }
                }
            }
            changed
        },
    ),
    rule(
        "numbers as labels",
        "count_values turns the last digits of numbers into labels",
        |case| {
            let inexact = case.tolerance > 0.0
                || case.expr.contains("rate")
                || case.expr.contains("increase");
            let applies = inexact && case.expr.contains("count_values");
            let (Ok(ours), Ok(theirs)) = (&case.ours.result, &case.theirs.result) else {
                return false;
            };
            let differ = ours.series != theirs.series;
            case.skip |= applies && differ;
            applies && differ
        },
    ),
];

/// Applies all rules; the names of those that changed the case.
pub(crate) fn apply(case: &mut Case) -> Vec<&'static str> {
    let mut names = Vec::new();
    for rule in RULES {
        if (rule.apply)(case) {
            names.push(rule.name);
        }
    }
    names
}

fn drop_from(list: &mut Vec<String>, unwanted: impl Fn(&str) -> bool) -> bool {
    let before = list.len();
    list.retain(|t| !unwanted(t));
    list.len() != before
}

fn widen(case: &mut Case, applies: bool, tolerance: f64) -> bool {
    if applies {
        case.tolerance = case.tolerance.max(tolerance);
    }
    applies
}

/// Annotations that named their metric always.
fn named_once(text: &str) -> bool {
    text.contains("bucket label \"le\"")
        || text.contains("a mix of classic and native histograms")
        || text.contains("needed to be fixed for monotonicity")
        || text.contains("has NaN observations")
}

/// Removes ` for metric name "..."`.
fn cut_name(text: &mut String) -> bool {
    let Some(from) = text.find(" for metric name ") else {
        return false;
    };
    // Details of a repair and the place follow.
    let rest = &text[from..];
    let until = rest.find(", from buckets").or_else(|| rest.rfind(" ("));
    let Some(until) = until else {
        return false;
    };
    text.replace_range(from..from + until, "");
    true
}

/// Removes ` (1:2)` at the end.
fn cut_place(text: &mut String) -> bool {
    let place = |at: &usize| text[at + 2..].starts_with(|c: char| c.is_ascii_digit());
    let Some(at) = text.rfind(" (").filter(place) else {
        return false;
    };
    text.truncate(at);
    true
}

/// Whether both answers have the same series with values at the same times.
fn same_points(case: &Case) -> bool {
    let (Ok(ours), Ok(theirs)) = (&case.ours.result, &case.theirs.result) else {
        return false;
    };
    let points = |d: &Data| {
        let all = d.series.iter();
        let times = all.map(|s| (s.0.clone(), s.1.keys().copied().collect::<Vec<i64>>()));
        times.collect::<BTreeMap<_, _>>()
    };
    points(ours) == points(theirs)
}

fn has_nan(answer: &Answer) -> bool {
    let nan = |n: &Number| matches!(n, Number::Float(v) if v.is_nan());
    let Ok(data) = &answer.result else {
        return false;
    };
    data.series.iter().any(|s| s.1.values().any(nan))
}

/// Whether both answers have the same series with the same values.
fn same_series(case: &Case) -> bool {
    matches!(
        (&case.ours.result, &case.theirs.result),
        (Ok(ours), Ok(theirs)) if ours.series == theirs.series
    )
}

/// Makes our values theirs where both have one.
fn take_their_values(case: &mut Case) -> bool {
    let (Ok(ours), Ok(theirs)) = (&mut case.ours.result, &case.theirs.result) else {
        return false;
    };
    let mut changed = false;
    for (labels, points) in &mut ours.series {
        let Some((_, their)) = theirs.series.iter().find(|(l, _)| l == labels) else {
            continue;
        };
        for (t, point) in points {
            if let Some(value) = their.get(t).filter(|v| *v != point) {
                changed = true;
                *point = value.clone();
            }
        }
    }
    changed
}

/// Makes our float theirs where `when` says so.
fn take_theirs(case: &mut Case, when: impl Fn(f64, f64) -> bool) -> bool {
    let (Ok(ours), Ok(theirs)) = (&mut case.ours.result, &case.theirs.result) else {
        return false;
    };
    let mut changed = false;
    for (labels, points) in &mut ours.series {
        let Some((_, their)) = theirs.series.iter().find(|(l, _)| l == labels) else {
            continue;
        };
        for (t, point) in points {
            if let (Number::Float(v), Some(Number::Float(w))) = (point, their.get(t))
                && when(*v, *w)
            {
                *v = *w;
                changed = true;
            }
        }
    }
    changed
}
