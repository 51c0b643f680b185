//! `cargo xtask bench`: figures of whole programs and of the engine's hot paths.

use clap::{Args, ValueEnum};

use crate::shell::{cargo, program, step};

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Which one.
    #[arg(value_enum)]
    name: Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// `up` with three planes: time to first data, memory and CPU after ten minutes.
    Stack,
    /// Parsers, append, replay, queries: the crates' own benchmarks.
    Engine,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match args.name {
        Name::Stack => {
            step("release build", cargo().args(["build", "--release"]))?;
            step("stack", program("bash", "bench").arg("stack.sh"))
        }
        Name::Engine => {
            for package in [
                "bellwether-exposition",
                "bellwether-scrape",
                "bellwether-tsdb",
                "bellwether-promql",
            ] {
                step(package, cargo().args(["bench", "--package", package]))?;
            }
            Ok(())
        }
    }
}
