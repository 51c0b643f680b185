//! What the kernel says of a process.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// Clock ticks in a second, as `/proc` counts them on every Linux of today (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// A started program; dropping it kills it.
pub(crate) struct Process(Child);

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, mapped files included.
    pub(crate) resident: f64,
    /// The largest `resident` so far.
    pub(crate) peak: f64,
    /// Resident without mapped files.
    pub(crate) anonymous: f64,
    /// Resident, shared pages divided by their users.
    pub(crate) proportional: f64,
}

impl Process {
    /// Starts a program with its output in a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file =
            fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Seconds of CPU so far, user and system, all threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The name in parentheses may hold blanks; utime and stime are the 12th and 13th field after it.
        let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat")?;
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|t| t.parse::<f64>().unwrap_or(0.0))
            .sum();
        Ok(ticks / TICKS)
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        Ok(Memory {
            resident: kilobytes(&status, "VmRSS:")?,
            peak: kilobytes(&status, "VmHWM:")?,
            anonymous: kilobytes(&status, "RssAnon:")?,
            proportional: kilobytes(&rollup, "Pss:")?,
        })
    }

    /// Ends it as an operator would (SIGTERM) and waits for it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.0.wait()?;
        Ok(())
    }

    /// Resident bytes without mapped files; cheap enough to be asked a thousand times a second.
    pub(crate) fn anonymous(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        kilobytes(&status, "RssAnon:")
    }

    /// Ends it as a crash would (SIGKILL).
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kilobytes(text: &str, name: &str) -> anyhow::Result<f64> {
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("/proc has no {name}"))?;
    Ok(number.parse::<f64>()? * 1024.0)
}
