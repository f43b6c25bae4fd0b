//! What a file system's times are worth.
//!
//! On some kinds of file systems the kernel alone sets the change time of a file, and it gives a
//! folder a new one whenever a name comes or goes. Network and FUSE file systems need not do so,
//! and an image that is mounted read-only (squashfs) may have the times of another.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use crate::outside::state;
use crate::unpoisoned::Unpoisoned as _;

/// Whether equal times prove that nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// They prove nothing.
    Nothing,
    /// They prove it.
    Proof,
    /// They prove it within one mount. An overlay's folder has the times of its uppermost layer,
    /// its files those of whichever layer they are from, and the next mount may lie over other
    /// layers. A file that is mounted as a device may be another file at the next mount, made to
    /// the same recipe.
    ProofInMount,
}

/// What the times of each device seen so far are worth.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<HashMap<u64, Worth>>);

impl Devices {
    /// What the times on a device are worth. `path` is an entry on that device.
    pub(super) fn worth(&self, device: u64, path: impl FnOnce() -> Box<Path>) -> Worth {
        let mut known = self.0.lock().unpoisoned();
        *known
            .entry(device)
            .or_insert_with(|| worth(device, &path()))
    }
}

#[cfg(target_os = "linux")]
pub(super) fn worth(device: u64, path: &Path) -> Worth {
    /// The magic numbers of ext2 to ext4, XFS, Btrfs, F2FS, tmpfs, ZFS and bcachefs (statfs(2)).
    const KNOWN: [u64; 7] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0xf2f5_2010,
        0x0102_1994,
        0x2fc1_2fc1,
        0xca45_1a4e,
    ];
    use rustix::fs::{CWD, Mode, OFlags, major, minor};
    // With these flags the call does not follow a link, which may lead elsewhere, or wait for a
    // pipe.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(CWD, path, flags, Mode::empty()).and_then(rustix::fs::fstatfs);
    let Ok(found) = found else {
        return Worth::Nothing;
    };
    match found.f_type.cast_unsigned() & 0xffff_ffff {
        state::OVERLAY => Worth::ProofInMount,
        known if !KNOWN.contains(&known) => Worth::Nothing,
        _ if state::is_file_elsewhere(major(device), minor(device)) => Worth::ProofInMount,
        _ => Worth::Proof,
    }
}

/// Nothing is known of other systems.
#[cfg(not(target_os = "linux"))]
pub(super) fn worth(_: u64, _: &Path) -> Worth {
    Worth::Nothing
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn times_of_file_systems_that_are_not_known_prove_nothing() {
        assert_eq!(worth(0, Path::new("/proc")), Worth::Nothing);
        assert_ne!(worth(0, &std::env::temp_dir()), Worth::Nothing);
    }

    #[test]
    fn times_on_a_loop_device_prove_something_in_one_mount_only() {
        let on_a_loop_device = rustix::fs::makedev(7, 3);
        assert_eq!(
            worth(on_a_loop_device, &std::env::temp_dir()),
            Worth::ProofInMount
        );
        assert_eq!(worth(on_a_loop_device, Path::new("/proc")), Worth::Nothing);
    }
}
