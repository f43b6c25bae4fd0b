//! Where a stage's image is put, and in which form: `output`, `compression`, `reproducible`.
//!
//! None of this but `reproducible` changes what is in the image, so only that is part of the key.

use super::check::{GraphReader, Scope};
use super::mistakes::Mistake;
use super::placed::Placed;
use super::raw::Text;

/// Where the image is put (DESIGN.md, *Where the image lives*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageOutput {
    /// Into the engine's image store.
    #[default]
    Engine,
    /// Into the registry of `[registry]`, by digest.
    Registry,
    /// Into an OCI layout in the state folder.
    Oci,
}

impl ImageOutput {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Engine, Self::Registry, Self::Oci];

    /// Its word in the graph file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Registry => "registry",
            Self::Oci => "oci",
        }
    }
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCompression {
    /// Not at all: the quickest to store, and the largest.
    None,
    /// What every client reads.
    Gzip,
    /// Smaller and quicker than gzip. Engines before 23.0 cannot read it.
    Zstd,
}

impl LayerCompression {
    /// Its word for BuildKit (docs.docker.com/build/exporters, *Compression*).
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Where an image is put, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shipping {
    /// Where it is put.
    pub output: ImageOutput,
    compression: Option<LayerCompression>,
    /// Whether every build of the same inputs at the same commit gives the same digest.
    pub reproducible: bool,
    /// Whether an image in the engine's store gets no name of the stage's: nobody else sees it.
    pub is_nameless: bool,
}

impl Shipping {
    /// Into the engine's store, without a name of the stage's: for a trial that nobody else sees.
    pub fn apart() -> Self {
        Self {
            is_nameless: true,
            ..Self::default()
        }
    }

    /// How layers are compressed. An engine unpacks them at once, so compressing them for it would
    /// be time lost.
    pub const fn compression(&self) -> LayerCompression {
        match (self.compression, self.output) {
            (Some(compression), _) => compression,
            (None, ImageOutput::Engine) => LayerCompression::None,
            (None, ImageOutput::Registry | ImageOutput::Oci) => LayerCompression::Gzip,
        }
    }
}

impl GraphReader<'_, '_> {
    /// Checks where an image is put.
    pub(super) fn shipping(
        &mut self,
        output: Option<Text>,
        compression: Option<Text>,
        reproducible: Option<Placed<bool>>,
        scope: &Scope,
    ) -> Shipping {
        let outputs = ImageOutput::ALL.map(|output| (output.word(), output));
        let kinds = [
            ("none", LayerCompression::None),
            ("gzip", LayerCompression::Gzip),
            ("zstd", LayerCompression::Zstd),
        ];
        let place = output.as_ref().map(Placed::span);
        let output = output.and_then(|text| self.one_of("output", &text, &outputs));
        let output = scope.output.or(output).unwrap_or_default();
        if let (ImageOutput::Registry, false, Some(span)) = (output, scope.has_registry, place) {
            let title = "the graph names no registry to put images into";
            let mistake = Mistake::at(span, title, "needs `[registry]`");
            let help = "write `[registry]` with `url = \"HOST/PATH\"` into the graph file";
            self.mistakes.push(mistake.help(help));
        }
        let compression = compression.and_then(|text| self.one_of("compression", &text, &kinds));
        let span = reproducible.as_ref().map(Placed::span);
        let reproducible = reproducible.is_some_and(Placed::into_inner);
        if let (ImageOutput::Engine, true, Some(span)) = (output, reproducible, span) {
            let title = "an image in the engine's store cannot be reproducible";
            let label = "needs `output = \"registry\"` or `output = \"oci\"`";
            let help = "the engine unpacks layers as it stores them, and BuildKit does not rewrite \
                        the times of files in layers that are unpacked";
            let mistake = Mistake::at(span, title, label);
            self.mistakes.push(mistake.help(help));
        }
        Shipping {
            output,
            compression,
            reproducible,
            is_nameless: false,
        }
    }

    pub(super) fn one_of<T: Copy>(
        &mut self,
        what: &str,
        text: &Text,
        known: &[(&str, T)],
    ) -> Option<T> {
        let found = known.iter().find(|(word, _)| word == text.get_ref());
        if found.is_none() {
            let title = format!("unknown {what} `{}`", text.get_ref().escape_debug());
            let words: Vec<String> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
            let label = format!("expected {}", words.join(", "));
            self.mistakes.push(Mistake::at(text.span(), title, label));
        }
        found.map(|(_, value)| *value)
    }
}
