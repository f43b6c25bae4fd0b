//! One entry of a layer.

use serde::{Deserialize, Serialize};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind<'a> {
    /// A file.
    File,
    /// Another name of a file.
    HardLink {
        /// The path of that file in the image, cleaned.
        target: &'a [u8],
    },
    /// A symlink.
    Symlink {
        /// Its text, as it is.
        target: &'a [u8],
    },
    /// A folder.
    Folder,
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The path is deleted (`.wh.NAME`); `Entry::path` is what is deleted.
    Whiteout,
    /// What lower layers have in the folder is deleted (`.wh..wh..opq`); `Entry::path` is the
    /// folder.
    Opaque,
}

/// An entry as a view into its layer's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path inside the image, without a leading `/`; the root's is empty.
    pub path: &'a [u8],
    /// What it is.
    pub kind: MemberKind<'a>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// A file's size, holes included; 0 for all other kinds.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// blake3 of a file's content. `None` for all other kinds, and before the content was read.
    pub hash: Option<&'a [u8; 32]>,
    /// What a file's first bytes say. `None` when they say nothing that is known here.
    pub head: Option<&'a Head>,
}

impl Entry<'_> {
    /// Whether it is a file with content of its own.
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, MemberKind::File)
    }

    /// Whether it is a folder.
    pub const fn is_folder(&self) -> bool {
        matches!(self.kind, MemberKind::Folder)
    }
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// An ELF program or library.
    Elf {
        /// Whether it is of 64 bits; else of 32.
        is_64: bool,
        /// Whether it is little-endian.
        is_little: bool,
        /// `e_machine`: 62 for amd64, 183 for arm64.
        machine: u16,
        /// The program that loads it.
        interpreter: Interpreter,
    },
    /// A script.
    Script {
        /// The program that `#!` names.
        interpreter: Vec<u8>,
    },
}

/// Who loads an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpreter {
    /// Nobody: a static program or a library.
    None,
    /// The program at this path.
    Path(Vec<u8>),
    /// A program that is named behind the bytes that are looked at.
    BeyondHead,
}
