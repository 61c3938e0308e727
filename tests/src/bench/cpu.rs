//! CPU time from the scheduler's nanosecond counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Nanoseconds of a clock tick as `/proc/PID/stat` counts (`USER_HZ`, 100 on every architecture that matters here).
const TICK: u64 = 10_000_000;

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

/// As [`nanos_of`], of a process and all below it. Those below that ended and were collected count as their parent's clock
/// ticks tell (`proc(5)`, `cutime` and `cstime`): of little weight where few end, as with a database's own workers.
#[must_use]
pub fn nanos_of_tree(pid: u32) -> u64 {
    let parents = parents();
    let mut tree = BTreeSet::from([pid]);
    loop {
        let below = parents.iter().filter(|(_, (parent, _))| tree.contains(parent)).map(|(pid, _)| *pid);
        let more: Vec<u32> = below.filter(|pid| !tree.contains(pid)).collect();
        if more.is_empty() {
            break;
        }
        tree.extend(more);
    }
    let collected = |pid: &u32| parents.get(pid).map_or(0, |(_, ticks)| ticks * TICK);
    tree.iter().map(|pid| nanos_of(*pid) + collected(pid)).sum()
}

/// Each process's parent, and the ticks of its children that ended.
fn parents() -> BTreeMap<u32, (u32, u64)> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let entry = |name: String| {
        let pid: u32 = name.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything; what follows it does not.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some((pid, (fields.get(1)?.parse().ok()?, number(13)? + number(14)?)))
    };
    processes.flatten().filter_map(|process| entry(process.file_name().into_string().ok()?)).collect()
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

    #[test]
    fn work_of_children_is_seen_while_they_live_and_after() {
        let own = std::process::id();
        let before = nanos_of_tree(own);
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read line";
        let mut child = std::process::Command::new("sh")
            .args(["-c", busy])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while nanos_of_tree(child.id()) < 50_000_000 {
            assert!(std::time::Instant::now() < deadline, "the child does no work");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(nanos_of_tree(own) >= before + 50_000_000);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(nanos_of_tree(own) >= before + 40_000_000, "it does not count once it has ended");
    }
}
