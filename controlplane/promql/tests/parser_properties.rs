//! Random input never panics; random expressions survive printing and parsing.
#![allow(clippy::unwrap_used)]

use bellwether_model::{MatchOp, Matcher};
use bellwether_promql::ast::{
    AggregateExpr, AggregateOp, AtModifier, BinaryExpr, BinaryOp, CallExpr, Cardinality,
    DurationExpr, DurationNode, DurationNodeKind, Expr, ExprKind, MatrixSelector, NumberLiteral,
    Span, SubqueryExpr, UnaryOp, VectorMatching, VectorSelector,
};
use bellwether_promql::parser::{ParseOptions, parse, parse_metric_selector};
use bellwether_promql::{printer, signature, walk};
use proptest::prelude::*;

fn node(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn paren(expr: Expr) -> Expr {
    node(ExprKind::Paren(Box::new(expr)))
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z_][a-z0-9_]{0,5}",
        1 => Just("by".to_owned()),
        1 => Just("offset".to_owned()),
        1 => "[a-z.☺ \"\\\\]{1,4}",
    ]
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(label(), 0..3)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    (op, label(), "[a-z☺\\n\"' ]{1,6}")
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
}

fn literal() -> impl Strategy<Value = NumberLiteral> {
    prop_oneof![
        (0u32..1_000_000).prop_map(|n| NumberLiteral {
            value: f64::from(n),
            duration: false
        }),
        any::<f64>().prop_map(|value| NumberLiteral {
            value: if value.is_nan() {
                f64::NAN
            } else {
                value.abs()
            },
            duration: false
        }),
        (0i64..10_000_000_000).prop_map(|ms| NumberLiteral {
            value: (ms / 1000) as f64 + (ms % 1000) as f64 / 1e3,
            duration: true
        }),
    ]
}

fn duration_node() -> impl Strategy<Value = DurationNode> {
    let at = |kind| DurationNode {
        kind,
        span: Span::default(),
    };
    let leaf = prop_oneof![
        (1i64..1_000_000).prop_map(move |s| at(DurationNodeKind::Literal(NumberLiteral {
            value: s as f64,
            duration: true
        }))),
        Just(at(DurationNodeKind::Step)),
        Just(at(DurationNodeKind::Range)),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let two = (inner.clone(), inner.clone());
        let op = prop::sample::select(vec![
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::Pow,
        ]);
        let wrap = move |n: DurationNode| Box::new(at(DurationNodeKind::Paren(Box::new(n))));
        prop_oneof![
            two.clone()
                .prop_map(move |(a, b)| at(DurationNodeKind::Min(Box::new(a), Box::new(b)))),
            two.clone()
                .prop_map(move |(a, b)| at(DurationNodeKind::Max(Box::new(a), Box::new(b)))),
            (op, two).prop_map(move |(op, (a, b))| at(DurationNodeKind::Binary(
                op,
                wrap(a),
                wrap(b)
            ))),
            inner
                .clone()
                .prop_map(move |n| at(DurationNodeKind::Unary(UnaryOp::Minus, wrap(n)))),
            inner.prop_map(move |n| *wrap(n)),
        ]
    })
}

/// A range, step or offset. Arithmetic stands in parentheses: after `offset` it has to.
fn duration(min: i64) -> impl Strategy<Value = DurationExpr> {
    prop_oneof![
        (min..10_000_000_000i64).prop_map(DurationExpr::Millis),
        duration_node().prop_map(|n| {
            DurationExpr::Node(Box::new(DurationNode {
                kind: DurationNodeKind::Paren(Box::new(n)),
                span: Span::default(),
            }))
        }),
    ]
}

/// A sub-query's range has to hold a number: Prometheus' lexer takes no colon before one.
fn subquery_range() -> impl Strategy<Value = DurationExpr> {
    let at = |kind| {
        Box::new(DurationNode {
            kind,
            span: Span::default(),
        })
    };
    duration(1).prop_map(move |range| match range {
        DurationExpr::Node(node) => {
            let second = NumberLiteral {
                value: 1.0,
                duration: true,
            };
            let second = at(DurationNodeKind::Literal(second));
            DurationExpr::Node(at(DurationNodeKind::Binary(BinaryOp::Add, second, node)))
        }
        millis => millis,
    })
}

