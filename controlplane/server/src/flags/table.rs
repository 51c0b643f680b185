//! Flags of Prometheus that this build does not honour.

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

/// Names and defaults as Prometheus 3.5 has them.
const TABLE: &[Entry] = &[
    ignored(switch("auto-gomaxprocs", "true")),
    ignored(switch("auto-gomemlimit", "true")),
    ignored(value("auto-gomemlimit.ratio", "0.9")),
    switch("scrape.adjust-timestamps", "true"),
    value("scrape.discovery-reload-interval", "5s"),
    value("scrape.timestamp-tolerance", "2ms"),
    switch("storage.tsdb.allow-overlapping-compaction", "true"),
    value("storage.tsdb.delay-compact-file.path", ""),
    value("storage.tsdb.delayed-compaction.max-percent", "10"),
    value("storage.tsdb.head-chunks-write-queue-size", "0"),
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
                    tracing::info!(flag = entry.name, value = given, "flag has no effect here");
                }
                Policy::Refuse => {
                    return Err(FlagError::Unsupported {
                        flag: entry.name.to_owned(),
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
