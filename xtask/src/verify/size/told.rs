//! Sizes as text.

use std::fmt::Write as _;

use super::change::Since;
use super::groups::Group;
use super::waste::Duplicate;
use super::{ImageSize, LayerSize};
use crate::report::words;
use crate::verify::finding::Origin;

/// How many rows of a table are shown.
const ROWS: usize = 12;
/// How many paths of a duplicate are shown.
const PATHS: usize = 2;

/// One image, with the names that people use for it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'t> {
    /// The stage.
    pub stage: &'t str,
    /// Its Dockerfile.
    pub dockerfile: &'t str,
    /// The sizes of the image.
    pub size: &'t ImageSize,
    /// The stage that this one stands on, to compare it with.
    pub against: Option<&'t str>,
}

/// The whole report on one image.
pub fn text(told: &Told<'_>) -> String {
    let size = told.size;
    let mut out = String::new();
    let (stage, platform) = (told.stage, &size.platform);
    let layers = words::count(size.layers.len(), "layer");
    let _ = writeln!(
        out,
        "{stage}, {platform}: {} in {layers}{}; a container sees {} of files",
        words::size(size.plain),
        stored(size),
        words::size(size.visible.bytes),
    );
    layer_table(&mut out, told);
    folders(&mut out, size);
    files(&mut out, size);
    shadows(&mut out, size);
    duplicates(&mut out, size);
    groups(&mut out, &size.groups);
    match &size.since {
        Some(since) => changes(&mut out, since, size.plain),
        None => out.push_str("\nNo image of this stage was verified before, to compare it with.\n"),
    }
    out
}

/// The stored size, if it differs from the uncompressed size.
fn stored(size: &ImageSize) -> String {
    match size.compression().as_str() {
        "" => String::new(),
        "none" => " (the engine keeps them unpacked: what a registry keeps is smaller)".to_owned(),
        compression => format!(", {} as stored ({compression})", words::size(size.stored)),
    }
}

fn layer_table(out: &mut String, told: &Told<'_>) {
    let size = told.size;
    let is_packed = size.layers.iter().any(|layer| layer.compression != "none");
    let stored = if is_packed { "stored" } else { "" };
    let _ = writeln!(out, "\n     plain {stored:>9}  layer");
    for layer in &size.layers {
        let stored = if is_packed {
            words::size(layer.stored)
        } else {
            String::new()
        };
        let (plain, number) = (words::size(layer.plain), layer.number);
        let instruction = cut(&layer.instruction);
        let made = made(layer, told.dockerfile);
        let _ = writeln!(
            out,
            "{plain:>10} {stored:>9}  {number:>2} {made}  {instruction}"
        );
    }
}

/// Who made a layer: `api/Dockerfile:42`, `base`.
fn made(layer: &LayerSize, dockerfile: &str) -> String {
    match (layer.from, layer.line) {
        (Origin::Own, Some(line)) => format!("{dockerfile}:{line}"),
        (from, _) => from.word().to_owned(),
    }
}

fn folders(out: &mut String, size: &ImageSize) {
    let telling = size.folders.iter();
    let telling = telling.filter(|folder| !folder.is_shell && folder.weight.bytes > 0);
    heading(out, "Folders that weigh most, with all that is in them");
    for folder in telling.take(ROWS) {
        let files = words::count(folder.weight.files, "file");
        row(
            out,
            folder.weight.bytes,
            &format!("/{}, {files}", folder.path),
        );
    }
}

fn files(out: &mut String, size: &ImageSize) {
    heading(out, "Files that weigh most");
    for file in size.files.iter().take(ROWS) {
        row(
            out,
            file.bytes,
            &format!("/{}, layer {}", file.path, file.layer),
        );
    }
}

fn shadows(out: &mut String, size: &ImageSize) {
    let telling: Vec<_> = size
        .shadows
        .iter()
        .filter(|shadow| shadow.weight.bytes > 0)
        .collect();
    if telling.is_empty() {
        out.push_str("\nNo layer hides anything that another one ships.\n");
        return;
    }
    let title = format!(
        "Downloaded for nothing, as a later layer hides it: {}",
        words::size(size.shadowed)
    );
    heading(out, &title);
    for shadow in telling.iter().take(ROWS) {
        let files = words::count(shadow.weight.files, "file");
        let (by, how, layer, folder) = (shadow.by, shadow.how.word(), shadow.layer, &shadow.folder);
        let said = if by == layer {
            format!("layer {by} has {files} in /{folder} twice")
        } else {
            format!("layer {by} {how} {files} of layer {layer} in /{folder}")
        };
        row(out, shadow.weight.bytes, &said);
    }
    more(out, telling.len());
}

