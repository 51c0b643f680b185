//! `cargo xtask soak`: the long runs that ordinary tests do in small.

use std::time::{Duration, Instant};

use clap::Args;

use crate::shell::{cargo, step};
use crate::soak_promql;

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// Seeds of the storage engine's simulation; of this and the next two parts, 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Rounds of `kill -9` of a server under scrape and remote-write load.
    #[arg(long, default_value_t = 1_000)]
    kills: u64,
    /// Servers that are killed at the same time, each with a directory of its own.
    #[arg(long, default_value_t = 4)]
    kill_servers: u64,
    /// Changes of every file that the fuzz targets get.
    #[arg(long, default_value_t = 20_000)]
    fuzz_cases: u64,
    /// Go on with fresh seeds until this many minutes have passed.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    #[command(flatten)]
    promql: soak_promql::PromqlArgs,
}

pub(crate) fn run(args: &SoakArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    if args.seeds > 0 {
        simulate(args.first_seed, args.seeds)?;
    }
    if args.kills > 0 {
        kill(args.kills, args.kill_servers)?;
    }
    if args.fuzz_cases > 0 {
        change_files(args.fuzz_cases)?;
    }
    soak_promql::run(&args.promql)?;
    let mut next = args.first_seed.saturating_add(args.seeds);
    while start.elapsed() < Duration::from_secs(args.minutes.saturating_mul(60)) {
        const MORE: u64 = 1_000;
        simulate(next, MORE)?;
        next = next.saturating_add(MORE);
    }
    println!("\nsoaked for {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn simulate(first: u64, seeds: u64) -> anyhow::Result<()> {
    step(
        &format!("simulation of {seeds} seeds from {first}"),
        cargo()
            .args(["test", "--release", "-p", "bellwether-tsdb"])
            .args(["--test", "simulation", "--", "--nocapture"])
            .arg("random_lives_match_the_model")
            .env("RUST_BACKTRACE", "0")
            .env("BELLWETHER_TSDB_FIRST_SEED", first.to_string())
            .env("BELLWETHER_TSDB_SEEDS", seeds.to_string()),
    )
}

fn kill(kills: u64, servers: u64) -> anyhow::Result<()> {
    step(
        &format!("{kills} kill -9 of loaded servers"),
        cargo()
            .args(["test", "--release", "-p", "bellwether"])
            .args(["--test", "recovery"])
            .arg("nothing_acknowledged_is_missing_after_kill_9")
            .env("BELLWETHER_KILLS", kills.to_string())
            .env("BELLWETHER_KILL_SERVERS", servers.to_string()),
    )
}

fn change_files(cases: u64) -> anyhow::Result<()> {
    step(
        &format!("{cases} changes of every file"),
        cargo()
            .args(["test", "--release", "-p", "bellwether-tsdb", "--lib"])
            .arg("changed_files_never_panic")
            .env("BELLWETHER_FUZZ_CASES", cases.to_string()),
    )
}
