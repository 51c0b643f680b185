//! Flags of Prometheus that this build does not honour, each with the reason.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::FlagError;

/// What happens with a value that is not the default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// It would silently do nothing that its user relies on: refuse.
    Refuse,
    /// About the Go runtime or about assets that exist only in Prometheus: harmless to ignore.
    Ignore,
}

#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    default: &'static str,
    /// A switch: `--name` and `--no-name`.
    switch: bool,
    policy: Policy,
}

const fn value(name: &'static str, default: &'static str) -> Entry {
    Entry {
        name,
        default,
        switch: false,
        policy: Policy::Refuse,
    }
}

const fn switch(name: &'static str, default: &'static str) -> Entry {
    Entry {
        name,
        default,
        switch: true,
        policy: Policy::Refuse,
    }
}

const fn ignored(entry: Entry) -> Entry {
    Entry {
        policy: Policy::Ignore,
        ..entry
    }
}

/// Names and defaults as Prometheus 3.14 has them, and those that 3.5 had.
const TABLE: &[Entry] = &[
    ignored(switch("auto-gomaxprocs", "true")),
    ignored(switch("auto-gomemlimit", "true")),
    ignored(value("auto-gomemlimit.ratio", "0.9")),
    ignored(value("auto-gomemlimit.refresh-interval", "0s")),
    switch("scrape.adjust-timestamps", "true"),
    value("scrape.discovery-reload-interval", "5s"),
    value("scrape.timestamp-tolerance", "2ms"),
    switch("storage.tsdb.allow-overlapping-compaction", "true"),
    value("storage.tsdb.delay-compact-file.path", ""),
    value("storage.tsdb.block-reload-interval", "1m"),
    ignored(value("storage.tsdb.delayed-compaction.max-percent", "10")),
    ignored(value("storage.tsdb.head-chunks-write-queue-size", "0")),
    value("storage.tsdb.max-block-chunk-segment-size", "0B"),
    switch("storage.tsdb.no-lockfile", "false"),
    value("storage.tsdb.samples-per-chunk", "120"),
    ignored(value("web.console.libraries", "console_libraries")),
    ignored(value("web.console.templates", "consoles")),
    ignored(value("web.local-assets", "")),
    ignored(value(
        "web.page-title",
        "Prometheus Time Series Collection and Processing Server",
    )),
    value("web.user-assets", ""),
];

/// Why a flag does nothing here, and what does it instead. Every entry of the table has its words.
const REASONS: &[(&str, &str)] = &[
    (
        "scrape.discovery-reload-interval",
        "targets are taken over as soon as they settle, after 5s at the latest",
    ),
    (
        "auto-gomaxprocs",
        "there is no Go runtime; the number of threads follows the container's limit",
    ),
    (
        "auto-gomemlimit",
        "there is no Go runtime and no garbage collector to limit",
    ),
    (
        "auto-gomemlimit.ratio",
        "there is no Go runtime and no garbage collector to limit",
    ),
    (
        "auto-gomemlimit.refresh-interval",
        "there is no Go runtime and no garbage collector to limit",
    ),
    (
        "scrape.adjust-timestamps",
        "timestamps of scrapes are always aligned to the schedule",
    ),
    (
        "scrape.timestamp-tolerance",
        "timestamps of scrapes are aligned within 2ms, as by default",
    ),
    (
        "storage.tsdb.allow-overlapping-compaction",
        "overlapping blocks are always merged",
    ),
    (
        "storage.tsdb.block-reload-interval",
        "new blocks are looked for once a minute",
    ),
    (
        "storage.tsdb.delay-compact-file.path",
        "compaction waits for nobody; keep level-1 blocks with equal --storage.tsdb.min-block-duration and --storage.tsdb.max-block-duration",
    ),
    (
        "storage.tsdb.delayed-compaction.max-percent",
        "it belongs to the feature delayed-compaction, which is off",
    ),
    (
        "storage.tsdb.head-chunks-write-queue-size",
        "head chunks are written without a queue",
    ),
    (
        "storage.tsdb.max-block-chunk-segment-size",
        "segments of chunks hold 512MB, as by default",
    ),
    (
        "storage.tsdb.no-lockfile",
        "two processes in one data directory would destroy it",
    ),
    (
        "storage.tsdb.samples-per-chunk",
        "chunks hold 120 samples, as by default",
    ),
    ("web.console.libraries", "there are no console templates"),
    ("web.console.templates", "there are no console templates"),
    ("web.local-assets", "the pages are part of the binary"),
    ("web.page-title", "the pages have their own titles"),
    (
        "web.user-assets",
        "files of users are not served; put a web server beside it",
    ),
];

