use super::super::*;
use super::support::{Tar, image, line};

fn seen(image: &LayeredImage) -> Vec<String> {
    let view = View::of(&image.layers);
    view.nodes()
        .map(|(path, node)| {
            let entry = view.entry(node.place);
            let kind = line(&entry).chars().next().unwrap();
            format!("{kind} {} @{}", shown(path), node.place.layer)
        })
        .collect()
}

#[test]
fn whiteouts_hide_lower_layers_and_nothing_of_their_own() {
    let image = image(&[
        Tar::default()
            .folder("d")
            .file("d/a", "1")
            .file("d/b", "2")
            .file("e", "3")
            .file("f", "4")
            .end(),
        Tar::default()
            .file("d/new", "5")
            .file("d/.wh..wh..opq", "")
            .file(".wh.e", "")
            .file("f", "6")
            .file(".wh.f", "")
            .end(),
    ]);
    assert_eq!(seen(&image), ["d d @0", "- d/new @1", "- f @1"]);
    let view = View::of(&image.layers);
    let event = view.past(b"d/a")[0];
    assert_eq!(
        (event.change, event.by, event.node.since),
        (PathChange::Deleted, 1, 0)
    );
    assert!(view.has(b"d") && view.has(b""));
    assert!(!view.has(b"e"));
}

#[test]
fn a_whiteout_of_a_folder_takes_all_that_is_in_it() {
    let image = image(&[
        Tar::default()
            .folder("d")
            .folder("d/e")
            .file("d/e/f", "1")
            .file("d-x", "2")
            .file("d0", "3")
            .end(),
        Tar::default().file(".wh.d", "").end(),
    ]);
    assert_eq!(seen(&image), ["- d-x @0", "- d0 @0"]);
}

#[test]
fn what_replaces_a_folder_buries_what_was_in_it() {
    let image = image(&[
        Tar::default()
            .folder("d")
            .file("d/a", "1")
            .folder("e")
            .file("e/a", "22")
            .end(),
        Tar::default().file("d", "x").folder("e").end(),
        Tar::default().folder("d").symlink("e", "d").end(),
    ]);
    assert_eq!(seen(&image), ["d d @2", "l e @2"]);
    let view = View::of(&image.layers);
    assert_eq!(view.past(b"d/a")[0].change, PathChange::Buried);
    assert_eq!((view.past(b"e/a")[0].by, view.past(b"e")[0].by), (2, 2));
    assert_eq!(view.get(b"d").unwrap().since, 0);
    assert_eq!(view.shadowed(), [3, 1, 0]);
}

#[test]
fn the_last_of_two_entries_with_one_path_wins() {
    let image = image(&[Tar::default()
        .file("a", "first")
        .file("./a", "second one")
        .folder("d")
        .file("d/x", "1")
        .symlink("d", "a")
        .end()]);
    let view = View::of(&image.layers);
    let node = view.get(b"a").unwrap();
    assert_eq!((node.place.entry, view.entry(node.place).size), (1, 10));
    assert_eq!(seen(&image), ["- a @0", "l d @0"]);
    assert_eq!(view.shadowed(), [6]);
}

#[test]
fn a_name_below_a_symlink_of_its_own_layer_is_put_where_that_leads() {
    let image = image(&[
        Tar::default()
            .folder("usr")
            .folder("usr/bin")
            .symlink("bin", "usr/bin")
            .file("bin/a", "1")
            .end(),
        Tar::default().file("bin/b", "2").end(),
    ]);
    // The link is not of the second layer, so a folder takes its place, as in an overlay.
    assert_eq!(
        seen(&image),
        ["- bin/b @1", "d usr @0", "d usr/bin @0", "- usr/bin/a @0"]
    );
}

#[test]
fn symlinks_that_go_round_in_a_circle_end() {
    let image = image(&[Tar::default()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/x", "1")
        .symlink("c", "../..//c")
        .file("c/x", "1")
        .symlink("s", ".")
        .file("s/s/s/s/x", "1")
        .end()]);
    let view = View::of(&image.layers);
    assert_eq!(view.resolve(b"a/x"), None);
    assert_eq!(view.resolve(b"c"), None);
    assert_eq!(view.resolve(b"s/s/s/x").unwrap(), b"x");
    assert!(view.get(b"x").is_some());
}

#[test]
fn hard_links_lead_to_their_content() {
    let image = image(&[
        Tar::default()
            .file("a", "secret")
            .hard_link("b", "./a")
            .hard_link("c", "b")
            .hard_link("dangling", "nothing")
            .hard_link("self", "self")
            .end(),
        Tar::default()
            .file(".wh.a", "")
            .hard_link("late", "c")
            .end(),
        Tar::default().file("b", "other").file(".wh.c", "").end(),
    ]);
    let view = View::of(&image.layers);
    let first = Some(LayerPlace { layer: 0, entry: 0 });
    assert_eq!(view.get(b"late").unwrap().content, first);
    assert_eq!(view.get(b"dangling").unwrap().content, None);
    assert_eq!(view.get(b"self").unwrap().content, None);
    assert!(view.get(b"a").is_none());
    // One name is left, so that the bytes can still be read.
    assert_eq!(view.shadowed(), [0, 0, 0]);
    assert_eq!(View::of(&image.layers[..1]).shadowed(), [0]);
}

#[test]
fn a_device_that_overlays_take_for_a_whiteout_is_one() {
    let image = image(&[
        Tar::default().file("a", "1").end(),
        Tar::default().entry("a", b'3', "").end(),
    ]);
    assert!(seen(&image).is_empty());
}

#[test]
fn a_path_leads_through_symlinks_as_a_process_sees_it() {
    let image = image(&[Tar::default()
        .symlink("bin", "usr/bin")
        .symlink("usr/bin/sh", "/bin/dash")
        .symlink("usr/bin/up", "../../../../etc/x")
        .file("usr/bin/dash", "1")
        .end()]);
    let view = View::of(&image.layers);
    assert_eq!(view.resolve(b"/bin/sh").unwrap(), b"usr/bin/dash");
    assert_eq!(view.resolve(b"bin/up").unwrap(), b"etc/x");
    assert_eq!(view.resolve(b"bin/none/../dash").unwrap(), b"usr/bin/dash");
}

#[test]
fn ten_thousand_replacements_of_one_folder_end_soon() {
    let mut tar = Tar::default();
    for number in 0..10_000 {
        tar = tar
            .folder("d")
            .file(&format!("d/{number}"), "")
            .file("d", "");
    }
    let image = image(&[tar.end()]);
    assert_eq!(seen(&image), ["- d @0"]);
}
