//! The demo's own copy of the sample.
//!
//! Knows how to rename the sample's images, and to mark them. Is unaware of the demo's steps.

use std::io;

use camino::Utf8Path;

use crate::outside::state;

/// On every image of the demo: they are found by it, and with it their keys are not those of the
/// sample's own images.
pub const LABEL: &str = "org.dify.xtask.demo";
/// What the sample's image names begin with.
const SAMPLE: &str = "sample/";

/// Copies the sample to `to`, with `names` in front of its images. A copy that is there from a
/// demo before is kept.
pub fn sample(to: &Utf8Path, names: &str) -> io::Result<()> {
    if to.join("build-graph.toml").exists() {
        return Ok(());
    }
    let from = state::workspace().join("tests/sample");
    folder(&from, to, names)?;
    // Last, so that half a copy is made anew.
    let graph = std::fs::read_to_string(from.join("build-graph.toml"))?;
    let graph = graph.replace(&format!("\"{SAMPLE}"), &format!("\"{names}"));
    let mark = format!("\n[defaults]\nlabels = {{ \"{LABEL}\" = \"true\" }}\n");
    state::write_atomically(&to.join("build-graph.toml"), (graph + &mark).as_bytes())
}

fn folder(from: &Utf8Path, to: &Utf8Path, names: &str) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            folder(entry.path(), &target, names)?;
        } else if entry.file_name() == "Dockerfile" {
            let text = std::fs::read_to_string(entry.path())?;
            let text = text.replace(&format!("FROM {SAMPLE}"), &format!("FROM {names}"));
            std::fs::write(target, text)?;
        } else if entry.file_name() != "build-graph.toml" {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
