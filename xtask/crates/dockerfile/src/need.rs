//! What a Dockerfile may take from one build context: some paths, or all of it and why.

use std::collections::BTreeSet;

/// What the reachable Dockerfile stages can touch in one context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContextNeed {
    /// No instruction reads from the context.
    #[default]
    Nothing,
    /// Only entries that these needs select can change the image.
    Paths(Vec<Need>),
    /// The text does not decide it, so every entry that the ignore file leaves counts.
    Whole {
        /// One lowercase clause for messages: `` `COPY $X /` on line 3: X has no value ``.
        because: String,
    },
}

impl ContextNeed {
    /// Whether an instruction has `--exclude` patterns. BuildKit applies them itself, so it is sent
    /// the entries that they leave out.
    pub fn excludes(&self) -> bool {
        match self {
            Self::Paths(needs) => needs.iter().any(|need| !need.exclude.is_empty()),
            Self::Nothing | Self::Whole { .. } => false,
        }
    }

    /// Sorts the needs by line and keeps only the first of equal needs.
    pub(super) fn name_each_once(&mut self) {
        if let Self::Paths(needs) = self {
            let mut seen: BTreeSet<(Vec<u8>, bool, Vec<Vec<u8>>)> = BTreeSet::new();
            needs.sort_by_key(|n| n.line);
            needs.retain(|n| seen.insert((n.path.clone(), n.wildcard, n.exclude.clone())));
        }
    }
}

/// One source of a COPY, an ADD or a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Cleaned, `/`-separated, relative to the context's root; empty for the root itself.
    pub path: Vec<u8>,
    /// Whether `*`, `?`, `[` and `\` in `path` are pattern syntax (Go's `filepath.Match`).
    /// Bind mounts take their source literally.
    pub wildcard: bool,
    /// `--exclude` patterns of the instruction (Moby's ignore pattern syntax).
    pub exclude: Vec<Vec<u8>>,
    /// One-based line of the instruction in the Dockerfile.
    pub line: usize,
}
