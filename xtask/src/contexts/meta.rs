//! The metadata of one file, as far as it tells a changed file from an unchanged one.

use rustix::fs::{FileType, Stat};

/// Equal metadata means equal content, unless the file is racy: it was written within the last tick
/// of the clock. `statcache` takes care of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// In bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// Nanoseconds since 1970. Nobody can set it back.
    pub changed: i64,
    /// Its number on the device.
    pub inode: u64,
    /// The device's number.
    pub device: u64,
    /// Kind and permission bits.
    pub mode: u32,
}

/// Stands for a time that 64 bits of nanoseconds cannot tell. It lies in the future of every clock,
/// so that nothing with this time is ever trusted.
const BEYOND: i64 = i64::MAX;

impl Meta {
    pub fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            device: stat.st_dev,
            mode: stat.st_mode,
        }
    }

    /// How many bytes `put` writes.
    pub const BYTES: usize = 5 * 8 + 4;

    /// Writes it as bytes.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        let times = [self.modified.cast_unsigned(), self.changed.cast_unsigned()];
        for long in [self.size, times[0], times[1], self.inode, self.device] {
            bytes.extend_from_slice(&long.to_le_bytes());
        }
        bytes.extend_from_slice(&self.mode.to_le_bytes());
    }

    /// Reads what `put` wrote.
    pub fn get(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Self {
            size: long(0)?,
            modified: long(8)?.cast_signed(),
            changed: long(16)?.cast_signed(),
            inode: long(24)?,
            device: long(32)?,
            mode: u32::from_le_bytes(bytes.get(40..44)?.try_into().ok()?),
        })
    }

    /// The bits that tell a file from a folder or a link.
    pub fn kind(&self) -> u32 {
        FileType::from_raw_mode(self.mode).as_raw_mode()
    }

    /// Permission bits with setuid, setgid and sticky.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    let whole = seconds.checked_mul(1_000_000_000);
    whole
        .and_then(|whole| whole.checked_add_unsigned(rest))
        .unwrap_or(BEYOND)
}
