//! `bellwether tool tsdb list`.

use bellwether_tsdb::{BlockInfo, ReadOnlyDb};
use clap::Args;

use super::DirArgs;
use crate::commands::print;
use crate::commands::tool::go_text;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print human readable values.
    #[arg(long, short = 'r')]
    human_readable: bool,
    #[command(flatten)]
    dir: DirArgs,
}

const TITLES: [&str; 8] = [
    "BLOCK ULID",
    "MIN TIME",
    "MAX TIME",
    "DURATION",
    "NUM SAMPLES",
    "NUM CHUNKS",
    "NUM SERIES",
    "SIZE",
];

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let db = ReadOnlyDb::open_blocks(&args.dir.dir)?;
    print(&table(&db.blocks(), true, args.human_readable));
    Ok(())
}

/// The table of blocks, with or without its titles.
pub(super) fn table(blocks: &[BlockInfo], titles: bool, human: bool) -> String {
    let mut rows = Vec::new();
    if titles {
        rows.push(TITLES.map(str::to_owned).to_vec());
    }
    rows.extend(blocks.iter().map(|b| row(b, human)));
    go_text::table(&rows)
}

fn row(block: &BlockInfo, human: bool) -> Vec<String> {
    let meta = &block.meta;
    let time = |t: i64| match human {
        true => go_text::time_utc(t),
        false => t.to_string(),
    };
    vec![
        meta.ulid.clone(),
        time(meta.min_time),
        time(meta.max_time),
        go_text::duration_ms(meta.max_time.saturating_sub(meta.min_time)),
        meta.stats.num_samples.to_string(),
        meta.stats.num_chunks.to_string(),
        meta.stats.num_series.to_string(),
        match human {
            true => go_text::bytes(block.size),
            false => block.size.to_string(),
        },
    ]
}
