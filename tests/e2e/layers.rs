//! The program reads the images of engines just as the engines unpack them.

use std::collections::BTreeMap;
use std::process::Command;

use camino::Utf8Path;
use xtask::outside::engine::Engine;
use xtask::verify::layers::{
    Compression, Digest, FoundImages, LayeredImage, Limits, MemberKind, PlatformPart, Reading, View,
};

use super::{Project, docker, host, hosts, unique, with_base};

fn reading() -> Reading<'static> {
    Reading {
        limits: Limits::default(),
        rules: &mut [],
        known: &|_| None,
    }
}

fn read(host: &str, names: &[String]) -> Vec<FoundImages> {
    let found = reading().engine(&Engine::at(host), names).unwrap();
    let faults: Vec<String> = found
        .iter()
        .flat_map(FoundImages::faults)
        .map(ToString::to_string)
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    found
}

fn only(found: &FoundImages) -> LayeredImage {
    assert_eq!(found.parts.len(), 1, "{found:?}");
    found.images().next().unwrap().clone()
}

/// The file system of the layers, as lines of GNU tar without dates. Hard links count as files.
fn seen(image: &LayeredImage) -> BTreeMap<String, String> {
    let view = View::of(&image.layers);
    let line = |(path, node): (&[u8], &xtask::verify::layers::Node)| {
        let entry = view.entry(node.place);
        let content = node.content.map(|place| view.entry(place));
        let (kind, size, link) = match (entry.kind, content) {
            (_, Some(file)) => ('-', file.size.to_string(), String::new()),
            (MemberKind::Symlink { target }, _) => ('l', "0".to_owned(), text(target)),
            (MemberKind::Folder, _) => ('d', "0".to_owned(), String::new()),
            (MemberKind::CharDevice { major, minor }, _) => {
                ('c', format!("{major},{minor}"), String::new())
            }
            (MemberKind::BlockDevice { major, minor }, _) => {
                ('b', format!("{major},{minor}"), String::new())
            }
            (MemberKind::Fifo, _) => ('p', "0".to_owned(), String::new()),
            (kind, _) => panic!("{kind:?} at {}", text(path)),
        };
        let mode = content.map_or(entry.mode, |file| file.mode);
        (
            text(path),
            format!("{kind} {mode:o} {}/{} {size} {link}", entry.uid, entry.gid),
        )
    };
    view.nodes()
        .map(line)
        .filter(|(path, _)| is_of_image(path))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a path of an exported container belongs to the image, not to the engine.
fn is_of_image(path: &str) -> bool {
    let engines = ["dev", "proc", "sys", "etc", ".dockerenv", ""];
    !engines.contains(&path.split('/').next().unwrap())
}

/// The file system of a container, as GNU tar lists it, in the same form.
fn exported(host: &str, image: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("container.tar");
    let container = docker(host, &["create", image, "/none"]);
    docker(
        host,
        &["export", "-o", archive.to_str().unwrap(), &container],
    );
    docker(host, &["rm", &container]);
    let output = Command::new("tar")
        .args(["--numeric-owner", "--quoting-style=literal", "-tvf"])
        .arg(&archive)
        .output()
        .unwrap();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.split_whitespace();
        let [mode, owner, size] = [(); 3].map(|()| words.next().unwrap());
        let rest: Vec<&str> = words.skip(2).collect();
        let rest = rest.join(" ");
        let (path, link) = rest.split_once(" -> ").unwrap_or((&rest, ""));
        let (path, same) = path.split_once(" link to ").unwrap_or((path, ""));
        let path = path.trim_end_matches('/').to_owned();
        let told = match all.get(same) {
            Some(file) if !same.is_empty() => file.clone(),
            _ => format!("{} {:o} {owner} {size} {link}", &mode[..1], bits(mode)),
        };
        all.insert(path, told);
    }
    all.retain(|path, _| is_of_image(path));
    all
}

