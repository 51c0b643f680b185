//! Builds the dashboard's web files and writes the table that the crate embeds.
//!
//! The web build runs only when a source changed: a stamp in `OUT_DIR` holds a hash of every input, so a fresh
//! target directory builds once and everything after that is a hash of some hundred small files. Nothing is
//! written outside `OUT_DIR`, except the untracked `node_modules` and lock file of this package.
//!
//! Without Node, or when the packages cannot be fetched, the crate still builds: it embeds a page that says what
//! to do, and the build prints a warning.

#![allow(clippy::print_stdout)]

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files and folders, relative to this package, that the web build reads.
const INPUTS: &[&str] = &[
    "src",
    "public",
    "scripts",
    "index.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "vite.config.ts",
    "tsconfig.json",
];

/// The oldest Node that the tool chain supports.
const NODE_MINIMUM: (u32, u32) = (20, 19);

/// Copy of the lock file that `node_modules` was filled from, written after `npm ci` succeeded.
const INSTALLED: &str = "node_modules/.bellwether-package-lock.json";

fn main() {
    let package =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BELLWETHER_SKIP_DASHBOARD");
    for input in INPUTS {
        if package.join(input).exists() {
            println!("cargo:rerun-if-changed={input}");
        }
    }

    let result = if env::var_os("BELLWETHER_SKIP_DASHBOARD")
        .is_some_and(|v| !v.is_empty() && v != "0")
    {
        Err(
            "the build was told to leave the dashboard out (BELLWETHER_SKIP_DASHBOARD is set)"
                .to_owned(),
        )
    } else {
        let built = build_web(&package, &out);
        if let Err(reason) = &built {
            println!("cargo:warning=dashboard not built: {reason}");
            println!(
                "cargo:warning=the binary works, but its pages only say how to get the dashboard: \
                 install Node {}.{} or newer, then run cargo build again",
                NODE_MINIMUM.0, NODE_MINIMUM.1
            );
            // A path that never exists makes cargo run this script again next time.
            println!("cargo:rerun-if-changed={}", out.join("try-again").display());
        }
        built
    };
    let table = match result {
        Ok(dist) => table_of(&dist),
        Err(reason) => {
            let page = out.join("fallback.html");
            write_if_changed(&page, &fallback_page(&reason));
            format!(
                "/// Whether the web build ran.\npub(crate) const BUILT: bool = false;\n\
                 pub(crate) const INDEX: &str = include_str!({page:?});\n\
                 pub(crate) static FILES: &[Asset] = &[];\n"
            )
        }
    };
    write_if_changed(&out.join("assets.rs"), &table);
}

/// Runs `npm ci` and the web build when an input changed; answers the folder of the built files.
fn build_web(package: &Path, out: &Path) -> Result<PathBuf, String> {
    if !package.join("index.html").is_file() {
        return Err("the web sources are missing from this checkout".to_owned());
    }
    let dist = out.join("dist");
    let stamp = out.join("dist.stamp");
    let hash = hash_inputs(package);
    if fs::read_to_string(&stamp).is_ok_and(|s| s == hash) && dist.join("index.html").is_file() {
        return Ok(dist);
    }
    let node = node_version()?;
    if node < NODE_MINIMUM {
        return Err(format!(
            "Node {}.{} is too old, {}.{} or newer is needed",
            node.0, node.1, NODE_MINIMUM.0, NODE_MINIMUM.1
        ));
    }
    // Debug and release builds share `node_modules`; one at a time may change or use it.
    let lock = File::create(package.join(".build.lock"))
        .map_err(|e| format!("cannot create .build.lock: {e}"))?;
    lock.lock()
        .map_err(|e| format!("cannot lock .build.lock: {e}"))?;
    install_packages(package)?;
    let _ = fs::remove_file(&stamp);
    let web = || {
        let script = package.join("scripts/build.mjs");
        run(
            Command::new("node")
                .arg(script)
                .arg(&dist)
                .current_dir(package),
            "the web build",
        )
    };
    if let Err(first) = web() {
        // Somebody else's npm may have left `node_modules` half filled: fetch once more before giving up.
        if !first.contains("Cannot find") && !first.contains("ERR_MODULE_NOT_FOUND") {
            return Err(first);
        }
        let _ = fs::remove_file(package.join(INSTALLED));
        install_packages(package)?;
        web()?;
    }
    fs::write(&stamp, hash).map_err(|e| format!("cannot write {}: {e}", stamp.display()))?;
    Ok(dist)
}

