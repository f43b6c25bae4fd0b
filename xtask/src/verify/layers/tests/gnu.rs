//! Archives of GNU tar and Python are read as GNU tar lists them.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::super::*;
use super::support::layer;

/// Asserts that GNU tar lists an archive as the reader does.
fn compare(archive: &Path, what: &str) -> std::sync::Arc<Layer> {
    let read = layer(&std::fs::read(archive).unwrap());
    let read = read.unwrap_or_else(|why| panic!("{what}: {why}"));
    let listed = run(Command::new("tar")
        .args(["--numeric-owner", "--quoting-style=literal", "-tvf"])
        .arg(archive));
    let mut rest = listed.as_slice();
    for entry in read.table.entries() {
        let (start, end) = listed_as(&entry);
        // Between start and end are a date, and widths that depend on the neighbours.
        let found = rest.windows(end.len()).position(|part| part == end);
        let head = found.map(|at| String::from_utf8_lossy(&rest[..at]).into_owned());
        let words = head.iter().flat_map(|head| head.split_whitespace());
        let words: Vec<&str> = words.take(3).collect();
        assert_eq!(words.join(" "), start, "{what}: {}", shown(entry.path));
        rest = &rest[found.unwrap() + end.len()..];
    }
    assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(rest));
    read
}

/// The start and the end of the line in GNU tar's list.
fn listed_as(entry: &Entry<'_>) -> (String, Vec<u8>) {
    let (kind, size, link): (char, String, Vec<u8>) = match entry.kind {
        MemberKind::File => ('-', entry.size.to_string(), Vec::new()),
        MemberKind::HardLink { target } => ('h', "0".into(), [b" link to ", target].concat()),
        MemberKind::Symlink { target } => ('l', "0".into(), [b" -> ", target].concat()),
        MemberKind::Folder => ('d', "0".into(), b"/".to_vec()),
        MemberKind::CharDevice { major, minor } => ('c', format!("{major},{minor}"), Vec::new()),
        MemberKind::BlockDevice { major, minor } => ('b', format!("{major},{minor}"), Vec::new()),
        MemberKind::Fifo => ('p', "0".into(), Vec::new()),
        MemberKind::Whiteout | MemberKind::Opaque => ('-', "0".into(), Vec::new()),
    };
    let mode: String = (0..9)
        .map(|bit| {
            let is_set = entry.mode & (0o400 >> bit) != 0;
            let special = [(2, 0o4000, 's'), (5, 0o2000, 's'), (8, 0o1000, 't')];
            match special
                .iter()
                .find(|(at, mask, _)| *at == bit && entry.mode & mask != 0)
            {
                Some((.., letter)) if is_set => *letter,
                Some((.., letter)) => letter.to_ascii_uppercase(),
                None if is_set => b"rwx"[bit % 3].into(),
                None => '-',
            }
        })
        .collect();
    let name = match entry.kind {
        MemberKind::Whiteout => {
            let at = entry
                .path
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |at| at + 1);
            [&entry.path[..at], b".wh.", &entry.path[at..]].concat()
        }
        MemberKind::Opaque => [entry.path, b"/.wh..wh..opq"].concat(),
        _ => entry.path.to_vec(),
    };
    let start = format!("{kind}{mode} {}/{} {size}", entry.uid, entry.gid);
    (start, [b" ", name.as_slice(), &link, b"\n"].concat())
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env("TZ", "UTC").output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {why}");
    output.stdout
}

fn has(program: &str, text: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(text))
}

