//! `bellwether tool check`: promtool's checks of files, with its output and exit codes.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bellwether_rules::file::{FileOptions, RuleFile, duplicate_rules};
use clap::{Args, Subcommand};

use super::{features, promql, service_discovery};

/// Exit code for files that are valid and have something to be improved.
const LINT_ERROR: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check rule files; without files, what comes over standard input.
    Rules(RulesArgs),
    /// Check web configuration files and the certificates that they name.
    WebConfig(WebConfigArgs),
    /// Check PromQL expressions and show their types.
    Promql(promql::CheckPromqlArgs),
    /// Discover the targets of a job, and show what its relabelling makes of them.
    ServiceDiscovery(service_discovery::ServiceDiscoveryArgs),
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

pub(super) async fn run(command: &CheckCommand) -> anyhow::Result<ExitCode> {
    match command {
        CheckCommand::Promql(args) => promql::check(args),
        CheckCommand::ServiceDiscovery(args) => service_discovery::run(args).await,
        CheckCommand::WebConfig(args) => web_config(&args.files, &mut std::io::stderr().lock()),
        CheckCommand::Rules(args) => {
            let (out, errors) = (std::io::stdout(), std::io::stderr());
            let mut check = Check {
                args,
                options: FileOptions {
                    ignore_unknown_fields: args.ignore_unknown_fields,
                    ..FileOptions::default()
                },
                lints: false,
                out: out.lock(),
                errors: errors.lock(),
            };
            check.rules()
        }
    }
}

/// How a file did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Lint,
    Bad,
}

struct Check<'a, O, E> {
    args: &'a RulesArgs,
    options: FileOptions,
    lints: bool,
    out: O,
    errors: E,
}

impl<O: Write, E: Write> Check<'_, O, E> {
    fn rules(&mut self) -> anyhow::Result<ExitCode> {
        let features = self.args.features.resolve(&mut self.out)?;
        self.options.promql = features.promql;
        self.lints = self.lint_options()?;
        let mut worst = Verdict::Good;
        if self.args.files.is_empty() {
            writeln!(self.out, "Checking standard input")?;
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            let file = RuleFile::parse(&text, &self.options);
            let file = file.map_err(|errors| errors.iter().map(ToString::to_string).collect());
            worst = self.report(file)?;
        }
        for path in &self.args.files {
            writeln!(self.out, "Checking {}", path.display())?;
            worst = worst.max(self.report(read(path, &self.options))?);
        }
        Ok(match worst {
            Verdict::Bad => ExitCode::FAILURE,
            Verdict::Lint if self.args.lint_fatal => ExitCode::from(LINT_ERROR),
            _ => ExitCode::SUCCESS,
        })
    }

    /// Whether duplicates are looked for.
    fn lint_options(&mut self) -> anyhow::Result<bool> {
        let mut wanted = false;
        for option in self.args.lint.split(',').filter(|o| !o.is_empty()) {
            match option {
                "all" | "duplicate-rules" => wanted = true,
                "none" => {}
                other => writeln!(self.out, "WARNING: unknown lint option: {other:?}")?,
            }
        }
        Ok(wanted)
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
        let duplicates = if self.lints {
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
