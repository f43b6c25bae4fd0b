//! `cargo xtask report`.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::ReportArgs;
use crate::export::{OwnFile, write_own};
use crate::fault::{Fault, Result};
use crate::graphfile::chosen::Chosen;
use crate::graphfile::options::GraphOptions;
use crate::outside::state::State;
use crate::page::past_run::PastRun;
use crate::page::{self, kept_runs};
use crate::report::kept::KeptOutcome;
use crate::report::words;

/// Where a text goes.
enum WriteTo {
    Stdout,
    File(Utf8PathBuf),
}

impl WriteTo {
    fn of(file: &Utf8Path) -> Self {
        match file.as_str() {
            "-" => Self::Stdout,
            _ => Self::File(file.to_owned()),
        }
    }

    /// Writes the text. Gives the file, if it is one.
    fn write(self, text: &str, own: &OwnFile<'_>) -> Result<Option<Utf8PathBuf>> {
        match self {
            Self::Stdout => super::print(text),
            Self::File(file) => {
                write_own(&file, text, own)?;
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// Writes a page about a build of the past.
pub fn run(flags: &ReportArgs) -> Result<()> {
    let chosen = Chosen::of(flags.graph.as_deref(), GraphOptions::default())?;
    let state = State::in_folder(State::place(&chosen.file));
    let runs = kept_runs(&state);
    let Some(last) = runs.last() else {
        return Err(Fault::usage(format!(
            "no build of {} was kept yet: run `{}` first",
            chosen.file,
            chosen.call.command("build")
        )));
    };
    // The last one that did something says more than one that found all fresh.
    let last = runs.iter().rfind(|run| !run.name.is_noop).unwrap_or(last);
    if flags.list {
        super::print(&list(&runs));
        return Ok(());
    }
    let find = |id: &str| find(&runs, id, &chosen);
    let run = match &flags.run {
        Some(id) => find(id)?,
        None => last,
    };
    let before = flags.compare.as_deref().map(find).transpose()?;
    if before.is_some_and(|before| before.name == run.name) {
        return Err(Fault::usage(format!(
            "build `{}` would be compared with itself: `{}` shows the others",
            run.name.id,
            chosen.call.command("report --list")
        )));
    }
    let is_stdout = |file: &Option<Utf8PathBuf>| file.as_ref().is_some_and(|file| file == "-");
    if is_stdout(&flags.trace) && is_stdout(&flags.file) {
        return Err(Fault::usage(
            "`--file -` and `--trace -` both write to stdout: name a file for one of them",
        ));
    }
    let trace = OwnFile {
        mark: page::TRACE_MARK,
        by: ["report", "--trace"],
    };
    if let Some(file) = &flags.trace
        && let Some(file) = WriteTo::of(file).write(&page::trace(run).to_string(), &trace)?
    {
        crate::tell!("{file}: open it in ui.perfetto.dev or chrome://tracing");
    }
    let graph = (chosen.file.as_str(), &chosen.call);
    let text = page::page(&state, graph, &runs, run, before);
    let default = state.beside().join("report.html");
    let to = WriteTo::of(flags.file.as_ref().unwrap_or(&default));
    // In the state, whatever stands there is this program's.
    let mark = flags.file.as_ref().map_or("", |_| page::MARK);
    let own = OwnFile {
        mark,
        by: ["report", "--file"],
    };
    if let Some(file) = to.write(&text, &own)? {
        if is_stdout(&flags.trace) {
            crate::tell!("{file}");
        } else {
            super::print(&format!("{file}\n"));
        }
    }
    Ok(())
}

/// The run whose id begins like this.
fn find<'r>(runs: &'r [PastRun], id: &str, chosen: &Chosen) -> Result<&'r PastRun> {
    let exact = runs.iter().find(|run| run.name.id == id);
    let mut begins = runs.iter().filter(|run| run.name.id.starts_with(id));
    let (first, second) = (begins.next(), begins.next());
    let list = chosen.call.command("report --list");
    match (exact.or(first), exact.is_some() || second.is_none()) {
        (Some(run), true) if !id.is_empty() => Ok(run),
        (Some(_), _) => Err(Fault::usage(format!(
            "several builds have ids that begin with `{id}`: `{list}` shows them"
        ))),
        (None, _) => Err(Fault::usage(format!(
            "no kept build has the id `{}`: `{list}` shows those that there are",
            crate::shown::short(id)
        ))),
    }
}

/// One line for each run, the latest last.
fn list(runs: &[PastRun]) -> String {
    let mut text = String::new();
    for run in runs {
        let told = KeptOutcome::ALL.into_iter().filter_map(|outcome| {
            let count = run.count(outcome);
            (count > 0).then(|| format!("{count} {}", outcome.word()))
        });
        let told: Vec<String> = told.collect();
        let told = match told.as_slice() {
            [] => "not ended".to_owned(),
            told => told.join(", "),
        };
        let _ = writeln!(
            text,
            "{}  {told} in {}",
            run.name.id,
            words::time(run.elapsed_ms())
        );
    }
    text
}
