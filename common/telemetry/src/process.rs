//! The standard `process_*` metrics of Prometheus' client libraries, read from `/proc` on Linux.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::registry::Registry;

/// Clock ticks per second that `/proc/self/stat` counts in; 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

/// Registers `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
/// `process_open_fds` and `process_start_time_seconds`. Where `/proc` is missing only the start time is set.
pub fn register(registry: &Registry) {
    let start = registry.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        &[],
    );
    start.set(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |d| d.as_secs_f64()),
    );
    if fs::metadata("/proc/self/stat").is_err() {
        return;
    }
    let cpu = registry.counter(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        &[],
    );
    let resident = registry.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        &[],
    );
    let virtual_memory = registry.gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        &[],
    );
    let fds = registry.gauge("process_open_fds", "Number of open file descriptors.", &[]);
    registry.on_collect(move || {
        if let Some(stat) = read_stat() {
            cpu.set_total(stat.cpu_seconds);
            resident.set(stat.resident_bytes);
            virtual_memory.set(stat.virtual_bytes);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            fds.set(entries.count() as f64);
        }
    });
}

struct Stat {
    cpu_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
}

fn read_stat() -> Option<Stat> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The command name may hold spaces and parentheses: fields count from the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        cpu_seconds: (number(11)? + number(12)?) / TICKS_PER_SECOND,
        virtual_bytes: number(20)?,
        resident_bytes: number(21)? * PAGE_BYTES,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn memory_is_plausible() {
        let registry = crate::Registry::new();
        super::register(&registry);
        let text = registry.render_text();
        let line = text
            .lines()
            .find(|l| l.starts_with("process_resident_memory_bytes "))
            .unwrap_or_default();
        let bytes: f64 = line
            .rsplit(' ')
            .next()
            .and_then(|v| v.parse().ok())
            .unwrap_or_default();
        assert!(bytes > 100_000.0, "{line}");
    }
}