fn reason(flag: &str) -> &'static str {
    let entry = REASONS.iter().find(|(name, _)| *name == flag);
    entry.map_or("", |(_, reason)| reason)
}

/// All flags of the table and why they are not honoured.
#[cfg(test)]
pub(super) fn reasons() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|entry| (entry.name, reason(entry.name)))
}

/// Values given for flags that this build does not honour.
#[derive(Clone, Debug, Default)]
pub struct OtherFlags(BTreeMap<&'static str, String>);

impl OtherFlags {
    /// Refuses a value that is not the default, unless ignoring it is harmless.
    pub(crate) fn check(&self) -> Result<(), FlagError> {
        for entry in TABLE {
            let Some(given) = self
                .0
                .get(entry.name)
                .filter(|given| *given != entry.default)
            else {
                continue;
            };
            match entry.policy {
                Policy::Ignore => {
                    let reason = reason(entry.name);
                    tracing::info!(
                        flag = entry.name,
                        value = given,
                        reason,
                        "flag has no effect"
                    );
                }
                Policy::Refuse => {
                    return Err(FlagError::Unsupported {
                        flag: entry.name.to_owned(),
                        reason: reason(entry.name),
                        default: entry.default.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Names and values, given or default.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        TABLE
            .iter()
            .map(|entry| {
                let value = self
                    .0
                    .get(entry.name)
                    .cloned()
                    .unwrap_or_else(|| entry.default.to_owned());
                (entry.name.to_owned(), value)
            })
            .collect()
    }
}

impl Args for OtherFlags {
    fn augment_args(mut command: Command) -> Command {
        for entry in TABLE {
            let arg = Arg::new(entry.name).long(entry.name).hide(true);
            if entry.switch {
                let no: &'static str = NEGATIONS
                    .iter()
                    .find(|n| n.strip_prefix("no-") == Some(entry.name))
                    .copied()
                    .unwrap_or("");
                command = command
                    .arg(arg.action(ArgAction::SetTrue).overrides_with(no))
                    .arg(
                        Arg::new(no)
                            .long(no)
                            .hide(true)
                            .action(ArgAction::SetTrue)
                            .overrides_with(entry.name),
                    );
            } else {
                command = command.arg(arg.value_name("VALUE").action(ArgAction::Set));
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Names of the negated switches; clap wants them static.
const NEGATIONS: &[&str] = &[
    "no-auto-gomaxprocs",
    "no-auto-gomemlimit",
    "no-scrape.adjust-timestamps",
    "no-storage.tsdb.allow-overlapping-compaction",
    "no-storage.tsdb.no-lockfile",
];

impl FromArgMatches for OtherFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = BTreeMap::new();
        for entry in TABLE {
            if entry.switch {
                if matches.get_flag(entry.name) {
                    given.insert(entry.name, "true".to_owned());
                } else if NEGATIONS
                    .iter()
                    .any(|n| n.strip_prefix("no-") == Some(entry.name) && matches.get_flag(n))
                {
                    given.insert(entry.name, "false".to_owned());
                }
            } else if let Some(value) = matches.get_one::<String>(entry.name) {
                given.insert(entry.name, value.clone());
            }
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