/// `npm ci`, unless `node_modules` already holds exactly what the lock file says.
fn install_packages(package: &Path) -> Result<(), String> {
    let wanted = fs::read(package.join("package-lock.json"))
        .map_err(|e| format!("cannot read package-lock.json: {e}"))?;
    let mark = package.join(INSTALLED);
    if fs::read(&mark).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    run(
        Command::new(npm)
            .args(["ci", "--no-audit", "--no-fund", "--prefer-offline"])
            .current_dir(package),
        "npm ci (it needs the network once)",
    )?;
    fs::write(&mark, wanted).map_err(|e| format!("cannot write {}: {e}", mark.display()))
}

fn node_version() -> Result<(u32, u32), String> {
    let output = Command::new("node")
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .map_err(|_| "Node is not installed (no `node` on the PATH)".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(format!("`node --version` answered {:?}", text.trim())),
    }
}

/// Runs a command and turns a failure into one line with the last words of its output.
fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|e| format!("{what} could not start: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    // The line that names the error says more than the stack below it.
    let from = lines
        .iter()
        .position(|l| l.contains("rror"))
        .unwrap_or(lines.len().saturating_sub(4));
    let tail = lines[from..lines.len().min(from + 4)].join(" | ");
    Err(format!("{what} failed: {tail}"))
}

/// A hash of names and contents of every input of the web build. Rust sources live in the same folder and are left out.
fn hash_inputs(package: &Path) -> String {
    let mut files = Vec::new();
    for input in INPUTS {
        collect(&package.join(input), &mut files);
    }
    files.retain(|f| f.extension().is_none_or(|e| e != "rs"));
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(package)
            .unwrap_or(&file)
            .hash(&mut hasher);
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    } else if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            collect(&entry.path(), files);
        }
    }
}

/// The Rust source of the table of embedded files.
fn table_of(dist: &Path) -> String {
    let mut files = Vec::new();
    collect(dist, &mut files);
    files.sort();
    let mut table =
        String::from("/// Whether the web build ran.\npub(crate) const BUILT: bool = true;\n");
    let index = dist.join("index.html");
    let _ = writeln!(
        table,
        "pub(crate) const INDEX: &str = include_str!({index:?});"
    );
    table.push_str("pub(crate) static FILES: &[Asset] = &[\n");
    for file in &files {
        let name = file
            .strip_prefix(dist)
            .expect("collected below dist")
            .to_string_lossy()
            .replace('\\', "/");
        if name == "index.html" || name.ends_with(".gz") || name.ends_with(".br") {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        fs::read(file).unwrap_or_default().hash(&mut hasher);
        let (gzip, brotli) = (sibling(file, "gz"), sibling(file, "br"));
        // The plain bytes can be had from the gzip ones, so they are embedded only where nothing was compressed.
        let plain = if gzip.is_some() {
            "None".to_owned()
        } else {
            include(Some(file))
        };
        let _ = writeln!(
            table,
            "    Asset {{ path: {name:?}, etag: \"{:016x}\", plain: {plain}, gzip: {}, brotli: {} }},",
            hasher.finish(),
            include(gzip.as_deref()),
            include(brotli.as_deref()),
        );
    }
    table.push_str("];\n");
    table
}

fn sibling(file: &Path, extension: &str) -> Option<PathBuf> {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    Some(PathBuf::from(name)).filter(|p| p.is_file())
}

fn include(file: Option<&Path>) -> String {
    file.map_or_else(
        || "None".to_owned(),
        |f| format!("Some(include_bytes!({f:?}))"),
    )
}

/// Keeps the time stamp of an unchanged file, so that cargo does not compile the crate again.
fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::write(path, text).expect("OUT_DIR is writable");
}

fn fallback_page(reason: &str) -> String {
    let reason = reason
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    include_str!("scripts/fallback.html").replace("__REASON__", &reason)
}
