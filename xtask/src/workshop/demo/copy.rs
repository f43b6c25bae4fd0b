//! The demo's own copy of the sample, with its images renamed and labelled.

use std::io;

use camino::Utf8Path;

use crate::outside::state;

/// The label of every image of the demo. The images are found by it, and it makes their keys differ
/// from those of the sample's own images.
pub const LABEL: &str = "org.dify.xtask.demo";
/// The beginning of the sample's image names.
const SAMPLE: &str = "sample/";

/// Copies the sample to `to`, and puts `names` in place of `sample/` in its image names. A copy
/// that an earlier demo left is kept.
pub fn sample(to: &Utf8Path, names: &str) -> io::Result<()> {
    if to.join("build-graph.toml").exists() {
        return Ok(());
    }
    let from = state::workspace().join("tests/sample");
    folder(&from, to, names)?;
    // Written last, so that an unfinished copy is made again.
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
