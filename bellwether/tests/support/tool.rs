//! `bellwether tool` and promtool, run alike.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::BINARY;

/// Runs a program in a folder, as the texts name files as they were given.
pub fn run(program: &Path, args: &[&str], dir: &Path, input: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read has its reasons.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// `bellwether tool`.
pub fn ours(args: &[&str], dir: &Path, input: &str) -> Output {
    let args: Vec<&str> = ["tool"].iter().chain(args).copied().collect();
    run(Path::new(BINARY), &args, dir, input)
}

/// Output as a text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
