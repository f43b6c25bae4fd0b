//! Made-up layers, counted to the byte.

use super::{ImageSize, Maker, SizeChange, Summary, Told, Weight, comparison, text};
use crate::verify::finding::Origin;
use crate::verify::layers::View;
use crate::verify::layers::made::{Tar, image};

use super::waste::How;

fn makers(number: usize) -> Vec<Maker> {
    let maker = |line| Maker {
        from: if line == 0 { Origin::Base } else { Origin::Own },
        line: (line > 0).then_some(line),
        instruction: format!("RUN step {line}"),
    };
    (0..number).map(maker).collect()
}

fn size(layers: &[Tar]) -> ImageSize {
    let tars: Vec<Vec<u8>> = layers.iter().cloned().map(Tar::end).collect();
    let image = image(&tars);
    let view = View::of(&image.layers);
    ImageSize::of(&image, &view, &makers(tars.len()))
}

fn summary(layers: &[Tar]) -> Summary {
    let tars: Vec<Vec<u8>> = layers.iter().cloned().map(Tar::end).collect();
    let image = image(&tars);
    Summary::of(&image, &View::of(&image.layers), &makers(tars.len()))
}

fn bytes(number: usize, letter: u8) -> Vec<u8> {
    vec![letter; number]
}

/// Folders as `path bytes files`.
fn folders(size: &ImageSize) -> Vec<String> {
    let folders = size.folders.iter();
    folders
        .map(|folder| {
            let Weight { bytes, files } = folder.weight;
            format!("{} {bytes} {files}", folder.path)
        })
        .collect()
}

#[test]
fn a_layer_counts_its_archive_and_its_files() {
    let size = size(&[
        Tar::default().file("a", bytes(700, b'a')).folder("d"),
        Tar::default().file("d/b", bytes(5, b'b')),
    ]);
    // A header, two blocks of content, a header, and two blocks at the end.
    assert_eq!((size.layers[0].plain, size.layers[0].stored), (3072, 3072));
    let files = |number: usize| size.layers[number].files;
    assert_eq!(
        files(0),
        Weight {
            bytes: 700,
            files: 1
        }
    );
    assert_eq!(files(1), Weight { bytes: 5, files: 1 });
    assert_eq!(size.plain, 3072 + 2048);
    assert_eq!(
        size.visible,
        Weight {
            bytes: 705,
            files: 2
        }
    );
    assert_eq!(folders(&size), [" 705 2", "d 5 1"]);
    assert_eq!(size.files[0].path, "a");
    assert_eq!(size.compression(), "none");
    assert_eq!((size.shadowed, size.duplicated), (0, 0));
}

#[test]
fn a_hard_link_counts_once_at_its_first_name() {
    let size = size(&[Tar::default()
        .file("b/file", bytes(100, b'x'))
        .hard_link("a/link", "b/file")]);
    assert_eq!(
        size.visible,
        Weight {
            bytes: 100,
            files: 1
        }
    );
    assert_eq!(folders(&size), [" 100 1", "a 100 1"]);
    assert!(size.duplicates.is_empty(), "{:?}", size.duplicates);
}

#[test]
fn of_copies_in_several_layers_all_but_the_last_are_for_nothing() {
    let layer = |letter| Tar::default().file("d/f", bytes(1000, letter));
    let size = size(&[layer(b'a'), layer(b'a'), layer(b'b')]);
    assert_eq!(size.visible.bytes, 1000);
    assert_eq!(size.shadowed, 2000);
    let told: Vec<_> = size
        .overwritten
        .iter()
        .map(|one| (one.layer, one.by, one.how, one.bytes))
        .collect();
    assert_eq!(
        told,
        [
            (0, 1, How::SameContent, 1000),
            (1, 2, How::Overwritten, 1000)
        ]
    );
    let layers: Vec<u64> = size.layers.iter().map(|layer| layer.shadowed).collect();
    assert_eq!(layers, [1000, 1000, 0]);
}

