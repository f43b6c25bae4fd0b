//! What the images weigh: by layer and by folder.

use maud::{Markup, html};

use super::parts::{Column, number, percent, size, table, text};
use crate::page::Material;
use crate::report::words;
use crate::verify::size::Summary;

/// How many folders of an image are listed, and how many layers.
const FOLDERS: usize = 8;
const LAYERS: usize = 60;
/// How many images are shown with their layers: their tables are long.
const IMAGES: usize = 30;

pub(super) fn section(material: &Material<'_>) -> Markup {
    let fills = material.call.command("verify --policy-only");
    let weights = material.sizes.iter().flat_map(|own| {
        let platforms = own.kept.platforms.iter();
        platforms.map(move |(platform, summary)| (own, platform, summary))
    });
    let mut weights: Vec<_> = weights.collect();
    weights.sort_by_key(|(_, _, summary)| std::cmp::Reverse(summary.plain()));
    let rows = weights.iter().map(|(own, platform, summary)| {
        let is_of = match own.is_of_run {
            Some(false) => "an earlier image",
            Some(true) => "the image of this build",
            None => "the last image that was verified",
        };
        vec![
            text(own.stage),
            text(platform),
            size(summary.plain()),
            number(summary.layers().len()),
            text(is_of),
            text(&own.kept.at),
        ]
    });
    let columns = [
        Column::Text("stage"),
        Column::Text("platform"),
        Column::Number("uncompressed"),
        Column::Number("layers"),
        Column::Text("measured"),
        Column::Text("when"),
    ];
    html! {
        h2 #sizes { "Sizes" }
        @if weights.is_empty() {
            p { "No image of these stages was measured yet. " code { (fills) } " reads their layers and keeps what they weigh." }
        } @else {
            p.muted { "As the last verification that passed has kept them. " code { (fills) } " measures again." }
            (table("What the images weigh", &columns, &rows.collect::<Vec<_>>()))
            @for (own, platform, summary) in weights.iter().take(IMAGES) {
                details {
                    summary { (own.stage) ", " (platform) ": layers and folders" }
                    (image(own.stage, summary))
                }
            }
        }
    }
}

fn image(stage: &str, summary: &Summary) -> Markup {
    let whole = summary.plain();
    let layers = summary
        .layers()
        .iter()
        .enumerate()
        .take(LAYERS)
        .map(|(at, layer)| {
            vec![
                number(at),
                size(layer.plain),
                html! { (percent(layer.plain, whole)) },
                text(layer.from.word()),
                html! { @if let Some(line) = layer.line { (line) } },
                html! { code { (words::one_line(&layer.instruction)) } },
            ]
        });
    let folders = summary.heaviest(FOLDERS).into_iter().map(|(path, weight)| {
        vec![
            html! { code { "/" (path) } },
            size(weight.bytes),
            html! { (percent(weight.bytes, whole)) },
            number(weight.files),
        ]
    });
    let of_layers = [
        Column::Text("layer"),
        Column::Number("uncompressed"),
        Column::Number("share"),
        Column::Text("from"),
        Column::Number("line"),
        Column::Long("instruction"),
    ];
    let of_folders = [
        Column::Text("folder"),
        Column::Number("bytes"),
        Column::Number("share"),
        Column::Number("files"),
    ];
    html! {
        (table(&format!("Layers of {stage}"), &of_layers, &layers.collect::<Vec<_>>()))
        (table(&format!("Heaviest folders of {stage}"), &of_folders, &folders.collect::<Vec<_>>()))
    }
}
