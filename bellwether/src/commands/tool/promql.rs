//! `bellwether tool promql` and `bellwether tool check promql`: expressions without a server.

use std::process::ExitCode;

use anyhow::bail;
use bellwether_model::{MatchOp, Matcher};
use bellwether_promql::ast::{Expr, ExprKind, VectorSelector};
use bellwether_promql::printer::pretty;
use bellwether_promql::walk::children_mut;
use bellwether_promql::{ParseOptions, parse};
use clap::{Args, Subcommand, ValueEnum};

use super::{explain, output};

#[derive(Debug, Subcommand)]
pub(crate) enum PromqlCommand {
    /// Print an expression in its canonical form.
    Format {
        /// PromQL expression.
        query: String,
    },
    /// Show the plan of a query, with --data also what each of its nodes costs.
    Explain(explain::ExplainArgs),
    /// Edit the label matchers of all selectors.
    LabelMatchers {
        #[command(subcommand)]
        command: MatchersCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MatchersCommand {
    /// Set a label matcher; selectors that have one for the label get it instead.
    Set {
        /// Type of the matcher.
        #[arg(short = 't', long = "type", value_enum, default_value_t = Type::Equal)]
        kind: Type,
        /// PromQL expression.
        query: String,
        /// Label name.
        name: String,
        /// Value to match.
        value: String,
    },
    /// Remove the matchers for a label.
    Delete {
        /// PromQL expression.
        query: String,
        /// Label name.
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Type {
    #[value(name = "=")]
    Equal,
    #[value(name = "!=")]
    NotEqual,
    #[value(name = "=~")]
    Regex,
    #[value(name = "!~")]
    NotRegex,
}

#[derive(Debug, Args)]
pub(crate) struct CheckPromqlArgs {
    /// PromQL expressions.
    #[arg(required = true)]
    expr: Vec<String>,
    /// Refuse what needs a feature flag of the server.
    #[arg(long)]
    stable: bool,
}

pub(super) fn run(command: &PromqlCommand) -> anyhow::Result<ExitCode> {
    let expr = match command {
        PromqlCommand::Explain(args) => return explain::run(args),
        PromqlCommand::Format { query } => parsed(query)?,
        PromqlCommand::LabelMatchers { command } => edit(command)?,
    };
    output::line(&pretty(&expr))?;
    Ok(ExitCode::SUCCESS)
}

/// `tool check promql`: the first error of each expression that has one.
pub(super) fn check(args: &CheckPromqlArgs) -> anyhow::Result<ExitCode> {
    let options = if args.stable {
        ParseOptions::default()
    } else {
        ParseOptions::all()
    };
    let mut code = ExitCode::SUCCESS;
    for text in &args.expr {
        match parse(text, &options) {
            Ok(expr) => output::line(&format!("{text}: {}", expr.value_type().documented()))?,
            Err(e) => {
                output::line(&format!("{text}: {e}"))?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn parsed(text: &str) -> anyhow::Result<Expr> {
    match parse(text, &ParseOptions::all()) {
        Ok(expr) => Ok(expr),
        Err(e) => bail!("{e}"),
    }
}

fn edit(command: &MatchersCommand) -> anyhow::Result<Expr> {
    match command {
        MatchersCommand::Set {
            kind,
            query,
            name,
            value,
        } => {
            let op = match kind {
                Type::Equal => MatchOp::Equal,
                Type::NotEqual => MatchOp::NotEqual,
                Type::Regex => MatchOp::Regex,
                Type::NotRegex => MatchOp::NotRegex,
            };
            let matcher = Matcher::new(op, name.as_str(), value.as_str())?;
            let mut expr = parsed(query)?;
            each_selector(&mut expr, &mut |selector| set(selector, &matcher));
            Ok(expr)
        }
        MatchersCommand::Delete { query, name } => {
            let mut expr = parsed(query)?;
            each_selector(&mut expr, &mut |selector| {
                selector.matchers.retain(|m| m.name != *name);
                if name == "__name__" {
                    selector.name = None;
                }
            });
            Ok(expr)
        }
    }
}

fn set(selector: &mut VectorSelector, matcher: &Matcher) {
    let mut found = false;
    for m in selector
        .matchers
        .iter_mut()
        .filter(|m| m.name == matcher.name)
    {
        *m = matcher.clone();
        found = true;
    }
    if !found {
        selector.matchers.push(matcher.clone());
    }
    if matcher.name == "__name__" {
        selector.name = None;
    }
}

fn each_selector(expr: &mut Expr, change: &mut dyn FnMut(&mut VectorSelector)) {
    match &mut expr.kind {
        ExprKind::VectorSelector(v) => change(v),
        ExprKind::MatrixSelector(m) => change(&mut m.vector),
        _ => {}
    }
    for child in children_mut(expr) {
        each_selector(child, change);
    }
}
