//! Which block devices are files that lie elsewhere, by the kernel's tree of devices (sysfs).
//!
//! At its next mount, such a device may hold other files, made to the same recipe, with the same
//! numbers and times.

use std::path::Path;

/// Whether a device is a file on this or another machine (loop and network block devices), or a
/// partition or a mapping of such a device.
#[cfg(target_os = "linux")]
pub fn is_file_elsewhere(major: u32, minor: u32) -> bool {
    is_in(Path::new("/sys/dev/block"), major, minor)
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub fn is_file_elsewhere(_: u32, _: u32) -> bool {
    false
}

/// As `is_file_elsewhere`, with the tree's folder of devices by number.
#[cfg(any(target_os = "linux", test))]
fn is_in(by_number: &Path, major: u32, minor: u32) -> bool {
    /// The kernel's numbers for loop and network block devices, in case there is no tree.
    const NUMBERS: [u32; 2] = [7, 43];
    let device = by_number.join(format!("{major}:{minor}"));
    NUMBERS.contains(&major) || stands_on_one(&device, LEVELS)
}

/// How many mappings of mappings are followed. The kernel sets no bound for them.
#[cfg(any(target_os = "linux", test))]
const LEVELS: u32 = 16;

#[cfg(any(target_os = "linux", test))]
fn stands_on_one(device: &Path, levels: u32) -> bool {
    // A file system without a block device (tmpfs, Btrfs, overlays) is not there.
    let Ok(device) = device.canonicalize() else {
        return false;
    };
    // A partition lies in the folder of its disk.
    let mut names = device.iter().filter_map(|name| name.to_str());
    let is_one = |name: &str| {
        ["loop", "nbd"].iter().any(|kind| {
            let number = name.strip_prefix(kind);
            number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    if names.any(is_one) || levels == 0 {
        return true;
    }
    let slaves = device.join("slaves").read_dir().into_iter().flatten();
    slaves
        .flatten()
        .any(|slave| stands_on_one(&slave.path(), levels - 1))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn partitions_and_mappings_of_a_file_are_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let by_number = folder.path().join("dev/block");
        let devices = folder.path().join("devices");
        fs::create_dir_all(&by_number).unwrap();
        let device = |number: &str, path: &str, slaves: &[&str]| {
            let path = devices.join(path);
            fs::create_dir_all(path.join("slaves")).unwrap();
            for slave in slaves {
                let name = Path::new(slave).file_name().unwrap();
                symlink(devices.join(slave), path.join("slaves").join(name)).unwrap();
            }
            symlink(path, by_number.join(number)).unwrap();
        };
        device("8:0", "pci0/ata1/block/sda", &[]);
        device("8:1", "pci0/ata1/block/sda/sda1", &[]);
        device("259:0", "virtual/block/loop3/loop3p1", &[]);
        device("43:32", "virtual/block/nbd1", &[]);
        device("253:0", "virtual/block/dm-0", &["pci0/ata1/block/sda/sda1"]);
        device("253:1", "virtual/block/dm-1", &["virtual/block/loop3"]);
        device(
            "253:2",
            "virtual/block/dm-2",
            &["virtual/block/dm-0", "virtual/block/dm-1"],
        );
        let is_one = |major, minor| is_in(&by_number, major, minor);
        for disk in [(8, 0), (8, 1), (253, 0), (0, 40)] {
            assert!(!is_one(disk.0, disk.1), "{disk:?}");
        }
        for file in [(259, 0), (43, 32), (253, 1), (253, 2), (7, 99)] {
            assert!(is_one(file.0, file.1), "{file:?}");
        }
    }
}