fn at_modifier() -> impl Strategy<Value = Option<AtModifier>> {
    prop_oneof![
        3 => Just(None),
        1 => (-1_000_000_000_000i64..1_000_000_000_000).prop_map(|ms| Some(AtModifier::Timestamp(ms))),
        1 => Just(Some(AtModifier::Start)),
        1 => Just(Some(AtModifier::End)),
    ]
}

fn offset() -> impl Strategy<Value = DurationExpr> {
    prop_oneof![Just(DurationExpr::Millis(0)), duration(-10_000_000_000)]
}

fn vector_selector() -> impl Strategy<Value = VectorSelector> {
    let name = prop::option::of(prop_oneof![
        3 => "[a-z_:][a-z0-9_:]{0,6}",
        1 => prop::sample::select(vec!["sum", "by", "offset", "start", "anchored", "and", "fill", "step"]).prop_map(str::to_owned),
    ]);
    let matchers = prop::collection::vec(matcher(), 0..3);
    (name, matchers, offset(), at_modifier(), 0..3).prop_map(
        |(name, mut matchers, offset, at, edges)| {
            // A word that is no metric name in this position would be a number.
            let name = name.filter(|n| n != "inf" && n != "nan" && !keyword_only(n));
            match &name {
                Some(name) => matchers.push(Matcher::equal("__name__", name.clone())),
                None => matchers.push(Matcher::equal("z", "not empty")),
            }
            VectorSelector {
                name,
                matchers,
                offset,
                at,
                anchored: edges == 1,
                smoothed: edges == 2,
            }
        },
    )
}

/// Keywords that cannot name a metric.
fn keyword_only(name: &str) -> bool {
    matches!(
        name,
        "on" | "ignoring" | "bool" | "group_left" | "group_right" | "atan2"
    )
}

fn scalar() -> impl Strategy<Value = Expr> {
    let number = literal().prop_map(|n| node(ExprKind::Number(n)));
    let time = Just(node(ExprKind::Call(Box::new(CallExpr {
        func: signature::lookup("time").unwrap(),
        args: Vec::new(),
    }))));
    prop_oneof![number, time]
}

fn matrix() -> impl Strategy<Value = Expr> {
    (vector_selector(), duration(1)).prop_map(|(vector, range)| {
        node(ExprKind::MatrixSelector(Box::new(MatrixSelector {
            vector,
            vector_span: Span::default(),
            range,
        })))
    })
}

fn call(name: &'static str, args: Vec<Expr>) -> Expr {
    node(ExprKind::Call(Box::new(CallExpr {
        func: signature::lookup(name).unwrap(),
        args,
    })))
}

fn matching() -> impl Strategy<Value = VectorMatching> {
    let fill = || prop::option::of(-1000i32..1000).prop_map(|f| f.map(f64::from));
    (0..3usize, any::<bool>(), labels(), labels(), fill(), fill()).prop_map(
        |(card, on, labels, include, fill_left, fill_right)| {
            let card = [
                Cardinality::OneToOne,
                Cardinality::ManyToOne,
                Cardinality::OneToMany,
            ][card];
            let include = match card {
                Cardinality::OneToOne => Vec::new(),
                _ => include
                    .into_iter()
                    .filter(|l| !labels.contains(l))
                    .collect(),
            };
            VectorMatching {
                card,
                on,
                labels,
                include,
                fill_left,
                fill_right,
            }
        },
    )
}

fn binary(
    op: BinaryOp,
    lhs: Expr,
    rhs: Expr,
    return_bool: bool,
    matching: Option<VectorMatching>,
) -> Expr {
    node(ExprKind::Binary(Box::new(BinaryExpr {
        op,
        lhs,
        rhs,
        return_bool: return_bool && op.is_comparison(),
        matching,
        op_span: Span::default(),
    })))
}

