//! `cargo xtask test`.

use anyhow::bail;
use clap::Args;

use crate::shell::{cargo, exists, program, step};
use crate::tidy;

/// Built into the tools folder when it is not on the machine.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only the quick checks: formatting, layout rules, lints.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<()> {
    step("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    tidy::check()?;
    if !exists("node") || !exists("npm") {
        bail!("node and npm are missing: the dashboard needs Node 20.19 or newer");
    }
    let dashboard = "controlplane/dashboard";
    step(
        "dashboard packages",
        program("npm", dashboard).args(["ci", "--no-audit", "--no-fund"]),
    )?;
    step(
        "lints",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    if args.quick {
        return Ok(());
    }
    licences()?;
    step(
        "TypeScript checks and tests",
        program("npm", dashboard).args(["run", "check"]),
    )?;
    step(
        "Rust tests",
        cargo().args(["test", "--workspace", "--no-fail-fast"]),
    )?;
    println!("\nall green");
    Ok(())
}

fn licences() -> anyhow::Result<()> {
    if !cargo()
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        step(
            "installing cargo-deny",
            cargo().args(["install", "--locked", "--no-default-features", CARGO_DENY]),
        )?;
    }
    step(
        "licences, bans, sources",
        cargo().args([
            "deny",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]),
    )
}
