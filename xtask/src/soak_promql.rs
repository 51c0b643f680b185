//! The part of `cargo xtask soak` about PromQL.

use clap::Args;

use crate::shell::{cargo, step};

#[derive(Args)]
pub(crate) struct PromqlArgs {
    /// Random expressions that are compared with a real Prometheus; 0 leaves this part out.
    #[arg(long, default_value_t = 10_000)]
    promql_expressions: u64,
    /// The seed of the first expression and of the series that they are about.
    #[arg(long, default_value_t = 1)]
    promql_seed: u64,
}

pub(crate) fn run(args: &PromqlArgs) -> anyhow::Result<()> {
    if args.promql_expressions == 0 {
        return Ok(());
    }
    step(
        &format!(
            "{} expressions from {} next to Prometheus",
            args.promql_expressions, args.promql_seed
        ),
        cargo()
            .args(["test", "--release", "-p", "bellwether-promql"])
            .args(["--test", "differential", "--", "--nocapture"])
            .arg("random_expressions")
            .env("BELLWETHER_REQUIRE_PEERS", "1")
            .env("BELLWETHER_PROMQL_DATA_SEED", args.promql_seed.to_string())
            .env("BELLWETHER_PROMQL_FIRST_SEED", args.promql_seed.to_string())
            .env(
                "BELLWETHER_PROMQL_EXPRESSIONS",
                args.promql_expressions.to_string(),
            ),
    )
}