/// An expression of type instant vector. Operands of operators stand in parentheses where they need them.
fn vector() -> impl Strategy<Value = Expr> {
    use BinaryOp as B;
    let leaf = vector_selector().prop_map(|v| node(ExprKind::VectorSelector(Box::new(v))));
    let rate = matrix().prop_map(|m| call("rate", vec![m]));
    prop_oneof![leaf, rate].prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            B::Add,
            B::Sub,
            B::Mul,
            B::Div,
            B::Mod,
            B::Pow,
            B::Atan2,
            B::Eq,
            B::Ne,
            B::Lt,
            B::Le,
            B::Gt,
            B::Ge,
            B::TrimUpper,
            B::TrimLower,
        ]);
        let set = prop::sample::select(vec![B::And, B::Or, B::Unless]);
        let two = || (inner.clone().prop_map(paren), inner.clone().prop_map(paren));
        prop_oneof![
            inner.clone().prop_map(paren),
            (any::<bool>(), inner.clone().prop_map(paren)).prop_map(|(plus, e)| {
                let op = if plus { UnaryOp::Plus } else { UnaryOp::Minus };
                node(ExprKind::Unary(op, Box::new(e)))
            }),
            (operator.clone(), two(), any::<bool>(), matching())
                .prop_map(|(op, (a, b), flag, m)| binary(op, a, b, flag, Some(m))),
            (
                operator,
                inner.clone().prop_map(paren),
                scalar(),
                any::<bool>()
            )
                .prop_map(|(op, a, b, flag)| binary(op, a, b, flag, None)),
            (set, two(), any::<bool>(), labels()).prop_map(|(op, (a, b), on, labels)| {
                let m = VectorMatching {
                    card: Cardinality::ManyToMany,
                    on,
                    labels,
                    include: Vec::new(),
                    fill_left: None,
                    fill_right: None,
                };
                binary(op, a, b, false, Some(m))
            }),
            (aggregation(), inner.clone(), labels(), any::<bool>()).prop_map(
                |((op, param), expr, grouping, without)| {
                    node(ExprKind::Aggregate(Box::new(AggregateExpr {
                        op,
                        param,
                        expr,
                        grouping,
                        without,
                    })))
                }
            ),
            inner.clone().prop_map(|e| call("abs", vec![e])),
            (inner.clone(), scalar(), scalar()).prop_map(|(e, a, b)| call("clamp", vec![e, a, b])),
            (inner.clone(), ".{0,5}").prop_map(|(e, s)| {
                let text = |s: String| node(ExprKind::String(s.replace('\u{fffd}', "").into()));
                call(
                    "label_join",
                    vec![e, text("a".to_owned()), text(s), text("b".to_owned())],
                )
            }),
            (
                inner.clone().prop_map(paren),
                subquery_range(),
                prop::option::of(duration(1)),
                offset(),
                at_modifier()
            )
                .prop_map(|(expr, range, step, offset, at)| {
                    let subquery = node(ExprKind::Subquery(Box::new(SubqueryExpr {
                        expr,
                        range,
                        step,
                        offset,
                        at,
                    })));
                    call("max_over_time", vec![subquery])
                }),
        ]
    })
}

fn aggregation() -> impl Strategy<Value = (AggregateOp, Option<Expr>)> {
    use AggregateOp as A;
    prop_oneof![
        prop::sample::select(vec![
            A::Sum,
            A::Avg,
            A::Count,
            A::Min,
            A::Max,
            A::Group,
            A::Stddev,
            A::Stdvar
        ])
        .prop_map(|op| (op, None)),
        (
            prop::sample::select(vec![
                A::Topk,
                A::Bottomk,
                A::Quantile,
                A::Limitk,
                A::LimitRatio
            ]),
            scalar()
        )
            .prop_map(|(op, param)| (op, Some(param))),
        label().prop_map(|l| (A::CountValues, Some(node(ExprKind::String(l.into()))))),
    ]
}

