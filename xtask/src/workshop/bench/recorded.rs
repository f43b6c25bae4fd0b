//! A run that was recorded: its figures in a file of the repository, and what is made from them, the
//! chart and the sections of the READMEs.

use camino::{Utf8Path, Utf8PathBuf};

use super::phrases::Phrases;
use super::table::BenchReport;
use super::{chart, section};
use crate::fault::{Fault, Result};
use crate::outside::state::write_atomically;

/// The figures of the last recorded run.
const FIGURES: &str = "docs/bench/bench.json";
const CHART: &str = "docs/bench/bench.svg";
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// Records a report in the repository at `root`, and makes the chart and the sections from it.
pub fn record(root: &Utf8Path, report: &BenchReport) -> Result<()> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| Fault::failed(format!("cannot write the figures as JSON: {error}")))?;
    let path = root.join(FIGURES);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Fault::lacks(format!("cannot make {folder}: {error}")))?;
    }
    write(&path, &format!("{json}\n"))?;
    redraw(root)
}

/// Makes the chart and the sections again, from the figures of the last recorded run.
pub fn redraw(root: &Utf8Path) -> Result<()> {
    for (path, text) in drawn(root)? {
        write(&path, &text)?;
    }
    Ok(())
}

/// All that is made from the recorded figures: each file with its whole text.
pub fn drawn(root: &Utf8Path) -> Result<Vec<(Utf8PathBuf, String)>> {
    let report = figures(root)?;
    let mut files = vec![(root.join(CHART), chart::chart(&report))];
    for name in READMES {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::failed(format!("cannot read {path}: {error}")))?;
        let phrases = Phrases::of(&text);
        let say = |english: &str| phrases.get(english).unwrap_or(english).to_owned();
        let section = section::section(&report, CHART, &say);
        let text = section::put(&text, &section)
            .map_err(|why| Fault::failed(format!("cannot write the figures into {path}: {why}")))?;
        files.push((path, text));
    }
    Ok(files)
}

/// The figures of the last recorded run.
fn figures(root: &Utf8Path) -> Result<BenchReport> {
    let path = root.join(FIGURES);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Fault::failed(format!(
            "cannot read the recorded figures {path}: {error}; `cargo xtask bench --record` measures and records them"
        ))
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Fault::failed(format!(
            "{path} is not what this version records: {error}; `cargo xtask bench --record` measures and records again"
        ))
    })
}

fn write(path: &Utf8Path, text: &str) -> Result<()> {
    crate::tell!("writing {path}");
    write_atomically(path, text.as_bytes())
        .map_err(|error| Fault::lacks(format!("cannot write {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::state;

    #[test]
    fn the_chart_and_the_readmes_have_the_figures_of_the_recorded_run() {
        for (path, text) in drawn(&state::workspace()).unwrap() {
            let there = std::fs::read_to_string(&path).unwrap();
            assert!(
                there == text,
                "{path} differs from the recorded figures: run `cargo xtask bench --redraw`"
            );
        }
    }

    #[test]
    fn the_chart_is_small() {
        let chart = std::fs::metadata(state::workspace().join(CHART)).unwrap();
        assert!(chart.len() < 20_000, "{}", chart.len());
    }

    #[test]
    fn a_readme_in_another_language_brings_every_phrase_of_the_section() {
        let root = state::workspace();
        let report = figures(&root).unwrap();
        let mut translated = 0;
        for name in READMES {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            let phrases = Phrases::of(&text);
            if phrases == Phrases::default() {
                continue;
            }
            translated += 1;
            let say = |english: &str| {
                let own = phrases.get(english);
                assert!(own.is_some(), "{name} has no phrase for {english:?}");
                own.unwrap_or_default().to_owned()
            };
            section::section(&report, CHART, &say);
        }
        assert_eq!(translated, 1);
    }

    #[test]
    fn a_record_without_a_place_in_a_readme_says_what_the_readme_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let said = redraw(root).unwrap_err().to_string();
        assert!(said.contains("bench --record"), "{said}");
        for name in READMES {
            std::fs::write(root.join(name), "text\n").unwrap();
        }
        let said = record(root, &BenchReport::default())
            .unwrap_err()
            .to_string();
        assert!(said.contains("README.md: it has no place"), "{said}");
        assert!(root.join(FIGURES).is_file());
    }
}