#[test]
fn what_a_later_layer_deletes_is_for_nothing_unless_another_name_is_left() {
    let size = size(&[
        Tar::default()
            .file("d/gone", bytes(300, b'g'))
            .file("d/sub/also", bytes(40, b'h'))
            .file("e/kept", bytes(50, b'k'))
            .hard_link("e/second", "e/kept"),
        Tar::default().file(".wh.d", "").file("e/.wh.kept", ""),
    ]);
    assert_eq!(size.shadowed, 340);
    assert_eq!(
        size.visible,
        Weight {
            bytes: 50,
            files: 1
        }
    );
    let shadow = &size.shadows[0];
    assert_eq!(size.shadows.len(), 1);
    assert_eq!(
        (shadow.how, shadow.weight.files, shadow.folder.as_str()),
        (How::Deleted, 2, "d")
    );
}

#[test]
fn the_folder_of_what_is_hidden_is_the_one_that_all_of_it_lies_in() {
    let both = |letter| {
        Tar::default()
            .file("usr/lib/a/x", bytes(10, letter))
            .file("usr/library/y", bytes(10, letter))
    };
    let size = size(&[both(b'1'), both(b'2')]);
    assert_eq!(size.shadows[0].folder, "usr");
}

#[test]
fn equal_contents_at_several_paths_are_stored_twice() {
    let size = size(&[
        Tar::default()
            .file("a", bytes(500, b's'))
            .file("b", bytes(500, b's'))
            .file("empty", "")
            .file("also-empty", ""),
        Tar::default().file("c", bytes(500, b's')),
    ]);
    assert_eq!((size.duplicates.len(), size.duplicated), (1, 1000));
    let same = &size.duplicates[0];
    assert_eq!((same.copies, same.wasted, same.bytes), (3, 1000, 500));
    assert_eq!(same.paths, ["a", "b", "c"]);
    assert_eq!(size.shadowed, 0);
}

#[test]
fn every_kind_of_file_that_could_be_left_out_is_counted_once() {
    let size = size(&[Tar::default()
        .file("var/lib/apt/lists/x", bytes(10, b'1'))
        .file("home/u/.cache/pip/y.pyc", bytes(20, b'2'))
        .file("usr/lib/python3/z.pyc", bytes(40, b'3'))
        .file("usr/bin/x86_64-linux-gnu-gcc-12", bytes(80, b'4'))
        .hard_link("usr/bin/gcc", "usr/bin/x86_64-linux-gnu-gcc-12")
        .file("usr/include/stdio.h", bytes(160, b'5'))
        .file("usr/share/doc/x/copyright", bytes(320, b'6'))
        .file("usr/share/locale/de/x.mo", bytes(640, b'7'))
        // Another name keeps the content in the image.
        .file("usr/share/man/shared", bytes(1280, b'8'))
        .hard_link("app/help", "usr/share/man/shared")
        // None of these is of a kind.
        .file("usr/bin/accent", bytes(1, b'9'))
        .file("app/cache/doc/man.txt", bytes(2, b'a'))
        .file("app/bin/make-believe", bytes(4, b'b'))]);
    let told: Vec<(&str, u64, usize)> = size
        .groups
        .iter()
        .map(|group| (group.name, group.weight.bytes, group.weight.files))
        .collect();
    assert_eq!(
        told,
        [
            ("caches", 30, 2),
            ("bytecode", 40, 1),
            ("build tools", 240, 2),
            ("documentation", 320, 1),
            ("locales", 640, 1),
        ]
    );
    assert_eq!(size.groups[2].layers, [(0, 240)]);
}

#[test]
fn what_is_hidden_does_not_count_as_something_to_leave_out() {
    let size = size(&[
        Tar::default().file("tmp/x", bytes(10, b'1')),
        Tar::default().file("tmp/.wh.x", ""),
    ]);
    assert!(size.groups.is_empty(), "{:?}", size.groups);
    assert_eq!(size.shadowed, 10);
}

fn changes(before: &Summary, after: &Summary) -> Vec<String> {
    let changes = before.to(after);
    let line = |change: &SizeChange| format!("{} {}", change.path, change.delta());
    changes.iter().map(line).collect()
}

