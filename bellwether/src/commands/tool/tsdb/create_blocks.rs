//! `bellwether tool tsdb create-blocks-from`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bellwether_model::duration;
use bellwether_server::tools::backfill::{BackfillOptions, backfill};
use bellwether_tsdb::BlockInfo;
use clap::{Args, Subcommand};

use super::{DEFAULT_DIR, create_from_rules, list};
use crate::commands::print;

#[derive(Debug, Args)]
pub(crate) struct CreateBlocksArgs {
    /// Print human readable values.
    #[arg(long, short = 'r', global = true)]
    human_readable: bool,
    /// Do not print created blocks.
    #[arg(long, short = 'q', global = true)]
    quiet: bool,
    /// Label to attach to every series, once per label.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, global = true)]
    labels: Vec<(String, String)>,
    /// Longest time that a block may span: two hours times a power of three is used, at least two hours.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, global = true)]
    max_block_duration: Option<Duration>,
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Import OpenMetrics text in which every sample has a timestamp.
    Openmetrics {
        /// OpenMetrics file to read samples from.
        #[arg(value_name = "INPUT FILE")]
        input: PathBuf,
        /// Output directory for the blocks.
        #[arg(value_name = "OUTPUT DIRECTORY", default_value = DEFAULT_DIR)]
        output: PathBuf,
    },
    /// Make the blocks that recording rules would have made; alerting rules are left out.
    Rules(create_from_rules::RulesArgs),
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("use name=value".to_owned()),
    }
}

pub(super) async fn run(args: &CreateBlocksArgs) -> anyhow::Result<()> {
    let mut titles = true;
    let created = |block: &BlockInfo| {
        if !args.quiet {
            let block = std::slice::from_ref(block);
            print(&list::table(block, titles, args.human_readable));
            titles = false;
        }
    };
    let max_block_duration = args.max_block_duration.unwrap_or_default();
    match &args.source {
        Source::Openmetrics { input, output } => {
            let text =
                std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
            std::fs::create_dir_all(output)
                .with_context(|| format!("cannot create {}", output.display()))?;
            let options = BackfillOptions {
                max_block_duration,
                labels: args.labels.clone(),
            };
            backfill(&text, output, &options, created).with_context(|| input.display().to_string())
        }
        Source::Rules(rules) => create_from_rules::run(rules, max_block_duration, created).await,
    }
}