fn duplicates(out: &mut String, size: &ImageSize) {
    if size.duplicates.is_empty() {
        out.push_str("\nNo content is stored twice.\n");
        return;
    }
    let title = format!(
        "Stored twice or more, all copies but one: {}",
        words::size(size.duplicated)
    );
    heading(out, &title);
    for same in size.duplicates.iter().take(ROWS) {
        row(out, same.wasted, &copies(same));
    }
    more(out, size.duplicates.len());
}

fn copies(same: &Duplicate) -> String {
    let shown = same.paths.iter().take(PATHS).map(|path| format!("/{path}"));
    let shown: Vec<String> = shown.collect();
    let rest = match same.copies - shown.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{} copies: {}{rest}", same.copies, shown.join(", "))
}

fn groups(out: &mut String, groups: &[Group]) {
    if groups.is_empty() {
        return;
    }
    heading(
        out,
        "What could be left out, in the layer that adds it (a later layer saves nothing)",
    );
    for group in groups {
        let files = words::count(group.weight.files, "file");
        let layers: Vec<String> = group
            .layers
            .iter()
            .map(|(layer, _)| layer.to_string())
            .collect();
        let word = if layers.len() == 1 { "layer" } else { "layers" };
        let said = format!(
            "{}: {files}, most in /{}; {word} {}; {}",
            group.name,
            group.folder,
            layers.join(", "),
            group.remedy
        );
        row(out, group.weight.bytes, &said);
    }
}

fn changes(out: &mut String, since: &Since, plain: u64) {
    let at = &since.at;
    if since.is_same {
        let _ = writeln!(out, "\nIt is the image that was verified at {at}.");
        return;
    }
    let delta = i128::from(plain) - i128::from(since.plain);
    heading(
        out,
        &format!(
            "Changed since the image verified at {at}: {}",
            signed(delta)
        ),
    );
    let telling: Vec<_> = since
        .folders
        .iter()
        .filter(|change| !change.is_shell)
        .collect();
    for change in telling.iter().take(ROWS) {
        let what = match (change.before, change.after) {
            (None, _) => ", new",
            (_, None) => ", gone",
            _ => "",
        };
        let _ = writeln!(
            out,
            "{:>10}  /{}{what}",
            signed(change.delta()),
            change.path
        );
    }
    more(out, telling.len());
}

/// A table that compares images.
pub fn comparison(all: &[Told<'_>]) -> String {
    let mut out = String::new();
    let width = all.iter().map(|told| told.stage.len()).max().unwrap_or(0);
    let platforms = all.iter().map(|told| told.size.platform.len()).max();
    let platform = platforms.unwrap_or(0);
    let _ = writeln!(
        out,
        "{:width$}  {:platform$}      plain     stored  layers  for nothing      twice",
        "stage", "platform"
    );
    for told in all {
        let size = told.size;
        let parent = told.against.and_then(|parent| {
            let mut all = all.iter();
            all.find(|other| other.stage == parent && other.size.platform == size.platform)
        });
        let against = parent.map_or_else(String::new, |parent| {
            let (of, whole) = (u128::from(size.plain), u128::from(parent.size.plain));
            let percent = (of * 100 + whole / 2).checked_div(whole).unwrap_or(0);
            format!("  {percent} % of {}", parent.stage)
        });
        let _ = writeln!(
            out,
            "{:width$}  {:platform$} {:>10} {:>10} {:>7} {:>12} {:>10}{against}",
            told.stage,
            size.platform,
            words::size(size.plain),
            words::size(size.stored),
            size.layers.len(),
            words::size(size.shadowed),
            words::size(size.duplicated),
        );
    }
    out
}

fn heading(out: &mut String, title: &str) {
    let _ = writeln!(out, "\n{title}:");
}

fn row(out: &mut String, bytes: u64, said: &str) {
    let _ = writeln!(out, "{:>10}  {said}", words::size(bytes));
}

fn more(out: &mut String, all: usize) {
    if all > ROWS {
        let _ = writeln!(out, "            and {} more: `--json` has all", all - ROWS);
    }
}

fn signed(delta: i128) -> String {
    let size = words::size(u64::try_from(delta.unsigned_abs()).unwrap_or(u64::MAX));
    let sign = match delta {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{size}")
}

/// An instruction, shortened to one line.
fn cut(instruction: &str) -> String {
    const MOST: usize = 60;
    let line: Vec<&str> = instruction.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
