//! `cargo xtask`: the one door to every developer task.
//!
//! | command | does |
//! |---|---|
//! | `cargo xtask test` | everything that must be green: formatting, lints, licences, layout rules, all Rust tests (end-to-end and browser tests included), TypeScript checks and tests |
//! | `cargo xtask soak` | the long runs: 10,000 seeds of the storage simulation, 1,000 `kill -9` of a loaded server, changed files |
//! | `cargo xtask bench NAME` | a benchmark against the reference programs; figures go to `bench/RESULTS.md` by hand |
//!
//! Tools that are missing are named with the command that installs them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its user"
)]

mod bench;
mod shell;
mod soak;
mod soak_promql;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer tasks of Bellwether")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must be green.
    Test(test::TestArgs),
    /// Run the long runs that ordinary tests do in small.
    Soak(soak::SoakArgs),
    /// Run a benchmark and print its figures.
    Bench(bench::BenchArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Bench(args) => bench::run(&args),
    }
}
