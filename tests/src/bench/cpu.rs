//! CPU time from the scheduler's nanosecond counters.

use std::{fs, path::Path};

/// Nanoseconds of CPU that all threads of a process have used, those that ended not counted
/// (`/proc/PID/task/*/schedstat`, first field; kernel documentation, `sched-stats`).
#[must_use]
pub fn nanos_of(pid: u32) -> u64 {
    sum(Path::new(&format!("/proc/{pid}/task")))
}

/// As [`nanos_of`], of this process.
#[must_use]
pub fn own_nanos() -> u64 {
    sum(Path::new("/proc/self/task"))
}

fn sum(tasks: &Path) -> u64 {
    let Ok(tasks) = fs::read_dir(tasks) else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// A line of `/proc/PID/status` in KiB, such as `VmHWM` (peak resident set) or `VmRSS`.
#[must_use]
pub fn status_kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_on_the_counters() {
        let before = own_nanos();
        let mut sum = 0_u64;
        for i in 0..20_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
        }
        assert!(own_nanos() > before + 1_000_000, "{sum}");
        assert_eq!(nanos_of(u32::MAX), 0);
        assert!(status_kib(std::process::id(), "VmHWM").unwrap() > 100);
    }
}