#[test]
fn what_changed_is_told_folder_by_folder() {
    let before = summary(&[Tar::default()
        .file("a/same", bytes(10, b'1'))
        .file("b/less", bytes(500, b'2'))
        .file("c/gone", bytes(40, b'3'))]);
    let after = summary(&[Tar::default()
        .file("a/same", bytes(10, b'1'))
        .file("b/less", bytes(300, b'2'))
        .file("d/e/new", bytes(7, b'4'))]);
    let told = changes(&before, &after);
    assert_eq!(told, [" -233", "b -200", "c -40", "d 7", "d/e 7"]);
    assert!(changes(&before, &before).is_empty());
}

#[test]
fn what_is_kept_has_its_layers_and_the_folders_that_say_most() {
    let kept = summary(&[
        Tar::default().file("a/b/c/x", bytes(9000, b'x')),
        Tar::default()
            .file("a/b/y", bytes(500, b'y'))
            .file("d/z", bytes(700, b'z')),
    ]);
    let layers: Vec<(u64, &str)> = kept
        .layers()
        .iter()
        .map(|layer| (layer.plain, layer.instruction.as_str()))
        .collect();
    assert_eq!(
        layers.iter().map(|layer| layer.0).sum::<u64>(),
        kept.plain()
    );
    assert_eq!((layers.len(), layers[1].1), (2, "RUN step 1"));
    // `a` and `a/b` hold little but `a/b/c`.
    let heaviest: Vec<(&str, u64)> = kept
        .heaviest(5)
        .iter()
        .map(|(path, weight)| (*path, weight.bytes))
        .collect();
    assert_eq!(heaviest, [("a/b/c", 9000), ("d", 700)]);
    assert_eq!(kept.heaviest(1).len(), 1);
}

#[test]
fn of_very_many_folders_small_ones_are_left_out_and_no_change_is_made_up() {
    let many = |heavy: usize, light: usize| {
        // Only the first image lists `edge`, whose size is the same in both.
        let mut tar = Tar::default()
            .file("heavy/x", bytes(heavy, b'h'))
            .file("edge/x", bytes(60, b'e'));
        for number in 0..600 {
            tar = tar.file(&format!("light/{number}/x"), bytes(light, b'l'));
        }
        summary(&[tar])
    };
    let (before, after) = (many(100_000, 10), many(130_000, 12));
    assert_eq!(
        changes(&before, &after),
        [" 31200", "heavy 30000", "light 1200"]
    );
}

#[test]
fn the_text_names_layers_by_their_lines_and_says_what_is_for_nothing() {
    let size = size(&[
        Tar::default().file("a/f", bytes(2000, b'a')),
        Tar::default().file("a/f", bytes(2000, b'b')),
    ]);
    let told = Told {
        stage: "api",
        dockerfile: "api/Dockerfile",
        size: &size,
        against: None,
    };
    let text = text(&told);
    for line in [
        "api, linux/amd64: 7.1 kB in 2 layers (the engine keeps them unpacked: what a registry keeps is smaller); a container sees 2.0 kB of files",
        "    3.5 kB             0 base  RUN step 0",
        "    3.5 kB             1 api/Dockerfile:1  RUN step 1",
        "    2.0 kB  /a, 1 file",
        "    2.0 kB  /a/f, layer 1",
        "Downloaded for nothing, as a later layer hides it: 2.0 kB:",
        "    2.0 kB  layer 1 overwrites 1 file of layer 0 in /a",
        "No content is stored twice.",
        "No image of this stage was verified before, to compare it with.",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
}

#[test]
fn images_beside_each_other_are_compared_with_what_they_stand_on() {
    let (plain, slim) = (
        size(&[Tar::default().file("f", bytes(20_000, b'a'))]),
        size(&[Tar::default().file("f", bytes(4000, b'a'))]),
    );
    let told = |stage, size, against| Told {
        stage,
        dockerfile: "Dockerfile",
        size,
        against,
    };
    let text = comparison(&[
        told("api", &plain, None),
        told("api-slim", &slim, Some("api")),
        told("web", &slim, None),
    ]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[2].starts_with("api-slim"), "{text}");
    assert!(lines[2].ends_with("  26 % of api"), "{text}");
    assert!(!lines[3].contains('%'), "{text}");
}
