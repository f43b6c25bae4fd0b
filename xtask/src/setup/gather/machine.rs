//! The machine itself: system, memory, disk, user, emulation.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::outside::ask::{ask, words};
use crate::outside::interrupt::Interrupt;
use crate::setup::facts::{Disk, Emulation, Os, UserFacts};
use crate::setup::probe;
use crate::setup::tools::on_path;

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// The operating system.
pub fn system(interrupt: &Interrupt) -> Os {
    let kind = std::env::consts::OS.to_owned();
    if kind != "linux" {
        let version = words("uname", &["-sr"], interrupt);
        return Os {
            name: version.stdout.trim().to_owned(),
            kind,
            ..Os::default()
        };
    }
    let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"));
    let mut os = release(&text.unwrap_or_default());
    if let Some(kernel) = read("/proc/sys/kernel/osrelease") {
        os.name = format!("{}, kernel {}", os.name, kernel.trim());
    }
    os
}

/// Reads the text of an os-release(5).
fn release(text: &str) -> Os {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|rest| rest.strip_prefix('='));
        value
            .unwrap_or_default()
            .trim()
            .trim_matches(['"', '\''])
            .to_owned()
    };
    let name = value("PRETTY_NAME");
    Os {
        kind: "linux".into(),
        id: value("ID"),
        like: value("ID_LIKE")
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        version: value("VERSION_ID"),
        name: if name.is_empty() {
            "Linux".into()
        } else {
            name
        },
    }
}

/// Memory in bytes.
pub fn memory(interrupt: &Interrupt) -> Option<u64> {
    if let Some(text) = read("/proc/meminfo") {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        return Some(kib << 10);
    }
    let said = words("sysctl", &["-n", "hw.memsize"], interrupt);
    said.stdout.trim().parse().ok()
}

/// The disk with the least free space among those of `folders`. For a folder that does not exist,
/// the nearest one above it counts.
pub fn disk(folders: &[Utf8PathBuf]) -> Option<Disk> {
    let room = |folder: &Utf8PathBuf| {
        let there = folder.ancestors().find(|folder| folder.exists())?;
        let stat = rustix::fs::statvfs(there.as_std_path()).ok()?;
        Some(Disk {
            folder: there.to_owned(),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    };
    folders.iter().filter_map(room).min_by_key(|disk| disk.free)
}

/// The user who runs this program.
pub fn user(interrupt: &Interrupt) -> UserFacts {
    UserFacts {
        is_root: rustix::process::geteuid().is_root(),
        name: words("id", &["-un"], interrupt).stdout.trim().to_owned(),
        has_sudo: on_path("sudo").is_some(),
    }
}

/// Whether control groups are mounted. Always true on other systems than Linux, which have none.
pub fn has_cgroups() -> bool {
    let kind = |line: &str| {
        line.split(' ')
            .nth(2)
            .is_some_and(|kind| kind.starts_with("cgroup"))
    };
    read("/proc/mounts").is_none_or(|mounts| mounts.lines().any(kind))
}

/// Whether the kernel's table of interpreters is mounted.
pub fn has_binfmt() -> bool {
    Utf8Path::new(BINFMT).join("status").exists()
}

/// What happens to programs of these architectures.
pub fn emulation(names: &[String], interrupt: &Interrupt) -> BTreeMap<String, Emulation> {
    let entries = interpreters();
    let try_one = |name: &String| (name.clone(), emulates(name, &entries, interrupt));
    names.iter().map(try_one).collect()
}

fn emulates(name: &str, entries: &[(String, String)], interrupt: &Interrupt) -> Emulation {
    // QEMU's names for the architectures of platforms.
    let qemu = match name {
        "arm64" => "qemu-aarch64",
        "amd64" => "qemu-x86_64",
        "386" => "qemu-i386",
        "arm" => "qemu-arm",
        other => &format!("qemu-{other}"),
    };
    let entry = entries.iter().find(|(entry, _)| entry == qemu);
    let ran = run_probe(name, interrupt);
    match (ran, entry) {
        // Only with the flag F does the kernel open the interpreter beforehand, so that it is found
        // inside a container's own root (kernel.org, binfmt-misc).
        (Ok(()), Some((_, text))) if !flags(text).contains('F') => Emulation::OutsideContainers,
        (Ok(()), _) => Emulation::Runs,
        (Err(why), Some(_)) => Emulation::Broken(why),
        (Err(_), None) => Emulation::Missing,
    }
}

fn flags(entry: &str) -> &str {
    entry
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap_or_default()
        .trim()
}

/// The enabled entries of the kernel's table: name and text.
fn interpreters() -> Vec<(String, String)> {
    let Ok(entries) = Utf8Path::new(BINFMT).read_dir_utf8() else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_owned(), read(entry.path().as_str())?)))
        .filter(|(_, text)| text.starts_with("enabled"))
        .collect()
}

fn run_probe(name: &str, interrupt: &Interrupt) -> Result<(), String> {
    let program = probe::program(name).ok_or("no probe for it is known")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("probe");
    std::fs::write(&file, program).map_err(|error| error.to_string())?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, executable).map_err(|error| error.to_string())?;
    let said = ask(Command::new(&file), interrupt);
    match said.status {
        Some(probe::STATUS) => Ok(()),
        Some(status) => Err(format!("it ended with {status}")),
        None => Err(said.why()),
    }
}

/// A small text file, if it can be read.
pub fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let os = release(
            "PRETTY_NAME=\"Linux Mint 22\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID='22'\n",
        );
        assert_eq!((os.id.as_str(), os.version.as_str()), ("linuxmint", "22"));
        assert_eq!(os.like, ["ubuntu", "debian"]);
        assert_eq!(release("").name, "Linux");
    }

    #[test]
    fn the_flags_of_an_interpreter_are_found() {
        assert_eq!(
            flags("enabled\ninterpreter /x\nflags: OCF\noffset 0\n"),
            "OCF"
        );
        assert_eq!(flags("enabled\n"), "");
    }
}