/// Makes a tree with every kind of entry and returns the names at its top.
fn tree(root: &Path) -> Vec<String> {
    let file = |name: &str, content: &str, mode: u32| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file("d/plain", "text", 0o644);
    file("d/setuid", "x", 0o4755);
    file("d/setgid", "x", 0o2674);
    file("d/none", "", 0);
    file("d/.wh.gone", "", 0o644);
    file("opaque/.wh..wh..opq", "", 0o644);
    file("d/with space -> arrow", "x", 0o600);
    std::fs::write(
        root.join(std::ffi::OsStr::from_bytes(b"d/not\xffutf8")),
        "x",
    )
    .unwrap();
    std::fs::create_dir(root.join("sticky")).unwrap();
    std::fs::set_permissions(root.join("sticky"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("../plain", root.join("d/link")).unwrap();
    std::fs::hard_link(root.join("d/plain"), root.join("hard")).unwrap();
    run(Command::new("mkfifo").arg(root.join("fifo")));
    let device = |name: &str, kind: &str| {
        let path = root.join(name);
        let mut made = Command::new("mknod");
        let made = made.arg(path).args([kind, "7", "300"]).output();
        // Only root may make devices.
        made.is_ok_and(|made| made.status.success())
    };
    let mut names = vec!["d", "fifo", "hard", "opaque", "sticky"];
    if device("char", "c") && device("block", "b") {
        names.extend(["char", "block"]);
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Names and links that only some formats can hold.
fn long(root: &Path) -> [String; 4] {
    let part = "long-".repeat(30);
    let folder = format!("{part}/{part}");
    std::fs::create_dir_all(root.join(&folder)).unwrap();
    std::fs::write(root.join(&folder).join("file"), "long").unwrap();
    std::fs::write(root.join("new\nline"), "x").unwrap();
    symlink(format!("{folder}/file"), root.join("longlink")).unwrap();
    std::fs::hard_link(root.join(&folder).join("file"), root.join("longhard")).unwrap();
    [
        part,
        "new\nline".into(),
        "longlink".into(),
        "longhard".into(),
    ]
}

/// Files with holes: a few segments, more than a header holds, and none.
fn sparse(root: &Path) -> [String; 3] {
    for (name, step) in [("few", 8 << 20), ("many", 1 << 20)] {
        let file = std::fs::File::create(root.join(name)).unwrap();
        for at in (0..64_u64 << 20).step_by(step).skip(1) {
            file.write_all_at(b"data", at).unwrap();
        }
        file.set_len(64 << 20).unwrap();
    }
    let file = std::fs::File::create(root.join("holes")).unwrap();
    file.set_len(1 << 20).unwrap();
    ["few", "many", "holes"].map(str::to_owned)
}

#[test]
fn gnu_tar_lists_its_archives_as_they_are_read() {
    if !has("tar", "GNU tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    let plain = tree(&root);
    let more: Vec<String> = plain.iter().cloned().chain(long(&root)).collect();
    let all: Vec<String> = more.iter().cloned().chain(sparse(&root)).collect();
    let no_devices: Vec<String> = plain
        .iter()
        .filter(|name| !["char", "block", "fifo"].contains(&name.as_str()))
        .cloned()
        .collect();
    // The owners are too large for octal digits, and the time is negative.
    let owners = "--owner=o:3000000000 --group=g:4294967294 --mtime=@-7";
    let cases: [(&str, &[String]); 10] = [
        ("--format=v7", &no_devices),
        ("--format=ustar", &plain),
        ("--format=gnu", &more),
        ("--format=oldgnu", &more),
        ("--format=pax", &more),
        (&format!("--format=gnu {owners}"), &more),
        (&format!("--format=pax {owners}"), &more),
        ("--format=gnu --sparse", &all),
        ("--format=pax --sparse --sparse-version=0.0", &all),
        ("--format=pax --sparse --sparse-version=0.1", &all),
    ];
    let last = ("--format=pax --sparse --sparse-version=1.0", all.as_slice());
    for (arguments, names) in cases.into_iter().chain([last]) {
        let archive = folder.path().join("archive.tar");
        run(Command::new("tar")
            .args(arguments.split(' '))
            .args(["--sort=name", "-cf"])
            .arg(&archive)
            .arg("-C")
            .arg(&root)
            .args(names));
        let layer = compare(&archive, arguments);
        assert!(layer.table.len() > names.len());
        let is_odd = arguments.contains("mtime");
        for entry in layer.table.entries() {
            assert!(
                !is_odd
                    || (entry.uid, entry.gid, entry.mtime) == (3_000_000_000, 4_294_967_294, -7)
            );
            let path = root.join(std::ffi::OsStr::from_bytes(entry.path));
            if let Some(hash) = entry.hash {
                let content = std::fs::read(&path).unwrap();
                assert_eq!(
                    *hash,
                    *blake3::hash(&content).as_bytes(),
                    "{arguments}: {path:?}"
                );
            }
        }
        if arguments.contains("sparse") {
            let bytes = std::fs::metadata(&archive).unwrap().len();
            assert!(bytes < 2 << 20, "{arguments}: not sparse");
        }
    }
}

/// Python writes archives that GNU tar does not write: numbers in base 256 that would fit in octal,
/// and extended headers that contradict the plain header.
const PYTHON: &str = r#"
import io, sys, tarfile
formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
name = sys.argv[1]
with tarfile.open(sys.argv[2], "w", format=formats[name]) as archive:
    def add(path, kind=tarfile.REGTYPE, data=b"", **fields):
        info = tarfile.TarInfo(path)
        info.type, info.size = kind, len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(data))
    add("a", data=b"text", mode=0o4755, uid=1000, gid=1001)
    add("d", tarfile.DIRTYPE, mode=0o1777)
    add("d/l", tarfile.SYMTYPE, linkname="../../x", mode=0o777)
    add("d/h", tarfile.LNKTYPE, linkname="a")
    add("c", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    add("b", tarfile.BLKTYPE, devmajor=8, devminor=1)
    add("p", tarfile.FIFOTYPE)
    add("z" * 90 + "/" + "y" * 90, data=b"prefix")
    if name != "ustar":
        add("n" * 300 + "é", data=b"1")
        add("s", tarfile.SYMTYPE, linkname="t" * 300)
        add("h", tarfile.LNKTYPE, linkname="n" * 300 + "é")
        add("owner", uid=3000000000, gid=4000000000, mtime=-5)
    if name == "pax":
        add("x", pax_headers={"path": "renamed", "uid": "77", "comment": "a\nb"}, data=b"12")
"#;

#[test]
fn gnu_tar_lists_the_archives_of_python_as_they_are_read() {
    if !has("python3", "Python") || !has("tar", "GNU tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for format in ["ustar", "gnu", "pax"] {
        let archive = folder.path().join("archive.tar");
        run(Command::new("python3")
            .args(["-c", PYTHON, format])
            .arg(&archive));
        let layer = compare(&archive, format);
        let entries: BTreeMap<String, Entry<'_>> = layer
            .table
            .entries()
            .map(|entry| (shown(entry.path), entry))
            .collect();
        if format == "pax" {
            assert_eq!((entries["renamed"].uid, entries["renamed"].size), (77, 2));
        }
    }
}