/// `-rwsr-xr-x` as a number.
fn bits(mode: &str) -> u32 {
    let bit = |(at, letter): (usize, char)| {
        let special = 0o4000 >> (at / 3);
        match letter {
            's' | 't' => 0o400 >> at | special,
            'S' | 'T' => special,
            '-' => 0,
            _ => 0o400 >> at,
        }
    };
    mode[1..10].chars().enumerate().map(bit).sum()
}

const DOCKERFILE: &str = r"
FROM base
RUN mkdir -p /d/sub /o && echo a > /d/a && echo b > /d/sub/b && echo o > /o/old && mkfifo /p && ln -s d/a /l
RUN chmod 4755 /d/a && ln /d/sub/b /hard && mkdir -m 1777 /t && chown 1001:1002 /t
RUN rm -r /d/sub /o && mkdir /o && echo n > /o/new
RUN rm /l && mkdir /l && echo x > /l/x && echo more >> /d/a
USER 1001
LABEL a=b
";

#[test]
fn an_image_is_read_as_its_container_has_it_with_both_stores() {
    for host in hosts() {
        let project = with_base(Project::new()).file("a/Dockerfile", DOCKERFILE);
        let (base, name, other) = (unique("base"), unique("a"), unique("b"));
        let build = |folder: &str, name: &str, context: &[&str]| {
            let path = project.path(folder);
            let mut all = vec!["buildx", "build", "-q", "-t", name];
            all.extend(context);
            all.push(path.to_str().unwrap());
            docker(&host, &all);
        };
        build("base", &base, &[]);
        let context = format!("base=docker-image://{base}");
        build("a", &name, &["--build-context", &context]);
        build(
            "a",
            &other,
            &["--build-context", &context, "--label", "c=d"],
        );
        let found = read(&host, &[name.clone(), other]);
        let images: Vec<LayeredImage> = found.iter().map(only).collect();
        assert_eq!(seen(&images[0]), exported(&host, &name), "{host}");
        // Layers that images share are read once.
        for (one, other) in images[0].layers.iter().zip(&images[1].layers) {
            assert!(std::sync::Arc::ptr_eq(one, other));
        }
        let facts = &images[0].facts;
        assert_eq!(
            (facts.user.as_str(), facts.labels["a"].as_str()),
            ("1001", "b")
        );
        let steps: Vec<_> = (0..images[0].layers.len())
            .map(|layer| images[0].instruction(layer).unwrap().created_by.clone())
            .collect();
        assert!(
            steps[0].contains("COPY busybox") && steps[4].contains("rm -r /d/sub"),
            "{steps:?}"
        );
        let view = View::of(&images[0].layers);
        // With one of the stores, the hard link copies the file up one layer earlier.
        assert_eq!(view.past(b"d/sub/b").last().unwrap().by, 4);
        assert!(view.shadowed()[2] > 0 && view.get(b"hard").unwrap().content.is_some());
    }
}

/// A script that makes an archive with GNU tar, with all forms that Go's reader must understand.
const ARCHIVE: &str = r#"
set -e
mkdir -p tree/d && cd tree
long=$(printf 'long-%.0s' $(seq 30))
mkdir -p "$long/$long" && echo long > "$long/$long/file" && ln "$long/$long/file" hard
ln -s "$long/$long/file" link && mkfifo p && mknod c c 7 300 && mknod b b 7 300
echo x > d/setuid && chmod 4711 d/setuid && mkdir -m 1777 t
truncate -s 3M d/sparse && for at in 1 2; do printf data | dd of=d/sparse bs=1 seek=${at}000000 conv=notrunc 2>/dev/null; done
owner="--owner=o:2000000000 --group=g:2100000000"
tar --format=pax --sparse --sparse-version=$1 $owner --pax-option="globexthdr.name=g,comment=x" -cf ../archive.tar *
"#;

