//! Rules of the house that no compiler checks: which crate may depend on which, file sizes, forbidden words.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell::{cargo, root};

/// A file that grows beyond this wants to be a folder. Tests and generated code may be longer.
const LINES_MAX: usize = 650;

pub(crate) fn check() -> anyhow::Result<()> {
    println!("\n=== layout rules");
    let mut problems = Vec::new();
    layering(&mut problems)?;
    files(&mut problems)?;
    for problem in &problems {
        println!("{problem}");
    }
    println!(
        "=== layout rules: {}",
        if problems.is_empty() { "ok" } else { "FAILED" }
    );
    if problems.is_empty() {
        Ok(())
    } else {
        bail!("{} layout rules are broken", problems.len())
    }
}

/// Which plane a crate's folder belongs to; a crate may depend on its own plane and on `common` only.
fn plane(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

fn layering(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let root = root();
    let mut folders = BTreeMap::new();
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    for package in packages {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let folder = Path::new(manifest)
            .parent()
            .and_then(|p| p.strip_prefix(&root).ok())
            .context("package outside the repository")?;
        folders.insert(
            package["name"].as_str().unwrap_or_default(),
            folder.to_string_lossy().into_owned(),
        );
    }
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let from = &folders[name];
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let to_name = dependency["name"].as_str().unwrap_or_default();
            let Some(to) = folders.get(to_name) else {
                continue;
            };
            let allowed = match plane(from) {
                "bellwether" => true,
                "common" => plane(to) == "common",
                own => plane(to) == "common" || plane(to) == own,
            };
            if !allowed && !is_dev {
                problems.push(format!(
                    "{name} ({from}) must not depend on {to_name} ({to})"
                ));
            }
            if name == "bellwether-promql" && to_name == "bellwether-tsdb" && !is_dev {
                problems
                    .push("promql knows storage by the model's traits only, never tsdb".to_owned());
            }
            if name == "bellwether-model" && !is_dev {
                problems.push(format!(
                    "model depends on nothing of ours, but on {to_name}"
                ));
            }
        }
    }
    Ok(())
}

fn files(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-z"])
        .output()
        .context("git ls-files")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in listed.split('\0').filter(|n| !n.is_empty()) {
        let Ok(text) = fs::read_to_string(root().join(name)) else {
            continue;
        };
        let is_source = [".rs", ".ts", ".tsx"].iter().any(|e| name.ends_with(e));
        let is_test = name.contains("/tests/")
            || name.ends_with("tests.rs")
            || name.contains(".test.")
            || name.contains("/e2e/");
        if is_source && !is_test && text.lines().count() > LINES_MAX {
            problems.push(format!(
                "{name}: {} lines; a file holds one idea and rarely passes 500",
                text.lines().count()
            ));
        }
        if name.ends_with("package-lock.json") && text.contains("\"resolved\"") {
            problems.push(format!(
                "{name}: registry addresses; set omit-lockfile-registry-resolved"
            ));
        }
        if is_source && (name.ends_with("/utils.rs") || name.ends_with("/utils.ts")) {
            problems.push(format!("{name}: name the file after what it holds"));
        }
    }
    Ok(())
}
