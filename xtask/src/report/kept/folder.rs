//! The folder of kept runs: one file for each. A damaged file counts as absent.

use camino::{Utf8Path, Utf8PathBuf};

use super::line::KeptEvent;
use crate::outside::state::{self, State};

/// The kind of the files, which their first line names.
const KIND: &str = "xtask-run";
/// Their format. 1: the first.
const FORMAT: u32 = 1;
/// How many runs are kept that did something, and how many that found everything fresh: a day of
/// those must not displace the last build.
const KEPT: [usize; 2] = [20, 60];
/// How many bytes all files may have. Of what is older, the last run alone stays.
const ROOM: u64 = 64 << 20;

/// The folder of a state's runs.
#[derive(Debug, Clone)]
pub struct RunFolder {
    folder: Utf8PathBuf,
}

/// The name of a kept run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunName {
    /// The moment and the process: `20261130T073816Z-4711`. Later runs have later ids.
    pub id: String,
    /// Whether it found everything fresh.
    pub is_noop: bool,
}

impl RunName {
    /// The name of a run that began at this moment, in seconds since 1970.
    pub fn new(moment: u64, process: u32, is_noop: bool) -> Self {
        let (_, moment) = calendar::shown(i64::try_from(moment).unwrap_or_default());
        let moment = moment.replace(['-', ':'], "");
        Self {
            id: format!("{moment}-{process}"),
            is_noop,
        }
    }

    fn file(&self) -> String {
        format!("{}{}", self.id, if self.is_noop { NOOP } else { DID })
    }

    fn of_file(name: &str) -> Option<Self> {
        let (id, is_noop) = match name.strip_suffix(NOOP) {
            Some(id) => (id, true),
            None => (name.strip_suffix(DID)?, false),
        };
        let (moment, process) = id.split_once('-')?;
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_moment = moment.len() == 16
            && is_digits(&moment[..8])
            && moment[8..].starts_with('T')
            && is_digits(&moment[9..15])
            && moment.ends_with('Z');
        let is_name = is_moment && !process.is_empty() && is_digits(process);
        is_name.then(|| Self {
            id: id.to_owned(),
            is_noop,
        })
    }
}

const NOOP: &str = ".noop.jsonl";
const DID: &str = ".jsonl";

impl RunFolder {
    /// The folder in this state.
    pub fn of(state: &State) -> Self {
        Self {
            folder: state.path("runs"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.folder
    }

    /// All runs, the earliest first.
    pub fn runs(&self) -> Vec<RunName> {
        let entries = self.folder.read_dir_utf8().into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| RunName::of_file(entry.file_name()));
        let mut names: Vec<RunName> = names.collect();
        names.sort();
        names
    }

    /// The lines of a run. `None` if the file is not there, is damaged, or is of another version of
    /// this program.
    pub fn read(&self, run: &RunName) -> Option<Vec<KeptEvent>> {
        let sealed = state::read(&self.folder.join(run.file())).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        let lines = content.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        // A line that a later program of the same format has added.
        Some(
            lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
        )
    }

    /// Keeps a run, and removes what is too old.
    pub(super) fn keep(&self, run: &RunName, lines: &[u8]) -> std::io::Result<()> {
        state::write_sealed_unsynced(&self.folder.join(run.file()), KIND, FORMAT, lines)?;
        self.clear(run.is_noop);
        Ok(())
    }

    /// Removes the oldest runs. One that cannot be removed costs disk space only.
    fn clear(&self, is_noop: bool) {
        let mut runs = self.runs();
        runs.retain(|run| run.is_noop == is_noop);
        let path = |run: &RunName| self.folder.join(run.file());
        let old = runs.len().saturating_sub(KEPT[usize::from(is_noop)]);
        for run in runs.drain(..old) {
            let _ = std::fs::remove_file(path(&run));
        }
        // Only what did something may be large, and only then there is time to look.
        if is_noop {
            return;
        }
        let mut room = ROOM;
        runs.pop();
        for run in runs.iter().rev() {
            let size = path(run).metadata().map_or(0, |meta| meta.len());
            match room.checked_sub(size) {
                Some(left) => room = left,
                None => {
                    let _ = std::fs::remove_file(path(run));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, RunFolder::of(&State::in_folder(path)))
    }

    #[test]
    fn the_last_runs_stay_and_those_without_work_displace_no_other() {
        let (_folder, runs) = folder();
        let line = b"{\"event\":\"notice\",\"message\":\"a\"}\n";
        for moment in 0..100 {
            let run = RunName::new(1_000_000_000 + moment, 1, moment % 4 != 0);
            runs.keep(&run, line).unwrap();
        }
        let all = runs.runs();
        let (noop, did): (Vec<_>, Vec<_>) = all.iter().partition(|run| run.is_noop);
        assert_eq!((noop.len(), did.len()), (60, 20));
        assert_eq!(did[19].id, "20010909T014816Z-1");
        let read = runs.read(did[19]).unwrap();
        assert_eq!(
            read,
            [KeptEvent::Notice {
                message: "a".to_owned()
            }]
        );
    }

    #[test]
    fn what_is_no_run_is_left_alone_and_a_damaged_one_is_absent() {
        let (_folder, runs) = folder();
        let run = RunName::new(1_000_000_000, 7, false);
        runs.keep(&run, b"{}\n{\"event\":\"later\"}\n").unwrap();
        assert_eq!(runs.read(&run), Some(Vec::new()));
        for other in [
            "notes.txt",
            "20010909T014640Z-.jsonl",
            "..jsonl",
            "x-1.jsonl",
        ] {
            std::fs::write(runs.path().join(other), "").unwrap();
        }
        assert_eq!(runs.runs(), std::slice::from_ref(&run));
        let file = runs.path().join(run.file());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(runs.read(&run), None);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(runs.read(&run), None);
    }
}
