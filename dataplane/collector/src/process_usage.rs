//! CPU time and memory of this process, from `/proc`. Elsewhere than on Linux nothing is known.

use std::path::Path;

/// One reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time since start, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory in bytes.
    pub(crate) resident_bytes: u64,
}

/// Kernel constants on the supported Linux targets.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// Reads the current usage.
pub(crate) fn read() -> Option<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Usage {
        cpu_seconds: (number(11)? + number(12)?) as f64 / TICKS_PER_SECOND,
        resident_bytes: number(21)? * PAGE_BYTES,
    })
}

/// Memory that this process may use, in bytes: the machine's, or less when a control group (a
/// container, a service unit) limits it.
pub(crate) fn total_memory() -> Option<u64> {
    let machine = machine_memory()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = group_limit(Path::new("/sys/fs/cgroup"), &groups);
    Some(limit.map_or(machine, |limit| limit.min(machine)))
}

fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The smallest limit on the way from the groups of this process up to the root (cgroups(7)).
/// `groups` is the text of `/proc/self/cgroup`: `0::/path` for version 2, `4:memory:/path` for 1.
fn group_limit(mount: &Path, groups: &str) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let (root, file) = if id == "0" && controllers.is_empty() {
                (mount.to_path_buf(), "memory.max")
            } else if controllers.split(',').any(|c| c == "memory") {
                (mount.join("memory"), "memory.limit_in_bytes")
            } else {
                return None;
            };
            let group = root.join(path.trim_start_matches('/'));
            // Inside a container the path may be the host's and not exist here: the root is then
            // the container's own group.
            group
                .ancestors()
                .take_while(|dir| dir.starts_with(&root))
                .filter_map(|dir| std::fs::read_to_string(dir.join(file)).ok())
                // "max" is no limit.
                .filter_map(|text| text.trim().parse().ok())
                .min()
        })
        .min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_group_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path();
        assert_eq!(group_limit(mount, "0::/a/b\n"), None, "no files");
        write(&mount.join("a/b/memory.max"), "max\n");
        assert_eq!(group_limit(mount, "0::/a/b\n"), None, "no limit");
        write(&mount.join("a/memory.max"), "2000\n");
        write(&mount.join("a/b/memory.max"), "3000\n");
        assert_eq!(group_limit(mount, "0::/a/b\n"), Some(2000), "of the parent");
        assert_eq!(group_limit(mount, "0::/\n"), None);
        // In a container the root is the own group, whatever the path says.
        write(&mount.join("memory.max"), "1000\n");
        assert_eq!(group_limit(mount, "0::/of/the/host\n"), Some(1000));
    }

    #[test]
    fn version_1_has_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path();
        write(&mount.join("memory/c/memory.limit_in_bytes"), "512\n");
        let groups = "5:cpu,cpuacct:/c\n4:memory:/c\n";
        assert_eq!(group_limit(mount, groups), Some(512));
        assert_eq!(group_limit(mount, "garbage\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_measured() {
        let usage = read().unwrap();
        let total = total_memory().unwrap();
        assert!(usage.resident_bytes > 0 && usage.resident_bytes < total);
    }
}
