//! What the figures were measured on: the machine, its system, and the versions of all programs.

use std::collections::BTreeMap;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::outside::clock;
use crate::outside::state;

/// The machine and its programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchMachine {
    /// The day, as 2026-11-20.
    pub date: String,
    /// The model of the processor.
    pub processor: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// The machine's memory in bytes.
    pub memory_bytes: u64,
    /// The distribution.
    pub system: String,
    /// The version of Linux.
    pub kernel: String,
    /// The commit of this program, with a plus if files were changed since.
    pub commit: String,
    /// Versions of the programs that were measured, and of those that they stand on.
    pub programs: BTreeMap<String, String>,
}

impl BenchMachine {
    /// What this machine says of itself. A field that it does not tell is empty.
    pub fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let seconds = i64::try_from(clock::now().as_secs()).unwrap_or_default();
        Self {
            date: calendar::shown(seconds).0,
            processor: field(&read("/proc/cpuinfo"), "model name", ':').to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: kilobytes(field(&read("/proc/meminfo"), "MemTotal", ':')),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=')
                .trim_matches('"')
                .to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            programs: BTreeMap::new(),
        }
    }

    /// Notes the version of a program. `command` makes it print the version.
    pub fn uses(&mut self, name: &str, mut command: Command) {
        let Ok(output) = command.output() else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        if let Some(version) = version(&said).filter(|_| output.status.success()) {
            self.programs.insert(name.to_owned(), version.to_owned());
        }
    }
}

/// The load: how many processes wanted a core, on average over the last minute. If others took
/// cores away, a program that uses all cores looks slower beside one that uses a single core.
pub fn load() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = load.split(' ').next().and_then(|load| load.parse().ok());
    last_minute.unwrap_or_default()
}

/// The value of the first line that begins with `name`.
fn field<'t>(text: &'t str, name: &str, separator: char) -> &'t str {
    let mut lines = text.lines().filter_map(|line| line.split_once(separator));
    lines
        .find(|(found, _)| found.trim() == name)
        .map_or("", |(_, value)| value.trim())
}

fn kilobytes(text: &str) -> u64 {
    let number = text.strip_suffix("kB").map(str::trim);
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    number.unwrap_or_default() << 10
}

/// The first word of the first line that looks like a version.
fn version(said: &str) -> Option<&str> {
    let is_version = |word: &&str| {
        let word = word.strip_prefix('v').unwrap_or(word);
        word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
    };
    let version = said.lines().next()?.split_whitespace().find(is_version)?;
    Some(version.trim_end_matches(','))
}

/// The commit of the workspace that this program is built from.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(state::workspace()).args(arguments);
        let output = command.env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let mark = if changed.is_some_and(|it| it.is_empty()) {
        ""
    } else {
        "+"
    };
    format!("{commit}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_each_program_says() {
        for (said, found) in [
            ("git version 2.39.5\n", Some("2.39.5")),
            ("Docker version 28.2.2, build e6534b4\n", Some("28.2.2")),
            (
                "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n",
                Some("0.13.1+ds1"),
            ),
            ("Docker Compose version v2.26.1-4\n", Some("v2.26.1-4")),
            ("v20.20.2\n", Some("v20.20.2")),
            ("1.11.1\nmore 2.0\n", Some("1.11.1")),
            ("nothing\n", None),
            ("", None),
        ] {
            assert_eq!(version(said), found, "{said}");
        }
    }

    #[test]
    fn the_fields_of_the_kernels_files_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A Processor @ 2.0GHz\nflags\t\t: fpu\n";
        assert_eq!(field(cpuinfo, "model name", ':'), "A Processor @ 2.0GHz");
        let meminfo = "MemTotal:       2048 kB\nMemFree:        1 kB\n";
        assert_eq!(kilobytes(field(meminfo, "MemTotal", ':')), 2 << 20);
        let release = "NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        assert_eq!(
            field(release, "PRETTY_NAME", '='),
            "\"Debian GNU/Linux 12\""
        );
        assert_eq!(field("", "model name", ':'), "");
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        let mut machine = BenchMachine::default();
        machine.uses("none", Command::new("/nonexistent/program"));
        assert!(machine.programs.is_empty());
        let mut echo = Command::new("echo");
        echo.arg("echo 1.2");
        machine.uses("echo", echo);
        assert_eq!(machine.programs["echo"], "1.2");
    }
}
