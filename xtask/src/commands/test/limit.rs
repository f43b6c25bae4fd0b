//! Limits how long a step of the suite may take.

use std::process::Child;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Ends a group of processes that takes too long. A test that waits for ever is a failure, and the
/// runner has named it by then. Dropping this waits until the leader of the group has ended.
pub(super) struct Limit {
    group: Pid,
    ended: Option<mpsc::Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

impl Limit {
    /// Limits a child, which must lead a group of its own and must not be reaped while the limit
    /// lives.
    pub(super) fn of(child: &Child, limit: Duration) -> Self {
        let (ended, ends) = mpsc::channel();
        let group = Pid::from_child(child);
        let watch = std::thread::spawn(move || {
            if ends.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                crate::tell!(
                    "still running after {} minutes: ended",
                    limit.as_secs() / 60
                );
                // The group may have ended at this moment.
                let _ = kill_process_group(group, Signal::KILL);
            }
        });
        Self {
            group,
            ended: Some(ended),
            watch: Some(watch),
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // The limit lasts until the child ends. Until the child is reaped, its process id stays its
        // own.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = waitid(WaitId::Pid(self.group), ended);
        self.ended = None;
        let _ = self.watch.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_step_that_waits_for_ever_is_ended_with_all_that_it_started() {
        use std::io::Read as _;
        use std::os::unix::process::CommandExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "mkfifo fifo; cat fifo"])
            .process_group(0)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let limit = Limit::of(&child, Duration::from_millis(50));
        // The pipe ends when no process of the group has it open.
        let mut all = String::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_string(&mut all).unwrap();
        drop(limit);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_step_that_ends_in_time_is_left_alone() {
        use std::os::unix::process::CommandExt as _;
        let mut child = Command::new("true").process_group(0).spawn().unwrap();
        let limit = Limit::of(&child, Duration::from_secs(3600));
        drop(limit);
        assert!(child.wait().unwrap().success());
    }
}