fn strip_duration(expr: &mut DurationExpr) {
    fn strip(node: &mut DurationNode) {
        node.span = Span::default();
        match &mut node.kind {
            DurationNodeKind::Literal(_) | DurationNodeKind::Step | DurationNodeKind::Range => {}
            DurationNodeKind::Unary(_, a) | DurationNodeKind::Paren(a) => strip(a),
            DurationNodeKind::Binary(_, a, b)
            | DurationNodeKind::Min(a, b)
            | DurationNodeKind::Max(a, b) => {
                strip(a);
                strip(b);
            }
        }
    }
    if let DurationExpr::Node(node) = expr {
        strip(node);
    }
}

/// Without positions and the order of matchers, which printing changes.
fn normal(mut expr: Expr) -> Expr {
    fn selector(v: &mut VectorSelector) {
        v.matchers.sort_by_key(ToString::to_string);
        strip_duration(&mut v.offset);
    }
    walk::visit_mut(&mut expr, |e| {
        e.span = Span::default();
        match &mut e.kind {
            ExprKind::Binary(b) => b.op_span = Span::default(),
            ExprKind::Aggregate(a) if !a.without && a.grouping.is_empty() => {}
            ExprKind::VectorSelector(v) => selector(v),
            ExprKind::MatrixSelector(m) => {
                m.vector_span = Span::default();
                selector(&mut m.vector);
                strip_duration(&mut m.range);
            }
            ExprKind::Subquery(s) => {
                strip_duration(&mut s.range);
                strip_duration(&mut s.offset);
                if let Some(step) = &mut s.step {
                    strip_duration(step);
                }
            }
            _ => {}
        }
    });
    expr
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "foo:bar",
        "1",
        "0x1F",
        "5m",
        "1e3",
        "inf",
        "\"x\"",
        "'",
        "`",
        "(",
        ")",
        ")",
        "{",
        "}",
        "[",
        "]",
        "]",
        ",",
        ":",
        "=",
        "=~",
        "!~",
        "==",
        "!=",
        "<",
        ">=",
        "</",
        ">/",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "@",
        " ",
        "\n",
        "# c\n",
        "and",
        "or",
        "unless",
        "atan2",
        "sum",
        "topk",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "bool",
        "offset",
        "anchored",
        "smoothed",
        "fill",
        "fill_left",
        "start",
        "end",
        "step",
        "range",
        "min_of",
        "max_of",
        "rate",
        "info",
        "time",
        "\\",
        "é",
        ".",
        "_",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn printing_and_parsing_gives_the_same_tree(expr in vector()) {
        let expr = normal(expr);
        let text = expr.to_string();
        let parsed = parse(&text, &ParseOptions::all());
        let parsed = parsed.map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        prop_assert!(normal(parsed.clone()) == expr, "{} read as {}", text, parsed);
        let pretty = printer::pretty(&expr);
        let parsed = parse(&pretty, &ParseOptions::all());
        let parsed = parsed.map_err(|e| TestCaseError::fail(format!("{pretty}: {e}")))?;
        prop_assert!(normal(parsed.clone()) == expr, "{} read as {}", pretty, parsed);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        let _ = parse(&text, &ParseOptions::all());
        let _ = parse_metric_selector(&text);
    }

    /// Closer to the language than random text; what parses has to print and parse again, and errors have to
    /// point into the text.
    #[test]
    fn random_tokens_never_panic(tokens in prop::collection::vec(token(), 0..14)) {
        let text = tokens.concat();
        match parse(&text, &ParseOptions::all()) {
            Ok(expr) => {
                let printed = expr.to_string();
                let again = parse(&printed, &ParseOptions::all()).map(|e| e.to_string());
                prop_assert_eq!(again, Ok(printed), "{}", text);
            }
            Err(e) => prop_assert!(e.span.start as usize <= text.len(), "{}", text),
        }
        let spaced = tokens.join(" ");
        if let Ok(expr) = parse(&spaced, &ParseOptions::all()) {
            let printed = printer::pretty(&expr);
            prop_assert!(parse(&printed, &ParseOptions::all()).is_ok(), "{} {}", spaced, printed);
        }
    }
}
