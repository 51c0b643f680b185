//! `cargo xtask bench`: figures of whole programs and of the engine's hot paths.

use clap::{Args, ValueEnum};

use crate::shell::{cargo, program, step, target};

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Which one.
    #[arg(value_enum)]
    name: Name,
    /// Options of the benchmark; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// `up` with three planes: time to first data, memory and CPU after ten minutes.
    Stack,
    /// Parsers, append, replay, queries: the crates' own benchmarks.
    Engine,
    /// Whole servers: CPU and memory of scraping.
    Ingest,
    /// Whole servers: CPU of remote write.
    RemoteWrite,
    /// Whole servers: from a crash to the first right answer.
    Restart,
    /// Whole servers: a block from the head under load.
    Compaction,
    /// Whole servers: size of blocks.
    Blocks,
    /// Whole servers: CPU, time and memory of queries.
    Query,
    /// CPU of recording rules.
    Rules,
    /// CPU and punctuality of scraping many small targets.
    Targets,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match args.name {
        Name::Stack => {
            step("release build", cargo().args(["build", "--release"]))?;
            step(
                "stack",
                program("bash", "bench")
                    .arg("stack.sh")
                    .args(&args.options)
                    .env("BELLWETHER", target().join("release/bellwether")),
            )
        }
        Name::Engine => {
            for package in [
                "bellwether-exposition",
                "bellwether-scrape",
                "bellwether-tsdb",
                "bellwether-promql",
            ] {
                step(
                    package,
                    cargo()
                        .args(["bench", "--package", package])
                        .args(&args.options),
                )?;
            }
            Ok(())
        }
        Name::Ingest
        | Name::RemoteWrite
        | Name::Restart
        | Name::Compaction
        | Name::Blocks
        | Name::Query
        | Name::Rules
        | Name::Targets => servers(args),
    }
}

/// The cases of the `bellwether-bench` crate.
fn servers(args: &BenchArgs) -> anyhow::Result<()> {
    let packages = ["--package", "bellwether", "--package", "bellwether-bench"];
    step(
        "release build",
        cargo().args(["build", "--release"]).args(packages),
    )?;
    let release = target().join("release");
    let case = args
        .name
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    step(
        &case,
        program(&release.join("bellwether-bench").to_string_lossy(), ".")
            .arg(&case)
            .arg("--bellwether")
            .arg(release.join("bellwether"))
            .args(&args.options),
    )
}