#[test]
fn an_archive_is_read_as_go_reads_it() {
    let host = host();
    for version in ["0.0", "0.1", "1.0"] {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("sh")
            .args(["-c", ARCHIVE, "sh", version])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let name = unique("imported");
        let archive = folder.path().join("archive.tar");
        docker(&host, &["import", archive.to_str().unwrap(), &name]);
        let image = only(&read(&host, std::slice::from_ref(&name))[0]);
        let go = exported(&host, &name);
        assert_eq!(seen(&image), go, "{version}");
        assert_eq!(go["d/sparse"], "- 644 2000000000/2100000000 3145728 ");
        // The engine may have repacked the archive. This reads the archive itself.
        let bytes = std::fs::read(&archive).unwrap();
        let itself = layout(&folder, &bytes);
        assert_eq!(seen(&itself), go, "{version}");
    }
}

/// An image whose only layer is this archive.
fn layout(folder: &tempfile::TempDir, layer: &[u8]) -> LayeredImage {
    let blobs = folder.path().join("layout/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest.to_string()
    };
    let id = put(layer);
    let config = put(format!("{{\"rootfs\":{{\"diff_ids\":[\"{id}\"]}}}}").as_bytes());
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let manifest = put(format!(
        "{{\"config\":{{\"digest\":\"{config}\"}},\"layers\":[{{\"mediaType\":\"{kind}\",\"digest\":\"{id}\"}}]}}"
    ).as_bytes());
    let index = format!("{{\"manifests\":[{{\"digest\":\"{manifest}\"}}]}}");
    std::fs::write(folder.path().join("layout/index.json"), index).unwrap();
    let path = folder.path().join("layout");
    only(&reading().folder(Utf8Path::from_path(&path).unwrap(), &[])[0])
}

#[test]
fn layouts_of_two_platforms_are_read_with_every_compression() {
    let host = host();
    let project = Project::new().file("a/Dockerfile", "FROM scratch\nCOPY x /x\nCOPY y /y\n");
    project.write("a/x", "x".repeat(100_000));
    project.write("a/y", "y");
    let context = project.path("a");
    let build = |output: &str| {
        let platforms = "linux/amd64,linux/arm64";
        let context = context.to_str().unwrap();
        docker(
            &host,
            &[
                "buildx",
                "build",
                "-q",
                "--platform",
                platforms,
                "--output",
                output,
                context,
            ],
        );
    };
    for (compression, expected) in [
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("uncompressed", Compression::None),
    ] {
        let (folder, archive, name) = (
            project.path(compression),
            project.path("archive"),
            unique("a"),
        );
        let options = format!("compression={compression},force-compression=true");
        build(&format!(
            "type=oci,tar=false,dest={},{options}",
            folder.display()
        ));
        build(&format!("type=oci,dest={},{options}", archive.display()));
        build(&format!("type=image,name={name},{options}"));
        let from_folder = reading().folder(Utf8Path::from_path(&folder).unwrap(), &[]);
        let file = std::io::BufReader::new(std::fs::File::open(&archive).unwrap());
        let from_archive = reading().archive(file, &[]);
        let from_engine = read(&host, &[name]);
        for found in [&from_folder[0], &from_archive[0], &from_engine[0]] {
            let platforms: Vec<String> =
                found.images().map(|image| image.facts.platform()).collect();
            assert_eq!(platforms, ["linux/amd64", "linux/arm64"], "{found:?}");
            for image in found.images() {
                assert_eq!(image.layers.len(), 2);
                assert!(
                    image
                        .layers
                        .iter()
                        .all(|layer| layer.compression == expected)
                );
                assert_eq!(image.listed_platform, Some(image.facts.platform()));
                assert_eq!(seen(image).keys().collect::<Vec<_>>(), ["x", "y"]);
            }
        }
        // A layer that stays on another server.
        let image = from_folder[0].images().next().unwrap();
        let blob = folder
            .join("blobs/sha256")
            .join(image.layers[0].digest.hex());
        std::fs::remove_file(blob).unwrap();
        let found = reading().folder(Utf8Path::from_path(&folder).unwrap(), &[]);
        let faults = found[0]
            .parts
            .iter()
            .filter(|part| matches!(part, PlatformPart::Unread(_)));
        assert_eq!(faults.count(), 2, "both platforms need it");
    }
}
