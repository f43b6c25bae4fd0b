//! How much memory a program needs, with all programs that it runs itself.
//!
//! Docker's command starts buildx, and Turborepo starts npm, a shell and docker: one process alone
//! would say little. At each look, the high-water marks of all processes that run at this moment are
//! added. The kernel keeps these marks, so a peak between two looks counts as well. A page that
//! several processes share counts in each. The engine is none of these processes.
//!
//! The resource usage of an ended child would not do: it begins with what this process had when it
//! forked, and it knows only the largest process below.

use std::fs;
use std::time::Duration;

/// How long the process is left alone between two looks.
const LOOK: Duration = Duration::from_micros(500);

/// The most memory of a running child and everything below it, in bytes. Returns when the child has
/// ended, which must not have been reaped yet.
pub fn peak(child: u32) -> u64 {
    let mut peak = 0;
    // The status of a process that has ended says nothing of memory.
    while let Some(own) = high_water_of(child) {
        peak = peak.max(own + below(child));
        std::thread::sleep(LOOK);
    }
    peak
}

/// The memory of everything that a process has started and that still runs.
fn below(process: u32) -> u64 {
    let children = children(process);
    let each = children
        .into_iter()
        .map(|child| high_water_of(child).unwrap_or_default() + below(child));
    each.sum()
}

/// The running children of all threads of a process.
fn children(process: u32) -> Vec<u32> {
    // A process that has ended meanwhile has no threads and no children.
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let ids = list.split_whitespace().map(str::parse);
            ids.flatten().collect::<Vec<u32>>()
        })
        .collect()
}

fn high_water_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    high_water(&status)
}

/// `VmHWM` of a process's status, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\txtask\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\n";
        assert_eq!(high_water(status), Some(2 << 20));
        assert_eq!(high_water("Name:\txtask\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn the_processes_below_a_process_count_as_well() {
        // A shell that waits for another one, which waits for its stdin.
        let mut shell = Command::new("sh");
        shell.args(["-c", "sh -c 'echo ready; read line; echo'; echo end"]);
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 6];
        shell
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        assert_eq!(&said, b"ready\n");
        assert_eq!(children(shell.id()).len(), 1);
        assert!(below(shell.id()) > 0);
        assert!(high_water_of(shell.id()) > Some(0));
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        // It returns when the shell has ended, which may be at once.
        peak(shell.id());
        assert!(shell.wait().unwrap().success());
        assert_eq!(below(shell.id()), 0);
    }
}
