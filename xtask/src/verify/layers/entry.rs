//! One entry of a layer.

use serde::{Deserialize, Serialize};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind<'a> {
    /// A file.
    File,
    /// Another name of a file.
    HardLink {
        /// The file's path in the image, cleaned.
        target: &'a [u8],
    },
    /// A symlink.
    Symlink {
        /// The link's text, unchanged.
        target: &'a [u8],
    },
    /// A folder.
    Folder,
    /// A character device.
    CharDevice {
        /// The device's major number.
        major: u32,
        /// The device's minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The device's major number.
        major: u32,
        /// The device's minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A deletion of a path (`.wh.NAME`). `Entry::path` is the deleted path.
    Whiteout,
    /// A deletion of everything that lower layers have in a folder (`.wh..wh..opq`). `Entry::path`
    /// is the folder.
    Opaque,
}

/// An entry as a view into its layer's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path inside the image, without a leading `/`. The root's path is empty.
    pub path: &'a [u8],
    /// The kind of the entry.
    pub kind: MemberKind<'a>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size of a file, holes included. 0 for all other kinds.
    pub size: u64,
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// The blake3 hash of a file's content. `None` for all other kinds, and before the content is
    /// read.
    pub hash: Option<&'a [u8; 32]>,
    /// What a file's first bytes show. `None` if they are neither ELF nor a script.
    pub head: Option<&'a Head>,
}

impl Entry<'_> {
    /// Whether the entry is a file with content of its own.
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, MemberKind::File)
    }

    /// Whether the entry is a folder.
    pub const fn is_folder(&self) -> bool {
        matches!(self.kind, MemberKind::Folder)
    }
}

/// What the first bytes of a file show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// An ELF program or library.
    Elf {
        /// Whether the file is of 64 bits. It is of 32 bits otherwise.
        is_64: bool,
        /// Whether the file is little-endian.
        is_little: bool,
        /// `e_machine`: 62 for amd64, 183 for arm64.
        machine: u16,
        /// The program that loads the file.
        interpreter: Interpreter,
    },
    /// A script.
    Script {
        /// The program that `#!` names.
        interpreter: Vec<u8>,
    },
}

/// The program that loads an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpreter {
    /// No program: the file is a static program or a library.
    None,
    /// The program at this path.
    Path(Vec<u8>),
    /// A program whose name stands beyond the bytes that are read.
    BeyondHead,
}
