//! `bellwether init`: the stack file and the configurations, for editing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::cli::InitArgs;
use crate::stack::generate::RULES_FILE;
use crate::stack::{DEFAULT_COLLECTOR, DEFAULT_PROMETHEUS, DEFAULT_RULES, DEFAULT_STACK};

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("cannot create {}", args.dir.display()))?;
    let files = [
        ("bellwether.yml", DEFAULT_STACK.to_owned()),
        ("collector.yml", DEFAULT_COLLECTOR.to_owned()),
        ("prometheus.yml", DEFAULT_PROMETHEUS.to_owned()),
        (RULES_FILE, DEFAULT_RULES.to_owned()),
    ];
    if !args.force
        && let Some((name, _)) = files.iter().find(|(name, _)| args.dir.join(name).exists())
    {
        bail!(
            "{} exists; use --force to overwrite it",
            args.dir.join(name).display()
        );
    }
    for (name, text) in &files {
        write(&args.dir.join(name), text, args.force)?;
    }
    super::print(&format!(
        "wrote bellwether.yml, collector.yml, prometheus.yml and its rules.yml to {dir}\n\
         edit them, then: bellwether up --stack {stack}\n\
         collector.yml and prometheus.yml are used where the stack file names them\n",
        dir = args.dir.display(),
        stack = args.dir.join("bellwether.yml").display(),
    ));
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(|error| {
        let hint = if error.kind() == ErrorKind::AlreadyExists {
            "; use --force to overwrite it"
        } else {
            ""
        };
        anyhow::anyhow!("cannot write {}: {error}{hint}", path.display())
    })?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
