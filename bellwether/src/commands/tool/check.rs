//! `bellwether tool check`: promtool's checks of files, with its output and exit codes.

mod config;
mod families;
mod lint;
mod metrics;
mod status;

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bellwether_rules::file::{FileOptions, RuleFile, duplicate_rules};
use clap::{Args, Subcommand};

use super::{features, promql, service_discovery};

/// Exit code for files that are valid and have something to be improved.
const LINT_ERROR: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check configuration files of the metrics server, and the files that they name.
    Config(config::ConfigArgs),
    /// Check rule files; without files, what comes over standard input.
    Rules(RulesArgs),
    /// Check what is unwise about the metrics of a page in the text format that comes over standard input.
    Metrics(metrics::MetricsArgs),
    /// Check web configuration files and the certificates that they name.
    WebConfig(WebConfigArgs),
    /// Check PromQL expressions and show their types.
    Promql(promql::CheckPromqlArgs),
    /// Discover the targets of a job, and show what its relabelling makes of them.
    ServiceDiscovery(service_discovery::ServiceDiscoveryArgs),
    /// Check that a server is healthy.
    Healthy(status::StatusArgs),
    /// Check that a server is ready.
    Ready(status::StatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The rule files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to look for besides mistakes: all, duplicate-rules, none; several separated by commas.
    #[arg(long, value_name = "CHECKS", default_value = "duplicate-rules")]
    lint: String,
    /// Exit with code 3 when that finds something.
    #[arg(long)]
    lint_fatal: bool,
    /// Accept keys that do not exist.
    #[arg(long)]
    ignore_unknown_fields: bool,
    #[command(flatten)]
    features: features::FeatureArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WebConfigArgs {
    /// The web configuration files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// One line for each file.
fn web_config(files: &[PathBuf], errors: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match bellwether_net::web::validate(file) {
            Ok(()) => writeln!(errors, "{} SUCCESS", file.display())?,
            Err(error) => {
                writeln!(errors, "{} FAILED: {error}", file.display())?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

pub(super) async fn run(command: &CheckCommand, lookback: Duration) -> anyhow::Result<ExitCode> {
    match command {
        CheckCommand::Config(args) => config::run(args, lookback),
        CheckCommand::Rules(args) => rules(args),
        CheckCommand::Metrics(args) => metrics::run(args),
        CheckCommand::Promql(args) => promql::check(args),
        CheckCommand::ServiceDiscovery(args) => service_discovery::run(args).await,
        CheckCommand::WebConfig(args) => web_config(&args.files, &mut std::io::stderr().lock()),
        CheckCommand::Healthy(args) => status::run(args, "-/healthy").await,
        CheckCommand::Ready(args) => status::run(args, "-/ready").await,
    }
}

fn rules(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let options = FileOptions {
        ignore_unknown_fields: args.ignore_unknown_fields,
        promql: args.features.resolve(&mut out)?.promql,
        ..FileOptions::default()
    };
    let lints = Lints::parse(&args.lint, &mut out)?;
    let mut check = RuleCheck {
        options,
        duplicates: lints.duplicates,
        out,
        errors: std::io::stderr().lock(),
    };
    let verdict = if args.files.is_empty() {
        check.standard_input()?
    } else {
        check.files(&args.files)?
    };
    Ok(verdict.exit_code(args.lint_fatal))
}

/// How a file did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Lint,
    Bad,
}

impl Verdict {
    fn exit_code(self, lint_fatal: bool) -> ExitCode {
        match self {
            Self::Bad => ExitCode::FAILURE,
            Self::Lint if lint_fatal => ExitCode::from(LINT_ERROR),
            _ => ExitCode::SUCCESS,
        }
    }
}

/// What to look for besides mistakes.
#[derive(Clone, Copy, Debug, Default)]
struct Lints {
    /// Rules that are there twice.
    duplicates: bool,
}

impl Lints {
    /// From a list separated by commas.
    fn parse(list: &str, out: &mut impl Write) -> anyhow::Result<Self> {
        let mut lints = Self::default();
        for option in list.split(',').filter(|o| !o.is_empty()) {
            match option {
                "all" | "duplicate-rules" => lints.duplicates = true,
                "none" => {}
                other => writeln!(out, "WARNING: unknown lint option: {other:?}")?,
            }
        }
        Ok(lints)
    }
}

/// Checks rule files and tells about each.
struct RuleCheck<O, E> {
    options: FileOptions,
    duplicates: bool,
    out: O,
    errors: E,
}

impl<O: Write, E: Write> RuleCheck<O, E> {
    fn standard_input(&mut self) -> anyhow::Result<Verdict> {
        writeln!(self.out, "Checking standard input")?;
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        let file = RuleFile::parse(&text, &self.options);
        let file = file.map_err(|errors| errors.iter().map(ToString::to_string).collect());
        self.report(file)
    }

    fn files(&mut self, paths: &[PathBuf]) -> anyhow::Result<Verdict> {
        let mut worst = Verdict::Good;
        for path in paths {
            writeln!(self.out, "Checking {}", path.display())?;
            worst = worst.max(self.report(read(path, &self.options))?);
        }
        Ok(worst)
    }

    fn report(&mut self, file: Result<RuleFile, Vec<String>>) -> anyhow::Result<Verdict> {
        let file = match file {
            Ok(file) => file,
            Err(errors) => {
                writeln!(self.errors, "  FAILED:")?;
                for error in errors {
                    writeln!(self.errors, "{error}")?;
                }
                return Ok(Verdict::Bad);
            }
        };
        let duplicates = if self.duplicates {
            duplicate_rules(&file)
        } else {
            Vec::new()
        };
        if duplicates.is_empty() {
            writeln!(self.out, "  SUCCESS: {} rules found\n", file.rule_count())?;
            return Ok(Verdict::Good);
        }
        let count = duplicates.len();
        write!(
            self.errors,
            "  FAILED:\nlint error {count} duplicate rule(s) found.\n"
        )?;
        for duplicate in duplicates {
            write!(self.errors, "{duplicate}")?;
        }
        writeln!(
            self.errors,
            "Might cause inconsistency while recording expressions"
        )?;
        writeln!(self.out)?;
        Ok(Verdict::Lint)
    }
}

fn read(path: &Path, options: &FileOptions) -> Result<RuleFile, Vec<String>> {
    RuleFile::read(path, options).map_err(|found| {
        let path = found.path.display();
        let errors = found.errors.iter();
        errors.map(|error| format!("{path}: {error}")).collect()
    })
}
